// Stories of clients that take their time: they cost a socket and little memory, they hold nobody, and each ends as it
// should: with its answer when it comes to an end, at its time limit when it does not.
#include "tests/support/slow_clients.h"
#include "tests/process/story.h"

#include <boost/json/value.hpp>

#include <filesystem>
#include <fstream>
#include <limits>

namespace stint::test {
namespace {

constexpr unsigned of_a_kind = 100;

std::uint64_t total(const ServerProcess& server, std::string_view name) {
  const boost::json::object status = server.status();
  return status.empty() ? 0 : status.at("pool").at("totals").at(name).to_number<std::uint64_t>();
}

std::uint64_t refused(const ServerProcess& server, std::string_view reason) {
  const boost::json::object status = server.status();
  if (status.empty()) return 0;
  const auto& reasons = status.at("pool").at("totals").at("refused").as_object();
  return reasons.contains(reason) ? reasons.at(reason).to_number<std::uint64_t>() : 0;
}

boost::json::object first_worker(const ServerProcess& server) {
  const boost::json::object status = server.status();
  return status.at("pool").at("workers").as_array().at(0).as_object();
}

// With a file that is more than the kernel buffers below /files/.
struct SlowStory {
  explicit SlowStory(ServerOptions options = {}, std::size_t file_size = 8'000'000) {
    auto folder = std::make_unique<TemporaryFolder>();
    folder->write("files/large", std::string(file_size, 'f'));
    options.toml = "[[static]]\nurl = \"/files/\"\nroot = \"" + folder->file("files") + "\"\n";
    server = std::make_unique<ServerProcess>(std::move(options), std::move(folder));
    server->wait_until_ready();
    load.address = server->address();
    load.duration = 4 * patience;
    load.path = "/";
    load.body_path = "/digest";
    load.read_path = "/files/large";
    load.receive_buffer = 65536;  // with less, reading the rest at once would not be at once
  }
  std::unique_ptr<ServerProcess> server;
  SlowLoad load;
};

// Ordinary clients beside the slow ones.
Load ordinary(const ServerProcess& server) {
  Load load;
  load.address = server.address();
  load.connections = 4;
  load.requests = std::numeric_limits<std::uint64_t>::max();
  load.pause = 5ms;
  return load;
}

TEST_CASE("hundreds of slow clients are answered when they come to their end, and others meanwhile", "[process]") {
  ServerOptions options;
  for (const char* limit : {"head", "body", "write"}) {
    options.set.emplace_back(std::string("http.") + limit + "_timeout", "\"10m\"");
  }
  SlowStory story(std::move(options));
  story.load.connections = {{SlowKind::head, of_a_kind}, {SlowKind::body, of_a_kind}, {SlowKind::read, of_a_kind}};
  story.load.pause = 100ms;
  story.load.slow_bytes = 20;
  story.load.duration = 10 * patience;
  BackgroundLoad others(ordinary(*story.server));

  SlowReport report = run_slow_clients(story.load);
  const LoadReport others_report = others.stop();
  INFO(report.text() << "\n" << others_report.text());
  for (const SlowKind kind : {SlowKind::head, SlowKind::body, SlowKind::read}) {
    CHECK(report.kinds[kind].answered == of_a_kind);
    CHECK(report.kinds[kind].statuses == std::map<int, std::uint64_t>{{200, of_a_kind}});
    CHECK(report.kinds[kind].bytes == of_a_kind * story.load.slow_bytes);
  }
  CHECK(report.failed_connects == 0);
  CHECK(others_report.failures() == 0);
  CHECK(others_report.answers > 0);
  story.server->expect_clean_exit();
}

TEST_CASE("hundreds of clients that are too slow end at their time limits, each counted, and others meanwhile",
          "[process]") {
  ServerOptions options;
  // A head has all of its time together; a body, and an answer, from byte to byte.
  options.set = {{"http.head_timeout", "\"3s\""}, {"http.body_timeout", "\"3s\""}, {"http.write_timeout", "\"3s\""}};
  SlowStory story(std::move(options));
  BackgroundLoad others(ordinary(*story.server));

  // Heads go on coming and are cut off all the same; the others stop after their first bytes.
  SlowLoad heads = story.load, rest = story.load;
  heads.connections = {{SlowKind::head, of_a_kind}};
  heads.pause = 200ms;
  rest.connections = {{SlowKind::body, of_a_kind}, {SlowKind::read, of_a_kind}};
  rest.pause = 10 * patience;
  auto rest_of_them = std::async(std::launch::async, [&rest] { return run_slow_clients(rest); });
  SlowReport heads_report = run_slow_clients(heads);
  SlowReport rest_report = rest_of_them.get();
  const LoadReport others_report = others.stop();
  INFO(heads_report.text() << "\n" << rest_report.text() << "\n" << others_report.text());

  CHECK(heads_report.kinds[SlowKind::head].refused == of_a_kind);
  CHECK(heads_report.kinds[SlowKind::head].statuses == std::map<int, std::uint64_t>{{408, of_a_kind}});
  CHECK(refused(*story.server, "head_timeout") == of_a_kind);
  CHECK(refused(*story.server, "body_timeout") == of_a_kind);
  CHECK(total(*story.server, "write_timeouts") == of_a_kind);
  CHECK(rest_report.kinds[SlowKind::body].refused == of_a_kind);
  CHECK(rest_report.kinds[SlowKind::body].statuses == std::map<int, std::uint64_t>{{408, of_a_kind}});
  // Visibly cut, and with what the kernel had for them.
  CHECK(rest_report.kinds[SlowKind::read].resets == of_a_kind);
  CHECK(others_report.failures() == 0);
  CHECK(others_report.answers > 0);
  CHECK(eventually([&] { return first_worker(*story.server).at("connections").to_number<unsigned>() == 0; }));
  story.server->expect_clean_exit();
}

TEST_CASE("a worker full of slow clients says so, and accepts again when they have gone", "[process]") {
  constexpr unsigned most = 50;
  ServerOptions options;
  options.set = {{"http.max_connections", std::to_string(most)}, {"http.head_timeout", "\"10m\""}};
  SlowStory story(std::move(options));
  ServerProcess& server = *story.server;
  CHECK(first_worker(server).at("is_full").as_bool() == false);
  std::atomic<bool> have_to_go{false};
  story.load.connections = {{SlowKind::head, most}};
  story.load.pause = 200ms;
  story.load.duration = 10 * patience;
  story.load.stop = &have_to_go;
  auto slow = std::async(std::launch::async, [&story] { return run_slow_clients(story.load); });
  CHECK(eventually([&] { return first_worker(server).at("connections").to_number<unsigned>() == most; }));

  // A worker that has no room says so when somebody has to wait.
  HttpClient waiting(server.address());
  waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return first_worker(server).at("is_full").as_bool(); }));
  CHECK(total(server, "times_full") == 1);
  CHECK(server.command({"status"}).output.find("(full)") != std::string::npos);

  have_to_go = true;
  SlowReport report = slow.get();
  INFO(report.text());
  CHECK(report.kinds[SlowKind::head].open == most);
  CHECK(waiting.receive().status == 200);
  CHECK(eventually([&] { return !first_worker(server).at("is_full").as_bool(); }));
  CHECK(fetch(server.address(), "/").status == 200);
  CHECK(server.log_count("connections at their limit") == 1);
  server.expect_clean_exit();
}

TEST_CASE("a slow reader pauses the iterable, and the worker's memory stays as it is", "[process]") {
  constexpr std::uint64_t mib = 256;
  ServerProcess server({});
  server.wait_until_ready();
  fetch(server.address(), "/pid");
  const pid_t worker = server.ready_workers().at(0);
  const std::uint64_t before = own_memory_kib(worker);
  const std::string counted = server.folder().file("asked");
  const auto asked = [&counted] { return std::filesystem::exists(counted) ? std::filesystem::file_size(counted) : 0; };

  HttpClient client(server.address(), 65536);
  client.send("GET /big?mib=" + std::to_string(mib) + "&asked=" + counted + " HTTP/1.1\r\nHost: a\r\n\r\n");
  client.receive_up_to("\r\n\r\n");
  // What the client has not read is in the kernel's buffers, some megabytes, or in the one piece that is being sent.
  constexpr std::uint64_t ahead_most = 16;
  std::uint64_t grown_most = 0, ahead = 0;
  for (std::uint64_t read = 0; read < mib; ++read) {
    const std::string piece = client.receive_exactly(1048576);
    CHECK(piece == std::string(1048576, static_cast<char>(read % 251)));
    ahead = std::max(ahead, asked() - (read + 1));
    grown_most = std::max(grown_most, own_memory_kib(worker) - std::min(before, own_memory_kib(worker)));
  }
  INFO("ahead at most " << ahead << " pieces, grown by " << grown_most << " KiB at most");
  CHECK(ahead <= ahead_most);
  if (has_honest_memory) CHECK(grown_most < 20 * 1024);
  CHECK(asked() == mib);
  CHECK(client.get("/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("each piece is with the client before the next is asked for", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  const std::string received = server.folder().file("received");
  HttpClient client(server.address());
  // The application waits before each further piece until the client says that it has the one before.
  client.send("GET /acknowledged?file=" + received + " HTTP/1.1\r\nHost: a\r\n\r\n");
  client.receive_up_to("\r\n\r\n");
  for (const std::size_t size : {1, 100, 4096, 16384, 16385, 100'000, 1'000'000, 5}) {
    const std::string framing = client.receive_up_to("\r\n");
    CHECK(std::stoul(framing, nullptr, 16) == size);
    CHECK(client.receive_exactly(size + 2) == std::string(size, 'p') + "\r\n");
    std::ofstream(received, std::ios::app) << '.';
  }
  CHECK(client.receive_up_to("\r\n\r\n") == "0\r\n\r\n");
  server.expect_clean_exit();
}

TEST_CASE("an iterable that has nothing yet is closed when its client has gone", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  const std::string running = server.folder().file("running"), closed = server.folder().file("closed");
  HttpClient client(server.address());
  client.send("GET /nothing-yet?running=" + running + "&closed=" + closed + " HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return std::filesystem::exists(running); }));
  client.reset();
  CHECK(eventually([&] { return std::filesystem::exists(closed); }));
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a body that is sent slowly holds nobody", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  constexpr std::size_t piece = 16384, pieces = 256;
  HttpClient slow(server.address()), other(server.address());
  slow.send("POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(piece * pieces) + "\r\n\r\n");
  for (std::size_t i = 0; i < pieces; ++i) {
    slow.send(std::string(piece, 'x'));
    CHECK(other.get("/pid").status == 200);  // by the only worker, on its only thread
    std::this_thread::sleep_for(5ms);
  }
  const HttpResponse response = slow.receive();
  CHECK(response.status == 200);
  CHECK(response.body.starts_with(std::to_string(piece * pieces) + ' '));
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
