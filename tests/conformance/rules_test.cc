// README.md's table of rules and cases against the files and the tests that there are.
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

#include <fnmatch.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>

namespace stint::test {
namespace {

namespace fs = std::filesystem;

std::string table() {
  const std::string text = read_file(STINT_SOURCE_DIR "/tests/conformance/README.md");
  return text.substr(text.find("## Rules and their cases"));
}

std::set<std::string> all_found(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

std::set<std::string> cases() {
  std::set<std::string> names;
  for (const std::string kind : {"valid", "invalid"}) {
    for (const auto& entry : fs::directory_iterator(STINT_REQUESTS_FOLDER "/" + kind)) {
      if (entry.path().extension() == ".http") names.insert(kind + "/" + entry.path().stem().string());
    }
  }
  return names;
}

std::set<std::string> names_of_tests(const char* folder) {
  static const std::regex test_case(R"re(TEST_CASE\(\s*"((?:[^"\\]|\\.)*)")re");
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(STINT_SOURCE_DIR "/tests/" + std::string(folder))) {
    if (entry.path().extension() == ".cc") names.merge(all_found(read_file(entry.path()), test_case));
  }
  return names;
}

TEST_CASE("every rule has a case, and every case a rule", "[conformance]") {
  std::set<std::string> without_rule = cases();
  const std::set<std::string> all = without_rule;
  for (const std::string& pattern : all_found(table(), std::regex("`((?:in)?valid/[^`]+)`"))) {
    INFO(pattern);
    bool has_case = false;
    for (const std::string& name : all) {
      if (fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
      has_case = true;
      without_rule.erase(name);
    }
    CHECK(has_case);
  }
  CHECK(without_rule == std::set<std::string>{});
}

TEST_CASE("every test that the table of rules names is there", "[conformance]") {
  std::set<std::string> names;
  for (const char* folder : {"conformance", "process", "unit"}) names.merge(names_of_tests(folder));
  const std::set<std::string> named = all_found(table(), std::regex("\"([^\"]+)\""));
  CHECK(named.size() > 20);
  for (const std::string& name : named) {
    INFO(name);
    CHECK(names.contains(name));
  }
}

TEST_CASE("every numbered WSGI statement has a case of its number, and every such case a statement", "[conformance]") {
  const std::set<std::string> stated = all_found(table(), std::regex("\n\\| (\\d+) \\|"));
  std::set<std::string> cased;
  for (const std::string& name : names_of_tests("conformance")) {
    cased.merge(all_found(name, std::regex("^WSGI (\\d+): ")));
  }
  CHECK(stated.size() == 61);
  CHECK(cased == stated);
}

// CMake takes a semicolon for the end of a name: ctest would run two halves, and so nothing.
TEST_CASE("no name of a test has a semicolon", "[conformance]") {
  for (const std::string& name : names_of_tests("")) {
    INFO(name);
    CHECK(name.find(';') == name.npos);
  }
}

}  // namespace
}  // namespace stint::test
