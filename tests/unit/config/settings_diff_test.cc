#include "config/settings_diff.h"

#include "tests/unit/config/loading.h"

namespace stint::config {

TEST_CASE("two settings differ in the keys that differ, each with its cost", "[config]") {
  const Settings from = settings_of(input_of("app.module = \"a:b\"\napp.workers.count = 4\n"));
  CHECK(settings_changes(from, from).empty());
  Settings to = from;
  to.app.workers.count = 6;
  to.app.module = "c:d";
  to.control_socket = "/run/other.sock";
  to.static_roots = {{"/s/", "/srv/s", true}};
  to.app.env["PASSWORD"] = "secret";
  CHECK(settings_changes(from, to) ==
        std::vector<SettingsChange>{
            {"app.module", "\"a:b\"", "\"c:d\"", ChangeCost::new_generation},
            {"app.env", "(values not shown)", "(values not shown)", ChangeCost::new_generation},
            {"app.workers.count", "4", "6", ChangeCost::nothing},
            {"static", "[]", R"([{ url = "/s/", root = "/srv/s", internal = true }])", ChangeCost::recycle},
            {"control.socket", "\"\"", "\"/run/other.sock\"", ChangeCost::restart},
        });
}

TEST_CASE("what costs a restart keeps its value, and nothing else does", "[config]") {
  const Settings current = settings_of(input_of("app.module = \"a:b\"\n"));
  Settings fresh = current;
  fresh.app.name = "other";
  fresh.control_socket = "/run/other.sock";
  fresh.app.workers.count = current.app.workers.count + 1;
  keep_what_needs_a_restart(current, fresh);
  CHECK(fresh.app.name == current.app.name);
  CHECK(fresh.control_socket == current.control_socket);
  CHECK(fresh.app.workers.count == current.app.workers.count + 1);
}

}  // namespace stint::config
