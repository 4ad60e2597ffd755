#include "server/supervisor/running_requests.h"

#include "tests/support/catch.h"

#include <algorithm>
#include <string_view>

using namespace stint;
using namespace stint::control;
using namespace stint::supervisor;
using namespace std::chrono_literals;

namespace {

const TimePoint now = TimePoint(1000s);

ConnectionTableView make_table(std::uint32_t slots) {
  auto file = make_connection_table(slots);
  REQUIRE(file.has_value());
  auto table = ConnectionTableView::map(file->get());
  REQUIRE(table.has_value());
  return std::move(*table);
}

void fill(ConnectionSlot& slot, std::string_view head, SlotState state, Duration since) {
  std::copy(head.begin(), head.end(), slot.bytes.begin());
  slot.head_length = slot.length = static_cast<std::uint32_t>(head.size());
  slot.socket = 9;
  slot.request_id = {'a', 'b', 'c'};
  slot.began = std::chrono::nanoseconds((now - since).time_since_epoch()).count();
  slot.state = state;
}

}  // namespace

TEST_CASE("requests that run are read from the table, the oldest first", "[supervisor]") {
  const auto table = make_table(8);
  fill(table.slot(0), "GET /young HTTP/1.1\r\n\r\n", SlotState::calling, 10ms);
  fill(table.slot(1), "GET /waiting HTTP/1.1\r\n\r\n", SlotState::unstarted, 10ms);
  fill(table.slot(2), "POST /old?a=b HTTP/1.1\r\n\r\n", SlotState::answering, 20s);
  table.slot(2).answered = 5;
  table.slot(2).attempts = 1;
  fill(table.slot(3), "", SlotState::idle, 0ms);
  const auto requests = running_requests(table, now);
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].method == "POST");
  CHECK(requests[0].target == "/old?a=b");
  CHECK(requests[0].id == "abc");
  CHECK(requests[0].running_for == 20s);
  CHECK(requests[0].answered_bytes == 5);
  CHECK(requests[0].attempts == 1);
  CHECK_FALSE(requests[0].is_calling);
  CHECK(requests[1].target == "/young");
  CHECK(requests[1].is_calling);
  CHECK(text_of(requests) == "POST /old?a=b id=abc 20000ms, GET /young id=abc 10ms");
  CHECK(text_of(std::vector<RunningRequest>{}) == "none");
}

TEST_CASE("what a client or a stray write has put into a slot does no harm", "[supervisor]") {
  const auto table = make_table(4);
  fill(table.slot(0), "GET /\x1b[2J\xc3\xa9\x9b HTTP/1.1\r\n\r\n", SlotState::calling, 1s);
  fill(table.slot(1), "GET /" + std::string(1000, 'x') + " HTTP/1.1\r\n\r\n", SlotState::calling, 900ms);
  fill(table.slot(2), "\0\1\2", SlotState::calling, -5s);
  table.slot(2).head_length = table.slot(2).length = 0xFFFFFFFF;
  table.slot(2).request_id.fill('z');
  table.slot(3).socket = 9;
  table.slot(3).state = static_cast<SlotState>(77);
  table.header().slots = 1'000'000;
  const auto requests = running_requests(table, now);
  REQUIRE(requests.size() == 3);
  CHECK(requests[0].target == "/?[2J???");
  CHECK(requests[1].target == "/" + std::string(199, 'x'));
  CHECK(requests[2].method.empty());
  CHECK(requests[2].id == std::string(64, 'z'));
  CHECK(requests[2].running_for == 0ms);
}

TEST_CASE("many requests are named in a few words", "[supervisor]") {
  const auto table = make_table(9);
  for (std::size_t i = 0; i < 9; ++i) fill(table.slot(i), "GET /x HTTP/1.1\r\n\r\n", SlotState::answering, 1s);
  CHECK_THAT(text_of(running_requests(table, now)), Catch::Matchers::EndsWith(", and 5 more"));
}
