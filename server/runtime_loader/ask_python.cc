#include "server/runtime_loader/runtime_loader.h"
#include "server/runtime_loader/subprocess_output.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string_view>

namespace stint::runtime_loader {
namespace {

constexpr std::chrono::seconds longest_answer{10};

// Runs isolated and without site, so that nothing of the environment's packages can print or fail. One "name=value" a
// NUL-ended record: sys.version may have two lines.
constexpr const char* question = R"(
import sys, sysconfig
value = lambda name: sysconfig.get_config_var(name) or ''
for record in (
    ('implementation', sys.implementation.name),
    ('full_version', sys.version),
    ('version', '%d.%d.%d' % sys.version_info[:3]),
    ('minor', '%d.%d' % sys.version_info[:2]),
    ('abiflags', sys.abiflags),
    ('gil_disabled', value('Py_GIL_DISABLED')),
    ('executable', sys.executable),
    ('base_prefix', sys.base_prefix),
    ('libdir', value('LIBDIR')),
    ('multiarch', value('MULTIARCH')),
    ('library', value('INSTSONAME') or value('LDLIBRARY')),
):
    sys.stdout.write('%s=%s\0' % record)
)";

using Facts = std::map<std::string, std::string>;

Facts parse(std::string_view text) {
  Facts facts;
  while (!text.empty()) {
    std::string_view record = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(text.size(), record.size() + 1));
    if (std::size_t equals = record.find('='); equals != std::string_view::npos) {
      facts.emplace(record.substr(0, equals), record.substr(equals + 1));
    }
  }
  return facts;
}

bool is_file(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_folder(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0
}

// Which program to ask, or what is wrong with the environment.
Result<std::string> program_of(const std::string& venv) {
  if (venv.empty()) return std::string(STINT_PYTHON_EXECUTABLE);
  if (!is_folder(venv)) {
    return error_because("app.venv: " + venv + " does not exist; make it with: python3 -m venv " + venv);
  }
  std::string program = venv + "/bin/python";
  if (!is_file(program)) {
    return error_because("app.venv: " + venv + " has no bin/python, or one that points nowhere; make it anew with: " +
                         "python3 -m venv --clear " + venv);
  }
  if (::access(program.c_str(), X_OK) != 0) {
    return error_because("app.venv: " + program + " may not be run by this user; check its permissions");
  }
  return program;
}

// The shared library. Some builds (conda, standalone ones) ship it though their configuration names the static one, so
// its usual names are looked for as well.
std::string find_libpython(const Facts& facts) {
  auto fact = [&](const char* name) { return facts.at(name); };
  const std::string usual = "libpython" + fact("minor") + fact("abiflags") + ".so";
  std::vector<std::string> names;
  if (fact("library").find(".so") != std::string::npos) names.push_back(fact("library"));
  names.insert(names.end(), {usual + ".1.0", usual + ".1", usual});

  std::vector<std::string> folders{fact("libdir"), fact("base_prefix") + "/lib"};
  if (!fact("multiarch").empty()) {
    for (const std::string& folder : {fact("libdir"), fact("base_prefix") + "/lib", std::string("/usr/lib")}) {
      folders.push_back(folder + "/" + fact("multiarch"));
    }
  }
  for (const std::string& folder : folders) {
    for (const std::string& name : names) {
      if (!folder.empty() && is_file(folder + "/" + name)) return folder + "/" + name;
    }
  }
  return {};
}

}  // namespace

Result<PythonIdentity> ask_python(const std::string& venv) {
  auto program = program_of(venv);
  if (!program.has_value()) return program.error();
  auto output = output_of(*program, {"-I", "-S", "-c", question}, longest_answer);
  if (!output.has_value()) return output.error();
  if (!WIFEXITED(output->status) || WEXITSTATUS(output->status) != 0) {
    std::string why = last_line(output->err);
    if (why.empty()) why = WIFSIGNALED(output->status) ? "killed by a signal" : "failed without a word";
    return error_because(*program + " does not work: " + why +
                         (venv.empty() ? "; set app.venv" : "; make the environment anew"));
  }

  Facts facts = parse(output->out);
  if (facts.count("library") == 0) {
    return error_because(*program + " does not answer like Python; set app.venv to a virtual environment");
  }
  if (facts["implementation"] != "cpython") {
    return error_because(*program + " is " + facts["implementation"] + "; Stint needs CPython");
  }
  if (facts["gil_disabled"] == "1") {
    return error_because(*program + " is a free-threaded Python, which Stint does not support; use the regular one");
  }
  std::string libpython = find_libpython(facts);
  if (libpython.empty()) {
    return error_because(*program + " has no shared library libpython" + facts["minor"] +
                         ".so.1.0; on Debian or Ubuntu install libpython" + facts["minor"] +
                         ", elsewhere build Python with --enable-shared");
  }
  return PythonIdentity{.version = facts["version"],
                        .minor = facts["minor"],
                        .full_version = facts["full_version"],
                        .libpython = libpython,
                        .executable = venv.empty() ? facts["executable"] : *program};
}

}  // namespace stint::runtime_loader
