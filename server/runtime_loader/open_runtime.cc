#include "server/runtime_loader/runtime_loader.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <unistd.h>

#include <vector>

namespace stint::runtime_loader {
namespace {

constexpr const char* module_prefix = "stint-embed-cp";

// Where embed modules are: beside the program in a build, in ../lib/stint when installed.
std::vector<std::string> module_folders() {
  char path[PATH_MAX];
  ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return {};
  std::string program(path, static_cast<std::size_t>(size));
  std::string folder = program.substr(0, program.rfind('/'));
  return {folder, folder + "/../lib/stint"};
}

// "3.11" of ".../stint-embed-cp311.so"; empty for other names.
std::string minor_of(const std::string& path) {
  std::size_t begin = path.rfind(module_prefix) + std::string_view(module_prefix).size();
  std::string digits = path.substr(begin, path.rfind('.') - begin);
  return digits.size() < 2 ? "" : digits.substr(0, 1) + "." + digits.substr(1);
}

// The versions that this Stint has modules for: "3.11, 3.13", or empty.
std::string built_for() {
  std::string versions;
  for (const std::string& folder : module_folders()) {
    glob_t found{};
    if (::glob((folder + "/" + module_prefix + "*.so").c_str(), 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) {
        if (!versions.empty()) versions += ", ";
        versions += minor_of(found.gl_pathv[i]);
      }
    }
    ::globfree(&found);
  }
  return versions;
}

Result<std::string> find_module(const PythonIdentity& python) {
  std::string name = module_prefix;
  for (char c : python.minor) {
    if (c != '.') name += c;
  }
  for (const std::string& folder : module_folders()) {
    std::string path = folder + "/" + name + ".so";
    if (::access(path.c_str(), R_OK) == 0) return path;
  }
  std::string versions = built_for();
  if (versions.empty()) {
    return error_because(name + ".so is neither beside the stint program nor in ../lib/stint; build or install it");
  }
  return error_because(python.executable + " is Python " + python.minor + ", but this Stint is built for Python " +
                       versions + "; make the environment with that version, or build Stint with " +
                       "-DPython3_EXECUTABLE=" + python.executable);
}

Error dl_error(const std::string& doing) {
  const char* why = ::dlerror();
  return error_because(doing + ": " + (why != nullptr ? why : "unknown error"));
}

}  // namespace

Result<LoadedRuntime> open_runtime(const PythonIdentity& python) {
  auto path = find_module(python);
  if (!path.has_value()) return path.error();

  // Global, because extension modules of Debian's Python are not linked to libpython themselves.
  void* library = ::dlopen(python.libpython.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return dl_error("open libpython");
  auto get_version = reinterpret_cast<const char* (*)()>(::dlsym(library, "Py_GetVersion"));
  if (get_version == nullptr) return dl_error("open libpython");
  if (std::string version = get_version(); version != python.full_version) {
    return error_because(python.libpython + " is Python " + version + ", but " + python.executable + " is " +
                         python.full_version + "; install the libpython that belongs to it");
  }

  void* embed = ::dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (embed == nullptr) return dl_error("open the embed module");
  auto entry = reinterpret_cast<RuntimeEntry>(::dlsym(embed, runtime_entry_symbol));
  if (entry == nullptr) return dl_error("open the embed module");
  const RuntimeModule* module = entry();
  if (module->interface != runtime_interface) {
    return error_because(*path + " belongs to another build of Stint; install both from the same build");
  }
  if (module->python_version != python.minor) {
    return error_because(*path + " is made for Python " + module->python_version + ", not " + python.minor +
                         "; install it anew");
  }
  return LoadedRuntime{module, *path};
}

}  // namespace stint::runtime_loader
