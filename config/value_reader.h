// One TOML value → the field of Settings that its key stands for, or what is wrong with it and where.
#pragma once

#include "config/loader.h"
#include "config/schema.h"

#include <toml++/toml.h>

#include <string>
#include <string_view>

namespace stint::config {

// Where a value comes from.
struct Origin {
  std::string name;           // the file, or the option
  std::string folder;         // absolute; relative paths begin here
  bool has_positions = true;  // false: lines and columns of its nodes mean nothing to the reader
};

// Adds a problem at the place of a node or of a key (anything with a source()).
void add_problem(Problems& problems, const Origin& origin, const toml::source_region& place, std::string what);

class ValueReader {
 public:
  // With check_folders, folders that do not exist are problems.
  ValueReader(Settings& settings, Problems& problems, bool check_folders)
      : settings_(settings), problems_(problems), checks_folders_(check_folders) {}

  // Leaves the field as it was when there is a problem.
  void read(const Key& key, const toml::node& node, const Origin& origin);

 private:
  struct ByKind;  // read() for each kind

  Settings& settings_;
  Problems& problems_;
  bool checks_folders_;
};

}  // namespace stint::config
