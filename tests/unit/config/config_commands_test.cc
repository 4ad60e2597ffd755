#include "server/cli/config_commands.h"

#include "tests/support/catch.h"

#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>

namespace stint::cli {
namespace {

// A working directory with a stint.toml, for as long as a test runs.
class ProjectFolder {
 public:
  explicit ProjectFolder(const std::string& toml) {
    REQUIRE(::getcwd(before_, sizeof before_) != nullptr);
    REQUIRE(::mkdtemp(path_) != nullptr);
    REQUIRE(::chdir(path_) == 0);
    std::FILE* file = std::fopen("stint.toml", "w");
    REQUIRE(file != nullptr);
    std::fputs(toml.c_str(), file);
    REQUIRE(std::fclose(file) == 0);
  }
  ~ProjectFolder() {
    (void)std::remove("stint.toml");
    if (::chdir(before_) != 0) std::abort();
    (void)::rmdir(path_);
  }
  std::string path() const { return path_; }

 private:
  char before_[PATH_MAX];
  char path_[32] = "/tmp/stint-cli-XXXXXX";
};

}  // namespace

TEST_CASE("stint.toml of the working directory counts when no file is named", "[cli]") {
  const ProjectFolder folder("[app]\nmodule = \"a:b\"\n[log]\nlevel = \"debug\"\n");
  const auto loaded = load_settings({std::nullopt, {{"app.workers.count", "3", "--workers"}}});
  REQUIRE(std::holds_alternative<config::Loaded>(loaded));
  const Settings& settings = std::get<config::Loaded>(loaded).settings;
  CHECK(settings.log.level == LogLevel::debug);
  CHECK(settings.app.workers.count == 3);
  CHECK(settings.app.directory == folder.path());

  const auto missing = load_settings({"none.toml", {}});
  REQUIRE(std::holds_alternative<config::Problems>(missing));
  CHECK(std::get<config::Problems>(missing).at(0).text() == "read none.toml: No such file or directory");
}

TEST_CASE("the control socket is found by option, by file, and at its default place", "[cli]") {
  {
    // A server that was started with MODULE:CALLABLE, whose virtual environment is away for a moment.
    const ProjectFolder folder("[app]\nvenv = \"gone\"\n[control]\nsocket = \"c.sock\"\n");
    CHECK(std::get<std::string>(find_control_socket({})) == folder.path() + "/c.sock");
    CHECK(std::get<std::string>(find_control_socket({std::nullopt, "/run/x"})) == "/run/x");
  }
  const ProjectFolder folder("");
  CHECK(std::get<std::string>(find_control_socket({})).ends_with("/control.sock"));
}

}  // namespace stint::cli
