#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {

LoadFailure failure_of(const std::string& module) {
  CHECK(python().load(module) == nullptr);
  return python().failure;
}

}  // namespace

TEST_CASE("the module is imported once, in the main thread, with sane argv, path and directory (WSGI 52)") {
  REQUIRE(python().load("hello"));
  std::string here = STINT_SOURCE_DIR "/tests/apps";
  std::string directory = std::filesystem::canonical(here).string();
  CHECK(body_of("import_facts") == R"([[true, ["wsgi_cases"], ")" + directory + "\", \"" + directory + "\"]]");
}

TEST_CASE("the steps of a start are named and timed") {
  REQUIRE(python().load("hello"));
  REQUIRE(python().steps.size() == 2);
  CHECK(python().steps[0].name == "interpreter");
  CHECK(python().steps[0].took.count() > 0);
  CHECK(python().steps[1].name == "import");
}

TEST_CASE("a module that is not there is told in one line") {
  auto failure = failure_of("no_such.module:application");
  CHECK(failure.step == "import");
  CHECK(failure.summary == "ModuleNotFoundError: No module named 'no_such'");
}

TEST_CASE("an error inside the module comes with its own traceback, without the import system's frames") {
  auto failure = failure_of("import_fails:application");
  CHECK_THAT(failure.summary, ContainsSubstring("ImportError: cannot import name 'nothing_of_this_name'"));
  CHECK_THAT(failure.traceback, ContainsSubstring("import_fails.py"));
  CHECK_THAT(failure.traceback, ContainsSubstring("from wsgi_cases import"));
  CHECK_THAT(failure.traceback, !ContainsSubstring("importlib"));
}

TEST_CASE("a module that exits when imported fails the load and not the process (WSGI 46)") {
  CHECK(failure_of("import_exits:application").summary == "SystemExit: no configuration");
}

TEST_CASE("a callable that is not there is told with what was probably meant") {
  CHECK(failure_of("wsgi_validated:aplication").summary ==
        "'wsgi_validated' has no attribute 'aplication'; did you mean 'application'?");
  CHECK(failure_of("wsgi_validated:zzz").summary ==
        "'wsgi_validated' has no attribute 'zzz'; did you mean 'application'?");
  CHECK(failure_of("wsgi_cases:callable_object.zzz").summary ==
        "'wsgi_cases.callable_object' has no attribute 'zzz'; did you mean 'application'?");
}

TEST_CASE("something that cannot be called is refused") {
  CHECK(failure_of("wsgi_cases:not_callable").summary ==
        "'wsgi_cases:not_callable' is of type 'dict', which cannot be called");
}

TEST_CASE("a graceful end waits for threads and runs atexit handlers (WSGI 56)") {
  char path[] = "/tmp/stint-test-XXXXXX";
  int fd = ::mkstemp(path);
  REQUIRE(fd >= 0);
  ::close(fd);
  auto application = python().load("at_exit:application");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE(!call(*application, path, sink));
  python().runtime->shut_down();
  std::stringstream said;
  said << std::ifstream(path).rdbuf();
  ::unlink(path);
  CHECK(said.str() == "thread ended\natexit ran\n");
}
