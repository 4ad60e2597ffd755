// The table of rooms (DESIGN.md §4) as code, and the checks on a file's text: pure functions, so that the test can show
// them failing on made-up files.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stint::architecture {

struct Room {
  std::string folder;               // "server/http"
  std::string name;                 // its target is stint::NAME, its namespace too; empty: namespace stint alone
  std::set<std::string> rooms;      // folders it may include besides its own and include/stint
  std::set<std::string> libraries;  // names of `Library` it may include
};

// A library that is not everybody's: only rooms that name it may include it or link it.
struct Library {
  std::string name;
  std::vector<std::string> headers;  // prefixes of what stands between < and >
  std::vector<std::string> targets;  // prefixes of CMake targets
};

const std::vector<Room>& rooms();
const std::vector<Library>& libraries();

// The room whose folder holds the file; null: none.
const Room* room_of(std::string_view path);

// What is wrong with a file, a sentence each. `path` is relative to the repository: "server/http/date.h".
std::vector<std::string> problems_of_source(std::string_view path, std::string_view text);
// The arrows that a room's CMakeLists.txt draws (stint_room … LINKS, target_link_libraries).
std::vector<std::string> problems_of_cmake(std::string_view path, std::string_view text);
// `name` is an entry at the top of the repository; tracked or not makes no difference.
bool belongs_at_the_top(std::string_view name);

}  // namespace stint::architecture
