// The user database of the machine that runs the test: "root", "daemon" and "nogroup" are on every Debian.
#include "config/account.h"
#include "tests/unit/config/loading.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

namespace stint::config {
namespace {

const std::string at = "site.toml:3:8: ";

std::vector<std::string> problems_with(const std::string& keys) {
  Input input = input_of("[app]\nmodule = \"site:app\"\n" + keys + "directory = \"/\"\n");
  input.check_folders = input.find_account = true;
  return problems_of(input);
}

TEST_CASE("a user is found by its name and by its number, with its groups", "[config]") {
  const auto daemon = find_user("daemon", std::nullopt);
  REQUIRE(daemon.has_value());
  const passwd* entry = ::getpwnam("daemon");
  REQUIRE(entry != nullptr);
  CHECK(daemon->uid == entry->pw_uid);
  CHECK(daemon->gid == entry->pw_gid);
  CHECK(daemon->name == "daemon");
  CHECK(daemon->home == entry->pw_dir);
  CHECK(daemon->shell == entry->pw_shell);
  CHECK(std::ranges::is_sorted(daemon->groups));
  CHECK(std::ranges::count(daemon->groups, daemon->gid) == 1);

  const auto by_number = find_user(std::to_string(daemon->uid), std::nullopt);
  REQUIRE(by_number.has_value());
  CHECK(*by_number == *daemon);
}

TEST_CASE("a group that is named takes the place of the user's primary group", "[config]") {
  const auto gid = find_group("nogroup");
  REQUIRE(gid.has_value());
  CHECK(*gid == ::getgrnam("nogroup")->gr_gid);
  const auto daemon = find_user("daemon", *gid);
  REQUIRE(daemon.has_value());
  CHECK(daemon->gid == *gid);
  CHECK(std::ranges::count(daemon->groups, *gid) == 1);
  CHECK(*find_group("54321") == 54321);
}

TEST_CASE("a number that the database does not know needs a group beside it", "[config]") {
  CHECK_FALSE(find_user("54321", std::nullopt).has_value());
  const auto account = find_user("54321", 54322);
  REQUIRE(account.has_value());
  CHECK(*account == Account{54321, 54322, {54322}, "", "", ""});
  CHECK_FALSE(find_user("4294967295", 1).has_value());  // (uid_t)-1: "unchanged" to the system calls
}

TEST_CASE("a user or group that there is not is a problem with its place", "[config]") {
  CHECK(problems_with("user = \"no-such-user\"\n") ==
        std::vector<std::string>{at + "'app.user' names no user of this machine: \"no-such-user\"; make that user "
                                      "(useradd --system), or name another"});
  CHECK(problems_with("user = \"daemon\"\ngroup = \"no-such-group\"\n") ==
        std::vector<std::string>{"site.toml:4:9: 'app.group' names no group of this machine: \"no-such-group\"; make "
                                 "that group (groupadd --system), or name another"});
  CHECK(problems_with("user = \"54321\"\n") ==
        std::vector<std::string>{at + "'app.user' is a number that the user database does not know, \"54321\", so its "
                                      "group is not known either: set 'app.group' as well"});
  for (const char* root : {"root", "0"})
    CHECK(
        problems_with("user = \"" + std::string(root) + "\"\n") ==
        std::vector<std::string>{at + "'app.user' names root, which is what it is there to avoid: name another user"});
}

}  // namespace
}  // namespace stint::config
