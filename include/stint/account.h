// Who the workers are: app.user and app.group as the system's user database knew them when the settings were loaded.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace stint {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;              // of app.group; without it the user's primary group
  std::vector<gid_t> groups;  // all of the user's, `gid` among them, in ascending order: what initgroups(3) would set
  std::string name;           // empty, as are home and shell: a number that the database does not know
  std::string home;
  std::string shell;
  bool operator==(const Account&) const = default;

  // "www-data (uid 33)"
  [[nodiscard]] std::string text() const {
    const std::string number = "uid " + std::to_string(uid);
    return name.empty() ? number : name + " (" + number + ")";
  }
};

}  // namespace stint
