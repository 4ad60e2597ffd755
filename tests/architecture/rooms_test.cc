// The repository held against the table of rooms.
#include "tests/architecture/rooms.h"

#include "tests/support/catch.h"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace stint::architecture {
namespace {

namespace fs = std::filesystem;

const fs::path root = STINT_SOURCE_DIR;

struct File {
  std::string path;  // from the root
  std::string text;
};

// Files of the folders that hold rooms, sorted by nothing in particular.
std::vector<File> files_of_rooms() {
  std::vector<File> files;
  for (const char* folder : {"include", "config", "server", "embed"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      files.push_back({fs::relative(entry.path(), root), std::string(std::istreambuf_iterator<char>(in), {})});
    }
  }
  return files;
}

bool is_source(const std::string& path) {
  for (const char* ending : {".h", ".cc", ".c", ".hpp", ".cpp", ".inc"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST_CASE("every file includes only what the table of rooms allows", "[architecture]") {
  std::size_t checked = 0;
  for (const File& file : files_of_rooms()) {
    if (!is_source(file.path)) continue;
    ++checked;
    CHECK(joined(problems_of_source(file.path, file.text)) == "");
  }
  CHECK(checked > 20);
}

TEST_CASE("the build draws only arrows of the table of rooms", "[architecture]") {
  for (const File& file : files_of_rooms()) {
    if (!file.path.ends_with("/CMakeLists.txt")) continue;
    CHECK(joined(problems_of_cmake(file.path, file.text)) == "");
  }
}

TEST_CASE("the top of the repository holds only what belongs there", "[architecture]") {
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename();
    INFO(name);
    CHECK(belongs_at_the_top(name));
  }
}

TEST_CASE("the checker refuses what each room may not include", "[architecture]") {
  struct Offence {
    const char* path;
    const char* include;
    const char* problem;
  };
  const Offence offences[] = {
      {"server/supervisor/pool.cc", "\"server/worker/worker.h\"", "server/supervisor may not use server/worker"},
      {"server/worker/worker.cc", "\"server/supervisor/pool.h\"", "server/worker may not use server/supervisor"},
      {"server/worker/worker.cc", "<Python.h>", "may not use Python"},
      {"server/worker/worker.cc", "<boost/asio/post.hpp>", "may not use Boost.Asio"},
      {"server/worker/worker.cc", "<llhttp.h>", "may not use llhttp"},
      {"server/worker/worker.cc", "<toml++/toml.h>", "may not use toml++"},
      {"server/supervisor/pool.cc", "<Python.h>", "may not use Python"},
      {"server/supervisor/pool.cc", "\"server/http/date.h\"", "may not use server/http"},
      {"server/supervisor/pool.cc", "\"embed/gil.h\"", "may not use embed"},
      {"server/http/date.cc", "\"server/net/listener.h\"", "may not use server/net"},
      {"server/http/date.cc", "<sys/socket.h>", "may not use sockets"},
      {"server/http/date.cc", "<boost/asio.hpp>", "may not use Boost.Asio"},
      {"server/net/listener.cc", "\"server/http/date.h\"", "may not use server/http"},
      {"server/net/listener.cc", "<spdlog/spdlog.h>", "may not use spdlog"},
      {"server/control/channel.cc", "\"server/supervisor/pool.h\"", "may not use server/supervisor"},
      {"server/control/channel.cc", "<boost/process/v2/process.hpp>", "may not use Boost.Process"},
      {"server/logging/log.cc", "\"config/loader.h\"", "may not use config"},
      {"server/runtime_loader/loader.cc", "\"embed/runtime.h\"", "may not use embed"},
      {"server/cli/serve.cc", "\"server/supervisor/supervisor.h\"", "may not use server/supervisor"},
      {"server/main.cc", "\"embed/gil.h\"", "may not use embed"},
      {"server/main.cc", "<Python.h>", "may not use Python"},
      {"server/worker/worker.cc", "\"server/main.h\"", "composition root"},
      {"config/loader.cc", "\"server/net/listener.h\"", "may not use server/net"},
      {"config/loader.cc", "<CLI/CLI.hpp>", "may not use CLI11"},
      {"embed/gil.cc", "\"config/loader.h\"", "may not use config"},
      {"embed/gil.cc", "\"server/http/date.h\"", "may not use server/http"},
      {"include/stint/log.h", "\"config/loader.h\"", "may not use config"},
      {"include/stint/log.h", "<fmt/format.h>", "may not use spdlog"},
      {"server/worker/worker.cc", "\"worker.h\"", "no room"},
      {"server/worker/worker.cc", "\"tests/support/catch.h\"", "no room"},
      {"server/worker/worker.cc", "<openssl/ssl.h>", "no room names"},
      {"server/worker/worker.cc", "<catch2/catch.hpp>", "may not use Catch2"},
  };
  for (const Offence& offence : offences) {
    const std::string name = room_of(offence.path)->name;
    const std::string text = "#pragma once\n\n  #  include " + std::string(offence.include) + "\nnamespace stint" +
                             (name.empty() ? "" : "::") + name + " {}\n";
    const auto problems = problems_of_source(offence.path, text);
    INFO(offence.path << " " << offence.include);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].find(offence.problem) != std::string::npos);
  }
}

TEST_CASE("the checker accepts what rooms are made of", "[architecture]") {
  const auto is_fine = [](const char* path, const char* text) { return joined(problems_of_source(path, text)); };
  CHECK(is_fine("server/worker/drain.h",
                "// Top.\n#pragma once\n#include \"server/http/date.h\"\n#include \"stint/result.h\"\n#include "
                "<sys/epoll.h>\n"
                "#include <string>\nnamespace stint {\nclass Log;\n}\nnamespace stint::worker {\n}\n") == "");
  CHECK(is_fine("embed/gil.h", "#pragma once\n#include <Python.h>\nnamespace stint::embed {\n}\n") == "");
  CHECK(is_fine("server/main.cc", "#include \"server/worker/worker.h\"\nint main() {}\n") == "");
  CHECK(is_fine("server/supervisor/spawner.cc",
                "#include <boost/process/v2/process.hpp>\nnamespace stint::supervisor {\n}\n") == "");
}

TEST_CASE("the checker refuses headers without guard and words in another room's namespace", "[architecture]") {
  CHECK(problems_of_source("server/net/a.h", "namespace stint::net {}\n").size() == 1);
  CHECK(problems_of_source("server/net/a.h", "#pragma once\nnamespace stint::http {\n}\n").size() == 2);
  CHECK(problems_of_source("server/net/a.h", "#pragma once\nint x;\n").size() == 1);
  CHECK(problems_of_source("server/net/a.cc", "namespace stint::worker {\n}\n").size() == 1);
  CHECK(problems_of_source("server/utils/a.h", "#pragma once\n").size() == 1);
  CHECK(problems_of_source("server/helper.cc", "int x;\n").size() == 1);
}

TEST_CASE("the checker refuses arrows the build may not draw", "[architecture]") {
  const auto count = [](const char* path, const char* text) { return problems_of_cmake(path, text).size(); };
  CHECK(count("server/worker/CMakeLists.txt", "stint_room(worker SOURCES a.cc LINKS stint::net stint::supervisor)") ==
        1);
  CHECK(count("server/worker/CMakeLists.txt", "stint_room(worker SOURCES a.cc\n  LINKS stint::net stint::http)") == 0);
  CHECK(count("server/net/CMakeLists.txt", "target_link_libraries(stint_net PRIVATE stint_http)") == 1);
  CHECK(count("server/supervisor/CMakeLists.txt", "target_link_libraries(stint_supervisor PRIVATE Python3::Python)") ==
        1);
  CHECK(count("server/cli/CMakeLists.txt", "set(links stint::config stint::worker)\nstint_room(cli LINKS ${links})") ==
        1);
  CHECK(count("server/net/CMakeLists.txt", "stint_room(net SOURCES a.cc LINKS stint::utils)") == 1);
  CHECK(count("server/net/CMakeLists.txt", "# LINKS stint::http\nstint_room(net SOURCES a.cc)") == 0);
  CHECK(count("embed/CMakeLists.txt", "target_link_libraries(stint_embed PRIVATE stint::include Python3::Python)") ==
        0);
  CHECK(count("embed/CMakeLists.txt", "target_link_libraries(stint_embed PRIVATE stint::http)") == 1);
}

TEST_CASE("the checker refuses strangers at the top", "[architecture]") {
  CHECK_FALSE(belongs_at_the_top("utils"));
  CHECK_FALSE(belongs_at_the_top("notes.md"));
  CHECK(belongs_at_the_top(".ci"));
  CHECK(belongs_at_the_top("server"));
}

}  // namespace
}  // namespace stint::architecture
