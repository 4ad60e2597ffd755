#include "server/runtime_loader/runtime_loader.h"
#include "tests/support/catch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace stint;
using namespace stint::runtime_loader;
using Catch::Matchers::ContainsSubstring;

namespace {

// A folder that looks like a virtual environment, whose python is a shell script.
struct FakeEnvironment {
  std::string path;

  explicit FakeEnvironment(const std::string& script) {
    char name[] = "/tmp/stint-venv-XXXXXX";
    path = ::mkdtemp(name);
    if (script.empty()) return;
    std::filesystem::create_directory(path + "/bin");
    std::ofstream(path + "/bin/python") << "#!/bin/sh\n" << script << "\n";
    ::chmod((path + "/bin/python").c_str(), 0755);
  }
  FakeEnvironment(const FakeEnvironment&) = delete;
  ~FakeEnvironment() { std::filesystem::remove_all(path); }
};

std::string error_of(const std::string& venv) {
  auto asked = ask_python(venv);
  REQUIRE(!asked.has_value());
  return asked.error().text();
}

// What the script answers for a Python of version `minor` that has its library at `libdir`.
std::string answer(const std::string& minor, const std::string& libdir) {
  return "printf 'implementation=cpython\\0full_version=fake\\0version=" + minor + ".0\\0minor=" + minor +
         "\\0abiflags=\\0gil_disabled=0\\0executable=x\\0base_prefix=/nowhere\\0libdir=" + libdir +
         "\\0multiarch=\\0library=libpython" + minor + ".a\\0'";
}

}  // namespace

TEST_CASE("the Python of the build is asked when there is no virtual environment") {
  auto asked = ask_python("");
  REQUIRE(asked.has_value());
  CHECK(asked->version.starts_with(asked->minor + "."));
  CHECK(asked->full_version.starts_with(asked->version));
  CHECK(std::filesystem::exists(asked->libpython));
  CHECK(std::filesystem::exists(asked->executable));
}

TEST_CASE("a virtual environment keeps its own program and has the library of its base") {
  auto base = ask_python("");
  REQUIRE(base.has_value());
  FakeEnvironment environment("");
  REQUIRE(std::system((base->executable + " -m venv --without-pip " + environment.path).c_str()) == 0);
  auto asked = ask_python(environment.path);
  REQUIRE(asked.has_value());
  CHECK(asked->executable == environment.path + "/bin/python");
  CHECK(asked->libpython == base->libpython);
}

TEST_CASE("an environment that is not there, or none, is told with what to do") {
  CHECK(error_of("/nowhere/venv") ==
        "app.venv: /nowhere/venv does not exist; make it with: python3 -m venv /nowhere/venv");
  FakeEnvironment empty("");
  CHECK_THAT(error_of(empty.path), ContainsSubstring("has no bin/python"));
}

TEST_CASE("a Python that fails or says something else is refused with its own words") {
  FakeEnvironment failing("echo first >&2; echo 'no encodings' >&2; exit 3");
  CHECK_THAT(error_of(failing.path), ContainsSubstring("does not work: no encodings"));
  FakeEnvironment killed("kill -9 $$");
  CHECK_THAT(error_of(killed.path), ContainsSubstring("killed by a signal"));
  FakeEnvironment other("echo hello");
  CHECK_THAT(error_of(other.path), ContainsSubstring("does not answer like Python"));
}

TEST_CASE("a Python without a shared library is refused with what to install") {
  FakeEnvironment environment(answer("3.11", "/nowhere"));
  CHECK_THAT(error_of(environment.path), ContainsSubstring("has no shared library libpython3.11.so.1.0; on Debian"));
}

TEST_CASE("a library that the configuration does not name is found beside the static one") {
  FakeEnvironment library("");
  std::ofstream(library.path + "/libpython3.99.so.1.0") << "x";
  FakeEnvironment environment(answer("3.99", library.path));
  auto asked = ask_python(environment.path);
  REQUIRE(asked.has_value());
  CHECK(asked->libpython == library.path + "/libpython3.99.so.1.0");

  auto opened = open_runtime(*asked);
  REQUIRE(!opened.has_value());
  CHECK_THAT(opened.error().text(), ContainsSubstring("is Python 3.99, but this Stint is built for Python 3."));
}

TEST_CASE("a libpython of another build than the environment's is refused") {
  auto asked = ask_python("");
  REQUIRE(asked.has_value());
  asked->full_version += " (another build)";
  auto opened = open_runtime(*asked);
  REQUIRE(!opened.has_value());
  CHECK_THAT(opened.error().text(), ContainsSubstring("install the libpython that belongs to it"));
}
