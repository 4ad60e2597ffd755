#include "server/control/control_place.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace stint::control {

namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::string default_control_path() {
  if (::geteuid() == 0) return "/run/stint/control.sock";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') return std::string(runtime) + "/stint/control.sock";
  return "/tmp/stint-" + std::to_string(::geteuid()) + "/control.sock";
}

Result<void> make_control_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_error("make the folder " + folder);
  return {};
}

Result<void> check_control_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  const std::string doing = "use the folder " + folder + " for the control socket";
  struct stat status{};
  if (::lstat(folder.c_str(), &status) != 0) return system_error(doing);
  if (!S_ISDIR(status.st_mode)) return system_error(doing, ENOTDIR);
  if (status.st_uid != ::geteuid()) return error_because(doing + ": it belongs to another user");
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return error_because(doing + ": others may write to it");
  return {};
}

}  // namespace stint::control
