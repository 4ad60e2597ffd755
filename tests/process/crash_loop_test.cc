#include "tests/process/story.h"

#include <signal.h>

#include <algorithm>

namespace stint::test {
namespace {

constexpr const char* good_module = "from story_app import application\n";
constexpr const char* broken_module =
    "from story_app import application\n"
    "raise RuntimeError('broken since the last edit')\n";

// The module is found in the story's folder, story_app beside the stories.
ServerOptions edited_application(const TemporaryFolder& folder) {
  folder.write("edited.py", good_module);
  ServerOptions options = with_workers(2);
  options.module = "edited:application";
  options.directory = folder.path();
  options.set = {{"app.env", "{ PYTHONPATH = \"" + apps_folder() + "\" }"}};
  return options;
}

TEST_CASE("a worker that cannot start again is tried with growing pauses while the other one serves", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string source = folder->file("edited.py");
  ServerOptions options = edited_application(*folder);
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  const auto before = server.ready_workers();

  server.folder().write("edited.py", broken_module);
  kill(before[0], SIGKILL);
  Load load;
  load.address = server.address();
  load.requests = 1'000'000;
  load.pause = 5ms;
  CHECK(eventually([&] { return server.log_count("broken since the last edit") >= 1; }));
  BackgroundLoad background(load);
  CHECK(eventually([&] { return server.log_count("Traceback (most recent call last)") >= 3; }));
  const LoadReport report = background.stop();
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.answers_by_worker.count(before[1]) == 1);
  CHECK(server.is_running());
  // Back-off: without it a start every 50 ms would have been tried.
  CHECK(report.took > 500ms);

  server.folder().write("edited.py", good_module);
  CHECK(server.wait_for_ready_workers(2));
  server.expect_clean_exit();
}

TEST_CASE("HUP with broken code leaves the old workers serving", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  ServerOptions options = edited_application(*folder);
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  const auto before = server.ready_workers();

  server.folder().write("edited.py", broken_module);
  server.signal(SIGHUP);
  CHECK(eventually([&] { return server.log_count("RuntimeError: broken since the last edit") >= 1; }));
  CHECK(server.ready_workers() == before);
  Load load;
  load.address = server.address();
  load.requests = 2'000;
  const LoadReport report = run_load(load);
  INFO(report.text());
  CHECK(report.failures() == 0);
  server.expect_clean_exit();
}

TEST_CASE("who has been there for long has served, though nobody has asked for anything", "[process]") {
  ServerProcess server(with_workers(1));
  server.wait_until_ready();
  for (unsigned deaths = 1; deaths <= 2; ++deaths) {
    REQUIRE(server.wait_for_ready_workers(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(10'500));
    ::kill(server.ready_workers().at(0), SIGKILL);
    REQUIRE(eventually([&] { return server.log_count("worker died") == deaths; }));
  }
  CHECK(server.log_count("next=\"restart in 0s\"") == 2);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
