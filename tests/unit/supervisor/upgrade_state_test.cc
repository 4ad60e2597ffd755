#include "server/supervisor/upgrade_state.h"

#include "server/control/connection_table.h"
#include "server/control/status_page.h"
#include "server/supervisor/upgrade.h"

#include "tests/support/catch.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <fcntl.h>

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
namespace json = boost::json;

namespace {

// With something else than a default in every field.
UpgradeState full_state() {
  WorkerRecord record{.slot = 2,
                      .generation = 7,
                      .started = TimePoint(1s),
                      .state = WorkerState::retiring,
                      .ready_since = TimePoint(2s),
                      .retiring_since = TimePoint(3s),
                      .retire_cause = RetireCause::scale_down,
                      .recycle_reason = RecycleReason::max_age,
                      .recycle_detail = "it \"asked\"\n",
                      .killed = KillCause::kill_rss,
                      .channel_lost_at = TimePoint(4s),
                      .is_serving = true,
                      .is_draining = true,
                      .is_keeper_lost = true,
                      .is_given_up = true,
                      .is_forked = true};
  WorkerCounts counts{.requests = ~std::uint64_t{0},
                      .server_errors = 2,
                      .failures = 3,
                      .clients_gone = 4,
                      .idle_timeouts = 5,
                      .write_timeouts = 6,
                      .times_full = 7,
                      .dropped_fields = 8};
  counts.refused[0] = 9;
  counts.refused[refusal_reasons - 1] = 10;
  return {.formats = {1, 2, 3},
          .version = "1.2.3",
          .settings = "listen = [\"127.0.0.1:8000\"]\n",
          .began = TimePoint(5s),
          .service_manager = {.socket = "@notify", .watchdog = 6s},
          .inbox_put = 10,
          .inbox_take = 11,
          .listeners = {{{12, std::nullopt}}, {{13, net::SocketFileId{"/run/s.sock", 14, 15}}, {16, std::nullopt}}},
          .control_socket = SocketState{17, net::SocketFileId{"/run/c.sock", 18, 19}},
          .control_path = "/run/c.sock",
          .pool = {.generation = 7,
                   .last_generation = 9,
                   .count = 3,
                   .reload = 8,
                   .reload_began = TimePoint(7s),
                   .restarts = 4,
                   .recycled = {{RecycleReason::max_rss, 5}, {RecycleReason::keeper_lost, 6}},
                   .former = counts,
                   .keepers_left = {20, 21},
                   .workers = {{record, 22, 23, 24, 25, 26}, {WorkerRecord{.slot = 1}, 27, 28, 29, 30, 31}}}};
}

// Calls `visit` with every object in `value` and its place, the value's own first.
void for_each_object(json::value& value, const std::string& place,
                     const std::function<void(json::object&, const std::string&)>& visit) {
  if (auto* object = value.if_object()) {
    visit(*object, place);
    for (auto& [name, inner] : *object)
      for_each_object(inner, place.empty() ? std::string(name) : place + "." + std::string(name), visit);
  } else if (auto* array = value.if_array()) {
    for (std::size_t i = 0; i < array->size(); ++i)
      for_each_object((*array)[i], place + "[" + std::to_string(i) + "]", visit);
  }
}

bool is_of_counts(const std::string& place) { return place.ends_with("refused") || place.ends_with("recycled"); }

}  // namespace

TEST_CASE("a state comes back from its text as it was", "[supervisor]") {
  const std::string text = encode(full_state());
  const auto state = decode_upgrade_state(text);
  REQUIRE(state.has_value());
  CHECK(encode(*state) == text);

  CHECK(state->formats == SharedFormats{1, 2, 3});
  CHECK(state->service_manager.watchdog == 6s);
  CHECK(state->listeners.at(1).at(0).file->inode == 15);
  CHECK(state->pool.former.requests == ~std::uint64_t{0});
  CHECK(state->pool.recycled.at(RecycleReason::keeper_lost) == 6);
  const WorkerRecord& record = state->pool.workers.at(0).record;
  CHECK(record.state == WorkerState::retiring);
  CHECK(record.retire_cause == RetireCause::scale_down);
  CHECK(record.killed == KillCause::kill_rss);
  CHECK(record.is_forked);
  CHECK(record.recycle_detail == "it \"asked\"\n");
  CHECK(record.ready_since == TimePoint(2s));
  CHECK(state->pool.workers.at(1).record.ready_since == std::nullopt);
  CHECK(descriptors_of(*state) == std::vector{10, 11, 12, 13, 16, 17, 23, 24, 25, 26, 28, 29, 30, 31});
}

TEST_CASE("what lacks a field, or has one of another kind, is refused by the field's name", "[supervisor]") {
  json::value whole = json::parse(encode(full_state()));
  std::vector<std::pair<std::string, std::string>> fields;
  for_each_object(whole, "", [&](json::object& object, const std::string& place) {
    if (is_of_counts(place)) return;
    for (const auto& [name, value] : object) fields.emplace_back(place, name);
  });
  CHECK(fields.size() > 60);
  for (const auto& [place, name] : fields) {
    const std::string path = place.empty() ? name : place + "." + name;
    INFO(path);
    for (const bool is_left_out : {true, false}) {
      json::value broken = whole;
      for_each_object(broken, "", [&, &place = place, &name = name](json::object& object, const std::string& here) {
        if (here != place) return;
        if (is_left_out)
          object.erase(name);
        else
          object[name] = json::array{json::object{}};
      });
      const auto state = decode_upgrade_state(json::serialize(broken));
      REQUIRE_FALSE(state.has_value());
      CHECK_THAT(state.error().text(), ContainsSubstring(path));
    }
  }
  CHECK_FALSE(decode_upgrade_state("").has_value());
  CHECK_FALSE(decode_upgrade_state("[]").has_value());
}

TEST_CASE("fields and reasons that this version does not know do no harm", "[supervisor]") {
  json::value later = json::parse(encode(full_state()));
  later.as_object()["invented"] = 1;
  later.as_object()["pool"].as_object()["recycled"].as_object()["boredom"] = 3;
  const auto state = decode_upgrade_state(json::serialize(later));
  REQUIRE(state.has_value());
  CHECK(state->pool.recycled == full_state().pool.recycled);
}

TEST_CASE("only what this program's workers can share is adopted", "[supervisor]") {
  UpgradeState state;
  state.formats = own_formats();
  const UniqueFd open(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  state.inbox_put = state.inbox_take = open.get();
  CHECK(check_adoption(state).has_value());

  for (unsigned SharedFormats::* format :
       {&SharedFormats::status_page, &SharedFormats::connection_table, &SharedFormats::inbox}) {
    UpgradeState other = state;
    ++(other.formats.*format);
    const auto checked = check_adoption(other);
    REQUIRE_FALSE(checked.has_value());
    CHECK_THAT(checked.error().text(), ContainsSubstring("restart the server instead"));
  }

  const auto page = control::make_status_page();
  const auto table = control::make_connection_table(2);
  WorkerUnderUpgrade worker{WorkerRecord{.slot = 1}, 1, open.get(), open.get(), page->get(), table->get()};
  state.pool.workers = {worker};
  CHECK(check_adoption(state).has_value());
  state.pool.workers[0].status_page = open.get();
  CHECK_FALSE(check_adoption(state).has_value());
  state.pool.workers[0] = worker;
  state.pool.workers[0].connection_table = open.get();
  CHECK_FALSE(check_adoption(state).has_value());
  state.pool.workers[0] = worker;
  state.pool.workers[0].channel = 9999;
  CHECK_FALSE(check_adoption(state).has_value());
}
