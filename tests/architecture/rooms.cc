#include "tests/architecture/rooms.h"

#include <algorithm>
#include <regex>

namespace stint::architecture {

const std::vector<Room>& rooms() {
  static const std::vector<Room> table = {
      {"include/stint", "", {}, {}},
      {"config", "config", {}, {"toml++", "Boost.JSON"}},
      {"server/net", "net", {}, {"sockets"}},
      {"server/http", "http", {}, {"llhttp"}},
      {"server/control", "control", {"server/net"}, {"Boost.JSON", "sockets"}},
      {"server/logging", "logging", {}, {"spdlog", "sockets"}},
      {"server/runtime_loader", "runtime_loader", {}, {"dlopen"}},
      {"server/supervisor",
       "supervisor",
       {"server/control", "server/net", "server/logging"},
       {"Boost.Asio", "Boost.Process", "Boost.JSON", "sockets"}},
      {"server/worker", "worker", {"server/control", "server/net", "server/http", "server/logging"}, {"sockets"}},
      {"server/zygote", "zygote", {"server/control"}, {"sockets"}},
      {"server/admin",
       "admin",
       {"server/control", "server/net", "server/http"},
       {"Boost.Asio", "Boost.JSON", "sockets"}},
      {"server/cli", "cli", {"config", "server/control", "server/http"}, {"CLI11", "Boost.JSON"}},
      // The composition root: main.cc alone. Every room but embed; libbsd names the process.
      {"server",
       "",
       {"config", "server/net", "server/http", "server/control", "server/logging", "server/runtime_loader",
        "server/supervisor", "server/worker", "server/zygote", "server/admin", "server/cli"},
       {"libbsd"}},
      {"embed", "embed", {}, {"Python"}},
  };
  return table;
}

const std::vector<Library>& libraries() {
  static const std::vector<Library> table = {
      {"Python", {"Python.h", "structmember.h", "frameobject.h", "pythread.h", "cpython/"}, {"Python3::"}},
      {"llhttp", {"llhttp.h"}, {"llhttp::"}},
      {"toml++", {"toml++/", "toml.hpp"}, {"tomlplusplus", "PkgConfig::TOMLPLUSPLUS"}},
      {"CLI11", {"CLI/"}, {"CLI11::"}},
      {"spdlog", {"spdlog/", "fmt/"}, {"spdlog::", "fmt::"}},
      {"Boost.Process", {"boost/process"}, {"Boost::process"}},
      {"Boost.Asio", {"boost/asio", "boost/beast"}, {}},
      {"Boost.JSON", {"boost/json"}, {"Boost::json"}},
      {"sockets", {"sys/socket.h", "sys/un.h", "sys/epoll.h", "netinet/tcp.h"}, {}},
      {"dlopen", {"dlfcn.h"}, {}},
      {"libbsd", {"bsd/"}, {"PkgConfig::LIBBSD"}},
      {"Catch2", {"catch2/"}, {"Catch2::"}},
  };
  return table;
}

const Room* room_of(std::string_view path) {
  const std::string_view folder = path.substr(0, path.rfind('/'));
  for (const Room& room : rooms()) {
    if (folder == room.folder) return &room;
  }
  return nullptr;
}

namespace {

std::string last_part(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

const Library* library_of_header(std::string_view header) {
  for (const Library& library : libraries()) {
    for (const std::string& prefix : library.headers) {
      if (header.starts_with(prefix)) return &library;
    }
  }
  return nullptr;
}

// Folders of headers that come with the compiler, the C library and the kernel.
bool is_system_header(std::string_view header) {
  const std::size_t slash = header.find('/');
  if (slash == std::string_view::npos) return true;
  static const std::set<std::string_view> folders = {"sys", "linux", "netinet", "arpa", "net", "asm", "experimental"};
  return folders.contains(header.substr(0, slash));
}

std::string problem_of_quoted(const Room& room, const std::string& header) {
  if (header.starts_with("stint/") && header.find('/', 6) == std::string::npos) return {};
  const Room* const included = header.find('/') == std::string::npos ? nullptr : room_of(header);
  if (included == nullptr) return "includes \"" + header + "\", which is in no room (write paths from the root)";
  if (included->folder == "server") return "includes \"" + header + "\": nobody includes the composition root";
  if (included == &room || included->folder == "include/stint" || room.rooms.contains(included->folder)) return {};
  return "includes \"" + header + "\": " + room.folder + " may not use " + included->folder;
}

std::string problem_of_bracketed(const Room& room, const std::string& header) {
  if (const Library* const library = library_of_header(header)) {
    if (room.libraries.contains(library->name)) return {};
    return "includes <" + header + ">: " + room.folder + " may not use " + library->name;
  }
  if (is_system_header(header) || header.starts_with("boost/")) return {};
  return "includes <" + header + ">, of a library that no room names";
}

// A header's namespaces are its folder's; include/stint has `stint` itself.
void check_namespaces(const Room& room, const std::string& path, const std::string& text,
                      std::vector<std::string>& problems) {
  const std::string expected = room.name.empty() ? "stint" : "stint::" + room.name;
  static const std::regex opening(R"((?:^|\n)\s*namespace\s+([A-Za-z_][A-Za-z0-9_:]*)\s*\{)");
  static const std::regex macro(R"((?:^|\n)#define\s)");
  bool opens_its_own = false;
  for (std::sregex_iterator it(text.begin(), text.end(), opening), end; it != end; ++it) {
    const std::string name = (*it)[1];
    const bool is_its_own = name == expected || name.starts_with(expected + "::");
    opens_its_own = opens_its_own || is_its_own;
    if (name == "stint" || !name.starts_with("stint")) continue;  // a word of include/stint declared; an inner one
    if (!is_its_own) problems.push_back(path + " opens namespace " + name + ", which is another room's");
  }
  if (!opens_its_own && path.ends_with(".h") && !std::regex_search(text, macro)) {
    problems.push_back(path + " does not open namespace " + expected);
  }
}

}  // namespace

std::vector<std::string> problems_of_source(std::string_view path_view, std::string_view text_view) {
  const std::string path(path_view), text(text_view);
  std::vector<std::string> problems;
  const Room* const room = room_of(path);
  if (room == nullptr) return {path + " is in a folder that is no room"};
  if (room->folder == "server" && last_part(path) != "main.cc") {
    problems.push_back(path + ": server/ itself holds main.cc alone");
  }
  static const std::regex include(R"((?:^|\n)[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">])");
  for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it) {
    const std::string header = (*it)[2];
    const std::string problem =
        (*it)[1] == "\"" ? problem_of_quoted(*room, header) : problem_of_bracketed(*room, header);
    if (!problem.empty()) problems.push_back(path + " " + problem);
  }
  if (path.ends_with(".h") && text.find("\n#pragma once\n") == std::string::npos &&
      !text.starts_with("#pragma once\n")) {
    problems.push_back(path + " has no #pragma once");
  }
  if (room->folder != "server") check_namespaces(*room, path, text, problems);
  return problems;
}

namespace {

const Room* room_of_target(const std::string& target) {
  if (!target.starts_with("stint::")) return nullptr;
  for (const Room& room : rooms()) {
    if (!room.name.empty() && target.substr(7) == room.name) return &room;
  }
  return nullptr;
}

std::string problem_of_link(const Room& room, const std::string& target) {
  static const std::set<std::string> everybodys = {"stint::include", "stint::flags"};
  if (everybodys.contains(target)) return {};
  if (target.starts_with("stint::") || target.starts_with("stint_")) {
    const Room* const linked = room_of_target("stint::" + target.substr(target.starts_with("stint::") ? 7 : 6));
    if (linked == nullptr) return "links " + target + ", which is no room";
    if (linked == &room || room.rooms.contains(linked->folder)) return {};
    return "links " + target + ": " + room.folder + " may not use " + linked->folder;
  }
  for (const Library& library : libraries()) {
    for (const std::string& prefix : library.targets) {
      if (target.starts_with(prefix) && !room.libraries.contains(library.name)) {
        return "links " + target + ": " + room.folder + " may not use " + library.name;
      }
    }
  }
  return {};
}

std::vector<std::string> words_of(const std::string& text) {
  static const std::regex word(R"([^\s"]+)");
  std::vector<std::string> words;
  for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it) words.push_back(it->str());
  return words;
}

}  // namespace

std::vector<std::string> problems_of_cmake(std::string_view path_view, std::string_view text_view) {
  const std::string path(path_view);
  const Room* const room = room_of(path);
  if (room == nullptr) return {path + " is in a folder that is no room"};
  const std::string text = std::regex_replace(std::string(text_view), std::regex("#[^\n]*"), "");

  std::vector<std::string> linked;
  // A list of links collected in a variable is read where it is collected.
  static const std::regex command(R"(\b(stint_room|target_link_libraries|set|list)\s*\(([^)]*)\))");
  for (std::sregex_iterator it(text.begin(), text.end(), command), end; it != end; ++it) {
    const std::string name = (*it)[1];
    std::vector<std::string> words = words_of((*it)[2]);
    if (name == "stint_room") {
      words.erase(words.begin(), std::find(words.begin(), words.end(), "LINKS"));
    } else if (name == "target_link_libraries" && !words.empty()) {
      words.erase(words.begin());
    }
    for (const std::string& word : words) {
      if (word.find("::") != std::string::npos || (name != "set" && name != "list" && word.starts_with("stint_"))) {
        linked.push_back(word);
      }
    }
  }
  std::vector<std::string> problems;
  for (const std::string& target : linked) {
    if (const std::string problem = problem_of_link(*room, target); !problem.empty()) {
      problems.push_back(path + " " + problem);
    }
  }
  return problems;
}

bool belongs_at_the_top(std::string_view name) {
  static const std::set<std::string_view> names = {
      "CMakeLists.txt", "CMakePresets.json", "server", "embed",   "include", "config", "tests",
      "bench",          "README.md",         "dev",    "LICENSE", "build"};
  return names.contains(name) || name.starts_with(".");
}

}  // namespace stint::architecture
