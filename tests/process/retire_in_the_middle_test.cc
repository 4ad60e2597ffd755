// Stories of requests that are under way when their worker is retired. Each completes, on the same connection.
#include "tests/process/story.h"

#include <signal.h>

#include <cstdio>
#include <deque>

namespace stint::test {
namespace {

ServerOptions with_long_drain() {
  ServerOptions options;
  options.set = {{"app.recycle.drain_timeout", "\"300s\""}};  // nothing here may be rescued by its end
  return options;
}

pid_t only_worker(const ServerProcess& server) {
  const auto ready = server.ready_workers();
  REQUIRE(ready.size() == 1);
  return ready[0];
}

void recycle(const ServerProcess& server) { REQUIRE(server.command({"recycle"}).exit_code == 0); }

// The only worker gives way to another and ends, whatever its clients have not sent yet.
void replace_worker(const ServerProcess& server) {
  const pid_t before = only_worker(server);
  recycle(server);
  REQUIRE(eventually([&] { return !is_running(before); }));
}

std::string text_of(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 2654435761u >> 13) % 26);
  return text;
}

std::string by_length(const std::string& body) {
  return "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string by_chunks(const std::string& body, std::size_t chunk) {
  std::string bytes = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += chunk) {
    const std::string piece = body.substr(at, chunk);
    char size[32];
    std::snprintf(size, sizeof size, "%zx;part=%zu\r\n", piece.size(), at / chunk);
    bytes += size + piece + "\r\n";
  }
  return bytes + "0\r\nX-Trailer: yes\r\n\r\n";
}

// Where the trailers of by_chunks() begin.
std::size_t before_trailers(const std::string& bytes) { return bytes.find("\r\n0\r\nX-Trailer") + 4; }

// One connection for each of `splits`: so many bytes are sent before the worker is replaced, the rest after.
// The answer has to be `body`.
void expect_whole_after_each_split(const ServerProcess& server, const std::string& bytes,
                                   const std::vector<std::size_t>& splits, const std::string& body) {
  std::deque<HttpClient> clients;
  for (const std::size_t split : splits) {
    clients.emplace_back(server.address());
    clients.back().send(std::string_view(bytes).substr(0, split));
  }
  CHECK(fetch(server.address(), "/").status == 200);  // the worker has been through its events since
  replace_worker(server);
  const std::string worker = std::to_string(only_worker(server));
  for (std::size_t i = 0; i < splits.size(); ++i) {
    INFO("sent before: " << splits[i] << " of " << bytes.size() << " bytes");
    clients[i].send(std::string_view(bytes).substr(splits[i]));
    const HttpResponse response = clients[i].receive();
    CHECK(response.status == 200);
    CHECK((response.body == body));
    CHECK_FALSE(response.announces_close());
    CHECK(response.field("X-Worker-Pid") == worker);
    CHECK(clients[i].get("/pid").body == worker);
  }
}

std::vector<std::size_t> each_up_to(std::size_t size) {
  std::vector<std::size_t> splits(size);
  for (std::size_t i = 0; i < size; ++i) splits[i] = i;
  return splits;
}

TEST_CASE("a head sent in two halves, cut at each byte, is answered by the next worker", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const std::string bytes = "GET /page?kib=1&seed=z HTTP/1.1\r\nHost: localhost\r\nX-Story: middle\r\n\r\n";
  std::string body;
  while (body.size() < 1024) body += "z ";
  expect_whole_after_each_split(server, bytes, each_up_to(bytes.size()), body);
  server.expect_clean_exit();
}

TEST_CASE("a small body sent in two halves, cut at each byte, reaches the application whole", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const std::string body = text_of(60);
  expect_whole_after_each_split(server, by_length(body), each_up_to(by_length(body).size()), body);
  const std::string chunked = by_chunks(body, 23);
  expect_whole_after_each_split(server, chunked, each_up_to(before_trailers(chunked)), body);
  server.expect_clean_exit();
}

TEST_CASE("a worker stays for trailers half sent, and hands the connection over behind them", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const pid_t before = only_worker(server);
  const std::string body = text_of(60), bytes = by_chunks(body, 23);
  std::deque<HttpClient> clients;
  for (std::size_t split = before_trailers(bytes); split < bytes.size(); ++split) {
    clients.emplace_back(server.address());
    clients.back().send(std::string_view(bytes).substr(0, split));
  }
  CHECK(fetch(server.address(), "/").status == 200);
  recycle(server);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return ready.size() == 1 && ready[0] != before;
  }));
  std::size_t split = before_trailers(bytes);
  for (HttpClient& client : clients) {
    client.send(std::string_view(bytes).substr(split++));
    const HttpResponse response = client.receive();
    CHECK(response.body == body);
    CHECK_FALSE(response.announces_close());
  }
  for (HttpClient& client : clients) CHECK(client.get("/pid").body == std::to_string(only_worker(server)));
  CHECK(eventually([&] { return !is_running(before); }));
  server.expect_clean_exit();
}

TEST_CASE("bodies of all sizes sent in two halves reach the application whole", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  // Below what a slot of the table holds, about it, in memory, and beyond what is kept in memory.
  for (const std::size_t size : {3'000u, 4'500u, 70'000u, 262'144u, 3'000'000u}) {
    INFO("body of " << size << " bytes");
    const std::string body = text_of(size);
    for (const std::string& bytes : {by_length(body), by_chunks(body, 5000)}) {
      const std::size_t head = bytes.find("\r\n\r\n") + 4;
      const std::size_t all = bytes.ends_with("\r\n\r\n") ? before_trailers(bytes) : bytes.size();
      expect_whole_after_each_split(
          server, bytes,
          {head, head + 1, head + size / 10, head + size / 3, head + size / 2, head + size * 9 / 10, all - 40, all - 1},
          body);
    }
  }
  server.expect_clean_exit();
}

TEST_CASE("a head near its limit sent in two halves is answered by the next worker", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  std::string bytes = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
  for (int i = 0; i < 50; ++i) bytes += "X-Field-" + std::to_string(i) + ": " + text_of(1200) + "\r\n";
  bytes += "\r\nhello";
  expect_whole_after_each_split(server, bytes, {3'500, 4'096, 30'000, bytes.size() - 6, bytes.size() - 2}, "hello");
  server.expect_clean_exit();
}

TEST_CASE("a client that was told to continue sends its body to the next worker", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.receive().status == 100);
  replace_worker(server);
  client.send("hello");
  const HttpResponse response = client.receive();
  CHECK(response.status == 200);  // and no second 100
  CHECK(response.body == "hello");
  server.expect_clean_exit();
}

// Reads what `/big?mib=` sends, slowly from `from` MiB on.
void expect_big(HttpClient& client, int from, int to) {
  for (int mib = from; mib < to; ++mib) {
    const std::string piece = client.receive_exactly(1 << 20);
    if (piece != std::string(1 << 20, static_cast<char>(mib % 251))) FAIL("MiB " << mib << " is another");
    std::this_thread::sleep_for(5ms);
  }
}

TEST_CASE("an answer of 100 MB half read is read to its end, then the next worker goes on", "[process]") {
  const std::string how = GENERATE("", "&whole=1");
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const pid_t before = only_worker(server);
  HttpClient client(server.address());
  client.send("GET /big?mib=100" + how + " HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.receive_up_to("\r\n\r\n").find("Connection: close") == std::string::npos);
  expect_big(client, 0, 40);

  recycle(server);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return ready.size() == 1 && ready[0] != before;
  }));
  CHECK(fetch(server.address(), "/pid").body == std::to_string(only_worker(server)));
  expect_big(client, 40, 100);
  CHECK(client.get("/pid").body == std::to_string(only_worker(server)));
  CHECK(eventually([&] { return !is_running(before); }));
  server.expect_clean_exit();
}

TEST_CASE("a static file of 100 MB half read is read to its end, then the next worker goes on", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  std::filesystem::create_directory(folder->path() / "public");
  std::string text;
  for (int mib = 0; mib < 100; ++mib) text += std::string(1 << 20, static_cast<char>(mib % 251));
  folder->write("public/big.bin", text);
  ServerOptions options = with_long_drain();
  options.toml = "[[static]]\nurl = \"/static/\"\nroot = \"" + folder->file("public") + "\"\n";
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  const pid_t before = only_worker(server);
  HttpClient client(server.address());
  client.send("GET /static/big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
  client.receive_up_to("\r\n\r\n");
  expect_big(client, 0, 40);

  recycle(server);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return ready.size() == 1 && ready[0] != before;
  }));
  expect_big(client, 40, 100);
  CHECK(client.get("/pid").body == std::to_string(only_worker(server)));
  CHECK(eventually([&] { return !is_running(before); }));
  server.expect_clean_exit();
}

TEST_CASE("a pipelined run is answered whole and in order by two workers", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const pid_t before = only_worker(server);
  HttpClient client(server.address());
  const int count = 120;
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += i % 3 == 0   ? by_length("body " + std::to_string(i))
             : i % 3 == 1 ? by_chunks("body " + std::to_string(i), 4)
                          : "GET /page?us=20000&kib=1&seed=" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  const std::size_t cut = bytes.size() - 30;  // the last one is not all there yet
  client.send(std::string_view(bytes).substr(0, cut));
  std::string first, last;
  for (int i = 0; i < count; ++i) {
    if (i == 10) recycle(server);
    if (i == count - 1) {
      CHECK(eventually([&] { return !is_running(before); }));
      client.send(std::string_view(bytes).substr(cut));
    }
    const HttpResponse response = client.receive();
    REQUIRE(response.status == 200);
    REQUIRE_FALSE(response.announces_close());
    if (i % 3 < 2) {
      REQUIRE(response.body == "body " + std::to_string(i));
    } else {
      REQUIRE(response.body.starts_with(std::to_string(i) + " "));
    }
    (i == 0 ? first : last) = *response.field("X-Worker-Pid");
  }
  CHECK(first == std::to_string(before));
  CHECK(last == std::to_string(only_worker(server)));
  server.expect_clean_exit();
}

TEST_CASE("requests that wait behind a slow one are answered after a recycle, and the slow one too", "[process]") {
  ServerProcess server(with_long_drain());
  server.wait_until_ready();
  const std::string running = server.folder().file("running");
  HttpClient slow(server.address());
  std::deque<HttpClient> waiting;
  for (int i = 0; i < 20; ++i) waiting.emplace_back(server.address());
  for (HttpClient& client : waiting) CHECK(client.get("/").status == 200);
  slow.send("GET /slow?seconds=1&touch=" + running + " HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return std::filesystem::exists(running); }));

  for (HttpClient& client : waiting) client.send(by_length("waited"));
  replace_worker(server);
  CHECK(slow.receive().body == "slow but complete\n");
  for (HttpClient& client : waiting) {
    const HttpResponse response = client.receive();
    CHECK(response.body == "waited");
    CHECK_FALSE(response.announces_close());
  }
  CHECK(slow.get("/pid").body == std::to_string(only_worker(server)));
  server.expect_clean_exit();
}

TEST_CASE("an announced close reaches the client though a child of the application holds its socket", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  const pid_t child = std::stoi(client.get("/fork").body);
  REQUIRE(is_running(child));
  const HttpResponse response = client.request("GET", "/", {{"Connection", "close"}});
  CHECK(response.announces_close());
  CHECK(client.is_closed_within(patience));
  CHECK(is_running(child));
  kill(child, SIGKILL);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
