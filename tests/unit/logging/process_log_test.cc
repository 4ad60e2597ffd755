#include "server/logging/process_log.h"

#include "tests/support/catch.h"
#include "tests/support/read_all.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

using namespace stint;
using namespace stint::logging;
using namespace stint::test;

namespace {

std::unique_ptr<ProcessLog> open_log(const std::string& path) {
  auto log = ProcessLog::open({LogLevel::info, "", "combined", path}, "worker site/3");
  REQUIRE(log.has_value());
  return std::move(*log);
}

TEST_CASE("a line says when, how bad, who, what and its facts, and nobody can forge one", "[logging]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("error.log");
  const auto log = open_log(path);
  log->warning("worker died", {{"pool", "site"}, {"worker", 3}, {"error", "two words\nand a line"}, {"none", ""}});
  log->debug("not told");
  log->write(LogLevel::error, "application failed", {}, "Traceback:\n\tone\x1b\n");

  const std::string text = read_file(path), who = " worker site/3[" + std::to_string(::getpid()) + "]: ";
  INFO(text);
  CHECK(text.find(" warning" + who +
                  "worker died  pool=site worker=3 error=\"two words\\x0aand a line\" none=\"\"\n") == 23);
  CHECK(text.find(" error" + who + "application failed\nTraceback:\n\tone\\x1b\n") != std::string::npos);
  CHECK(text.find("not told") == std::string::npos);
}

TEST_CASE("after a rotation the path is opened anew, and where that fails the old file goes on", "[logging]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("logs/error.log");
  const auto log = open_log(path);
  std::filesystem::rename(folder.file("logs"), folder.file("old"));
  log->reopen();
  log->info("in the new one");
  CHECK(read_file(path).find("in the new one\n") != std::string::npos);

  const Result<void> changed = log->change({LogLevel::info, "", "combined", "/proc/no/such.log"});
  REQUIRE_FALSE(changed.has_value());
  CHECK(changed.error().text() == "open /proc/no/such.log: No such file or directory");
  log->reopen();
  log->info("still there");
  CHECK(read_file(path).find("still there\n") != std::string::npos);
}

TEST_CASE("a file that somebody has opened is written, whatever its name leads to", "[logging]") {
  const TemporaryFolder folder;
  UniqueFd file(::open(folder.file("opened").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  const auto log =
      ProcessLog::open({LogLevel::info, "", "combined", folder.file("named")}, "supervisor", std::move(file));
  REQUIRE(log.has_value());
  (*log)->info("here");
  CHECK(read_file(folder.file("opened")).find("here\n") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.file("named")));
}

TEST_CASE("where nobody reads the log its writer goes on, and what is missing is said in its place", "[logging]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("lines");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(::fcntl(reader.get(), F_SETPIPE_SZ, 4096) >= 4096);
  const auto log = open_log(path);
  for (int i = 0; i < 200; ++i) log->info("one of two hundred", {{"number", i}});

  const std::string before = read_all(reader.get());
  const auto written = std::count(before.begin(), before.end(), '\n');
  CHECK(written > 0);
  log->info("the next");
  const std::string after = read_all(reader.get());
  INFO(after);
  const std::string missing = "log lines dropped  dropped=" + std::to_string(200 - written) +
                              " error=\"there is no room: nobody reads it, or too slowly\"\n";
  REQUIRE(after.find(missing) != std::string::npos);
  CHECK(after.find("the next\n") > after.find(missing));
  log->info("and one more");
  CHECK(read_all(reader.get()).find("dropped") == std::string::npos);
}

}  // namespace
