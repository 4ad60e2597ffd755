// config/examples: the unit files as systemd reads them, and the settings they speak of.
#include "tests/process/story.h"

#include <iterator>
#include <regex>
#include <sstream>

namespace stint::test {
namespace {

std::string example(const std::string& name) { return read_file(STINT_SOURCE_DIR "/config/examples/" + name); }

// The value of a key that occurs once.
std::string value_in(const std::string& unit, const std::string& key) {
  const std::string text = "\n" + unit;
  const std::size_t at = text.find("\n" + key + "=");
  REQUIRE(at != std::string::npos);
  const std::size_t begin = at + key.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

// What systemd before 253 says of Type=notify-reload is left out: the file says what to write there instead.
std::string complaints_of_systemd(const std::string& output) {
  static const std::regex too_old(R"(.*: Failed to parse service type, ignoring: notify-reload)");
  std::istringstream lines(output);
  std::string complaints;
  for (std::string line; std::getline(lines, line);)
    if (!line.empty() && !std::regex_match(line, too_old)) complaints += line + "\n";
  return complaints;
}

TEST_CASE("systemd understands every line of the example units", "[process]") {
  const std::string tool = "/usr/bin/systemd-analyze";
  if (!std::filesystem::exists(tool)) {
    WARN("skipped: " << tool << " is not there (package systemd)");
    return;
  }
  const TemporaryFolder folder;
  const auto verify = [&](const std::string& service) {
    const CommandResult result = run({tool, "verify", "--man=no", folder.write("stint.service", service),
                                      folder.write("stint.socket", example("stint.socket"))});
    return complaints_of_systemd(result.output + result.error);
  };
  const std::string service = replaced(example("stint.service"), "/usr/local/bin/stint", stint_binary());
  CHECK(verify(service) == "");
  CHECK(verify(replaced(service, "KillMode=mixed", "KillMode=some")) != "");  // it would complain
}

TEST_CASE("the command and the names in the example units are possible", "[process]") {
  const std::string command = value_in(example("stint.service"), "ExecStart");
  std::istringstream in(command);
  const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
  REQUIRE(words.size() == 6);
  CHECK(words[0] == "/usr/local/bin/stint");
  CHECK(words[1] == "serve");
  CHECK(words[4] == "--set");
  CHECK(words[5] == "control.socket=" + std::string("/run/") + value_in(example("stint.service"), "RuntimeDirectory") +
                        "/control.sock");

  // The same words on a site of our own, checked as the server would.
  const TemporaryFolder folder;
  const std::string name = value_in(example("stint.socket"), "FileDescriptorName");
  const std::string file =
      folder.write("site.toml", "listen = [\"systemd:" + name + "\"]\n[app]\n" +
                                    "module = \"story_app:application\"\ndirectory = \"" + apps_folder() + "\"\n");
  const CommandResult checked = run({stint_binary(), "check", words[2], file, words[4], words[5]});
  CHECK(checked.exit_code == 0);
  CHECK(checked.error == "");
  CHECK(example("stint.service").find("listen = [\"systemd:" + name + "\"]") != std::string::npos);
}

}  // namespace
}  // namespace stint::test
