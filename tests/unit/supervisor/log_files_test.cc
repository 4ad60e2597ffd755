#include "server/supervisor/log_files.h"

#include "server/logging/log_file.h"
#include "tests/support/catch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace stint;
using namespace stint::supervisor;

namespace {

const Account site{12345, 12346, {12346}, "site", "/", "/bin/sh"};

// In /tmp, root's, which others may enter.
struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/stint-logs-XXXXXX";
    path = ::mkdtemp(name);
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
};

LogSettings logs(const std::string& error) { return {LogLevel::info, "", "combined", error}; }

struct stat status_of(const std::string& path) {
  struct stat status{};
  CHECK(::stat(path.c_str(), &status) == 0);
  return status;
}

bool is_root() {
  if (::geteuid() == 0) return true;
  WARN("skipped: only root makes files for others");
  return false;
}

TEST_CASE("a log in a folder of root's is made for the user, and for nobody else to read", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder;
  const LogSettings settings{LogLevel::info, folder.file("access.log"), "combined", folder.file("error.log")};
  REQUIRE(make_error_log(settings, site).has_value());
  REQUIRE(make_access_log(settings, site).has_value());
  for (const std::string& path : {settings.access, settings.error}) {
    CHECK(status_of(path).st_uid == site.uid);
    CHECK(status_of(path).st_gid == site.gid);
    CHECK((status_of(path).st_mode & 0137) == 0);
  }
  CHECK(make_access_log(settings, site).has_value());  // again, after a rotation that left them
}

TEST_CASE("a group of root's choice may write to the log's folder too, everybody may not", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder;
  REQUIRE(::chmod(folder.path.c_str(), 0775) == 0);  // as /var/log of Ubuntu
  REQUIRE(make_error_log(logs(folder.file("error.log")), site).has_value());
  CHECK(status_of(folder.file("error.log")).st_uid == site.uid);

  std::filesystem::create_symlink("elsewhere", folder.path / "link.log");
  CHECK_FALSE(make_error_log(logs(folder.file("link.log")), site).has_value());
  CHECK_FALSE(std::filesystem::exists(folder.path / "elsewhere"));
}

TEST_CASE("in a folder of its own the user makes the log itself", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder;
  REQUIRE(::chown(folder.path.c_str(), site.uid, site.gid) == 0);
  REQUIRE(make_error_log(logs(folder.file("error.log")), site).has_value());
  CHECK(status_of(folder.file("error.log")).st_uid == site.uid);
}

TEST_CASE("a file of somebody else's is not given away, but told with what to do", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder;
  std::ofstream(folder.file("error.log")) << "kept";
  REQUIRE(::chmod(folder.file("error.log").c_str(), 0600) == 0);
  const auto made = make_error_log(logs(folder.file("error.log")), site);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().text() ==
        "open log.error " + folder.file("error.log") +
            " as site (uid 12345): Permission denied; that user has to be able to write the file");
  CHECK(status_of(folder.file("error.log")).st_uid == 0);
}

TEST_CASE("root makes nothing where the user could have put a link", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder, roots;
  REQUIRE(::chown(folder.path.c_str(), site.uid, site.gid) == 0);
  std::filesystem::create_directory_symlink(roots.path, folder.path / "logs");
  CHECK_FALSE(make_error_log(logs(folder.file("logs/error.log")), site).has_value());
  CHECK_FALSE(std::filesystem::exists(roots.path / "error.log"));

  std::filesystem::create_symlink(roots.path / "target", folder.path / "error.log");
  CHECK_FALSE(make_error_log(logs(folder.file("error.log")), site).has_value());
  CHECK_FALSE(std::filesystem::exists(roots.path / "target"));
}

TEST_CASE("what root writes goes where the user could write, whatever the name leads to afterwards", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder, roots;
  REQUIRE(::chown(folder.path.c_str(), site.uid, site.gid) == 0);
  const Result<UniqueFd> file = make_error_log(logs(folder.file("error.log")), site);
  REQUIRE(file.has_value());
  REQUIRE(file->is_open());
  std::filesystem::rename(folder.file("error.log"), folder.file("error.log.1"));
  std::filesystem::create_symlink(roots.path / "target", folder.path / "error.log");
  logging::LogFile log{UniqueFd(::dup(file->get()))};
  CHECK(log.write("a line\n") == 0);
  CHECK(status_of(folder.file("error.log.1")).st_size == 7);
  CHECK_FALSE(std::filesystem::exists(roots.path / "target"));
}

TEST_CASE("a pipe that nobody reads yet is no reason to wait", "[supervisor]") {
  if (!is_root()) return;
  const Folder folder;
  REQUIRE(::mkfifo(folder.file("lines").c_str(), 0600) == 0);
  REQUIRE(::chown(folder.file("lines").c_str(), site.uid, site.gid) == 0);
  const Result<UniqueFd> file = make_error_log(logs(folder.file("lines")), site);
  REQUIRE(file.has_value());
  CHECK(file->is_open());
}

TEST_CASE("without a user, and for standard output and none, there is nothing to make", "[supervisor]") {
  const Folder folder;
  CHECK(make_error_log(logs(folder.file("error.log")), std::nullopt).has_value());
  CHECK_FALSE(std::filesystem::exists(folder.file("error.log")));
  CHECK(make_error_log({LogLevel::info, "", "combined", "-"}, site).has_value());
  CHECK(make_access_log({LogLevel::info, "", "combined", "-"}, site).has_value());
  CHECK(make_access_log({LogLevel::info, "-", "combined", "-"}, site).has_value());
}

}  // namespace
