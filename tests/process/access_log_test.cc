#include "tests/process/story.h"
#include "tests/support/read_all.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <regex>

namespace stint::test {
namespace {

bool has_line(const std::string& text, const std::string& pattern) {
  return std::regex_search(text, std::regex("(^|\n)" + pattern + "\n"));
}

// A named pipe that is full after 4 KiB; what is opened of it does not block.
UniqueFd small_pipe(const std::string& path, int flags) {
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  UniqueFd pipe(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(pipe.is_open());
  REQUIRE(::fcntl(pipe.get(), F_SETPIPE_SZ, 4096) >= 4096);
  return pipe;
}

TEST_CASE("each request has its line in combined format on standard output", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  client.request("GET", "/?x=1", {{"Referer", "http://a/\"b"}, {"User-Agent", "story\\1.0"}});
  client.get("/no-such-page");
  client.request("HEAD", "/");

  const std::string time = R"(\[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\])";
  CHECK(eventually([&] {
    return has_line(server.output(), "127\\.0\\.0\\.1 - - " + time +
                                         R"( "GET /\?x=1 HTTP/1\.1" 200 13 "http://a/\\"b" "story\\\\1\.0")");
  }));
  CHECK(eventually([&] { return has_line(server.output(), ".*\"GET /no-such-page HTTP/1\\.1\" 404 13 \"-\" \"-\""); }));
  CHECK(eventually([&] { return has_line(server.output(), ".*\"HEAD / HTTP/1\\.1\" 200 (-|0) \"-\" \"-\""); }));
  INFO(server.output());
  server.expect_clean_exit();
}

TEST_CASE("what a client sends cannot make a second line or a control sequence", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient(server.address()).request("GET", "/%0A%1b[31m", {{"User-Agent", "caf\xc3\xa9\tx"}});
  HttpClient refused(server.address());
  refused.send("GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(refused.receive().status == 400);
  CHECK(refused.receive_until_close() == "");

  CHECK(eventually([&] { return server.output().find("\" 400 ") != std::string::npos; }));
  for (const char byte : server.output()) CHECK((byte == '\n' || (byte >= ' ' && byte < 0x7f)));
  for (const char byte : server.log()) CHECK(byte != '\x1b');
  server.expect_clean_exit();
}

TEST_CASE("a request that is refused for its body has its line, however its head came", "[process]") {
  ServerOptions options;
  options.listen = {"unix:site.sock"};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send("POST /digest?refused HTTP/1.1\r\nHost: a\r\n");
  REQUIRE(client.is_all_taken_within(patience));
  client.send("Transfer-Encoding: chunked\r\n\r\nZZ\r\n");
  CHECK(client.receive().status == 400);
  CHECK(eventually([&] { return has_line(server.output(), ".*\"POST /digest\\?refused HTTP/1\\.1\" 400 .*"); }));
  server.expect_clean_exit();
}

TEST_CASE("the json format is an object a line", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string log = folder->file("access.json");
  ServerOptions options;
  options.set = {{"log.access", "\"" + log + "\""}, {"log.format", "\"json\""}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  fetch(server.address(), "/?\"quoted\"", {{"User-Agent", "a \"b\" \\ c"}});

  CHECK(eventually([&] { return read_file(log).ends_with("\n"); }));
  const std::string line = read_file(log);
  INFO(line);
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(line.substr(0, line.find('\n')), error);
  CHECK_FALSE(error.failed());
  CHECK(value.is_object());
  server.expect_clean_exit();
}

TEST_CASE("an Apache LogFormat string is taken as it is", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string log = folder->file("access.log");
  ServerOptions options;
  options.set = {{"log.access", "\"" + log + "\""}, {"log.format", R"('%m %U%q %>s %b %{X-Story}i %{X-Worker-Pid}o')"}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  const std::string pid = std::to_string(server.ready_workers().at(0));
  fetch(server.address(), "/pid?x=1", {{"X-Story", "yes"}});

  const std::string line = "GET /pid?x=1 200 " + std::to_string(pid.size()) + " yes " + pid + "\n";
  CHECK(eventually([&] { return read_file(log) == line; }));
  INFO(read_file(log));
  server.expect_clean_exit();
}

TEST_CASE("a standard output that nobody reads does not stop the answers, and is written again when it is read",
          "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const UniqueFd pipe = small_pipe(folder->file("lines"), O_RDWR);
  ServerOptions options;
  options.wrapper = {"/bin/sh", "-c", "exec \"$@\" >lines", "sh"};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  HttpClient client(server.address());

  // One line is longer than the pipe has room for.
  CHECK(client.request("GET", "/", {{"Referer", std::string(6'000, 'r')}}).status == 200);
  CHECK(eventually([&] { return client.get("/").status == 200 && server.log_count("access log not written") > 0; }));
  for (int i = 0; i < 300; ++i) REQUIRE(client.get("/").status == 200);

  std::string got;
  CHECK(eventually([&] {
    REQUIRE(client.get("/read-again").status == 404);
    got += read_all(pipe.get());
    return got.find("\"GET /read-again HTTP/1.1\" 404 ") != std::string::npos &&
           server.log_count("access log written again") > 0;
  }));
  CHECK(got.find("rrr") < got.find("\n"));  // of the long line only a part, and what comes next has a line of its own
  CHECK(got.find("rrr\n127.0.0.1 - - [") != std::string::npos);
  CHECK(server.log_count("access log not written") == 1);
  CHECK(server.log_count("access log written again") == 1);
  INFO(server.log());
  server.expect_clean_exit();
}

TEST_CASE("a log that nobody reads does not stop the answers either, and says what it has not got", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const UniqueFd pipe = small_pipe(folder->file("lines"), O_RDONLY);
  ServerOptions options;
  options.listen = {"unix:site.sock"};
  options.set = {{"log.error", "\"" + folder->file("lines") + "\""}};
  ServerProcess server(options, std::move(folder));
  REQUIRE(eventually([&] { return server.ready_workers().size() == 1; }));
  HttpClient client("unix:" + server.folder().file("site.sock"));
  for (int i = 0; i < 20; ++i) REQUIRE(client.get("/raise").status == 500);

  std::string got;
  CHECK(eventually([&] {
    REQUIRE(client.get("/raise").status == 500);
    got += read_all(pipe.get());
    return got.find("log lines dropped  dropped=") != std::string::npos;
  }));
  INFO(got);
  CHECK(got.find("a story's own error") != std::string::npos);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
