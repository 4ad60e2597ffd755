// Stories of servers that cannot start: one clear message, the right exit code, nothing left running.
#include "tests/process/story.h"

namespace stint::test {
namespace {

void expect_failed_start(ServerProcess& server, int exit_code, const std::vector<std::string>& texts) {
  const auto code = server.wait_for_exit(patience);
  INFO("log:\n" << server.log() << server.output());
  REQUIRE(code.has_value());
  CHECK(*code == exit_code);
  for (const std::string& text : texts) CHECK(server.log_count(text) == 1);
  server.expect_nothing_left();
}

TEST_CASE("an application that raises in its import: its traceback once, exit code 1", "[process]") {
  ServerOptions options = with_workers(2);
  options.module = "fails_to_import:application";
  options.listen = {"unix:site.sock"};
  ServerProcess server(options);
  expect_failed_start(server, 1, {"Traceback (most recent call last)", "\nLookupError: no settings for the story"});
  CHECK_FALSE(std::filesystem::exists(server.folder().file("site.sock")));
}

TEST_CASE("a module that does not exist: exit code 1", "[process]") {
  ServerOptions options;
  options.module = "no_such_module:application";
  ServerProcess server(options);
  expect_failed_start(server, 1, {});
  CHECK(server.log().find("No module named 'no_such_module'") != std::string::npos);
}

TEST_CASE("a module without the callable: exit code 1, and the name that is missing", "[process]") {
  ServerOptions options;
  options.module = "story_app:no_such_callable";
  ServerProcess server(options);
  expect_failed_start(server, 1, {});
  CHECK(server.log().find("no_such_callable") != std::string::npos);
}

TEST_CASE("a TOML with a mistake: file, line and column, exit code 2", "[process]") {
  ServerOptions options;
  options.toml = "[app]\nmodule = \"story_app:application\"\n\n[http]\n  idle_timeot = \"75s\"\n";
  options.module.clear();
  ServerProcess server(options);
  expect_failed_start(server, 2, {"stint.toml:5:3:"});
  CHECK(server.log().find("idle_timeout") != std::string::npos);  // did you mean
}

TEST_CASE("a TOML that is none: file, line and column, exit code 2", "[process]") {
  ServerOptions options;
  options.toml = "[app\nmodule = 1\n";
  ServerProcess server(options);
  expect_failed_start(server, 2, {"stint.toml:1:"});
}

TEST_CASE("a port in use: exit code 1, and the address", "[process]") {
  ServerProcess first({});
  first.wait_until_ready();

  ServerOptions options;
  options.listen = {first.address()};
  ServerProcess second(options);
  expect_failed_start(second, 1, {"Address already in use"});
  CHECK(second.log().find(first.address()) != std::string::npos);

  CHECK(fetch(first.address(), "/").status == 200);
  first.expect_clean_exit();
}

TEST_CASE("a unix socket that answers is not taken away from its server", "[process]") {
  ServerOptions options;
  options.listen = {"unix:site.sock"};
  ServerProcess first(options);
  first.wait_until_ready();

  options.listen = {first.address()};
  ServerProcess second(options);
  expect_failed_start(second, 1, {});
  CHECK(second.log().find(first.address()) != std::string::npos);
  CHECK(fetch(first.address(), "/").status == 200);
  first.expect_clean_exit();
}

TEST_CASE("the socket files of a killed server do not stop the next one", "[process]") {
  const TemporaryFolder folder;
  ServerOptions options;
  options.listen = {"unix:" + folder.file("site.sock")};
  options.set = {{"control.socket", "\"" + folder.file("shared-control.sock") + "\""}};
  {
    ServerProcess killed(options);
    killed.wait_until_serving();
  }
  CHECK(std::filesystem::exists(folder.file("site.sock")));

  ServerProcess next(options);
  next.wait_until_serving();
  CHECK(fetch(next.address(), "/").status == 200);
  next.expect_clean_exit();
  CHECK_FALSE(std::filesystem::exists(folder.file("shared-control.sock")));
}

TEST_CASE("a virtual environment that is not there: exit code 2, and its path", "[process]") {
  ServerOptions options;
  options.set = {{"app.venv", "\"/no/such/venv\""}};
  ServerProcess server(options);
  expect_failed_start(server, 2, {});
  CHECK(server.log().find("/no/such/venv") != std::string::npos);
}

TEST_CASE("a folder that is no virtual environment: exit code 2, and its path", "[process]") {
  const TemporaryFolder empty;
  ServerOptions options;
  options.set = {{"app.venv", "\"" + empty.path().string() + "\""}};
  ServerProcess server(options);
  expect_failed_start(server, 2, {});
  CHECK(server.log().find(empty.path().string()) != std::string::npos);
}

TEST_CASE("no application named: exit code 2", "[process]") {
  ServerOptions options;
  options.module.clear();
  ServerProcess server(options);
  expect_failed_start(server, 2, {});
}

}  // namespace
}  // namespace stint::test
