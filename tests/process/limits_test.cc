// Stories of bounds: what is too large or too slow is answered once, clearly, and costs no worker.
#include "tests/process/story.h"

namespace stint::test {
namespace {

// Sends `bytes` to a server with these settings and expects one answer of `status` with an announced close.
void expect_refused(const std::vector<std::pair<std::string, std::string>>& settings, const std::string& bytes,
                    int status) {
  ServerOptions options;
  options.set = settings;
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send(bytes);
  const HttpResponse response = client.receive();
  CHECK(response.status == status);
  CHECK(response.announces_close());
  CHECK(client.receive_until_close() == "");
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a request line beyond its limit: 414", "[process]") {
  expect_refused({{"http.max_request_line", "\"1KiB\""}},
                 "GET /" + std::string(2000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414);
}

TEST_CASE("a head beyond its limit: 431", "[process]") {
  expect_refused({{"http.max_header_size", "\"2KiB\""}},
                 "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(4000, 'a') + "\r\n\r\n", 431);
}

TEST_CASE("too many fields: 431", "[process]") {
  std::string fields;
  for (int i = 0; i < 20; ++i) fields += "X-" + std::to_string(i) + ": y\r\n";
  expect_refused({{"http.max_header_fields", "10"}}, "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n", 431);
}

TEST_CASE("a declared body beyond its limit: 413, before it is read", "[process]") {
  expect_refused({{"http.max_body", "\"10KiB\""}}, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n",
                 413);
}

TEST_CASE("a chunked body beyond its limit: 413", "[process]") {
  std::string chunks;
  for (int i = 0; i < 4; ++i) chunks += "1000\r\n" + std::string(0x1000, 'a') + "\r\n";
  expect_refused({{"http.max_body", "\"10KiB\""}},
                 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 413);
}

TEST_CASE("a head that does not come to its end in time: 408", "[process]") {
  expect_refused({{"http.head_timeout", "\"300ms\""}}, "GET / HTTP/1.1\r\nHost: a\r\n", 408);
}

TEST_CASE("a body that stops coming: 408", "[process]") {
  expect_refused({{"http.body_timeout", "\"300ms\""}},
                 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf", 408);
}

TEST_CASE("a large body that is refused can still be answered while the client sends", "[process]") {
  ServerOptions options;
  options.set = {{"http.max_body", "\"1MiB\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
  client.send(std::string(100'000, 'a'));  // on its way before the client has seen the answer
  const HttpResponse response = client.receive();
  CHECK(response.status == 413);
  CHECK(response.announces_close());
  CHECK(client.receive_until_close() == "");
  server.expect_clean_exit();
}

TEST_CASE("an idle connection is closed at its time limit, and a new one is served", "[process]") {
  ServerOptions options;
  options.set = {{"http.idle_timeout", "\"300ms\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  CHECK(client.get("/").status == 200);
  CHECK(client.is_closed_within(patience));
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a client that does not read its answer is dropped at write_timeout and the worker serves on", "[process]") {
  ServerOptions options;
  options.set = {{"http.write_timeout", "\"300ms\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("clients beyond max_connections wait and are served when there is room", "[process]") {
  ServerOptions options;
  options.set = {{"http.max_connections", "4"}};
  ServerProcess server(options);
  server.wait_until_ready();
  std::vector<HttpClient> held;
  for (int i = 0; i < 4; ++i) {
    held.emplace_back(server.address());
    CHECK(held.back().get("/").status == 200);
  }
  HttpClient fifth(server.address());
  fifth.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_FALSE(fifth.is_readable_within(300ms));
  held.pop_back();
  CHECK(fifth.receive().status == 200);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
