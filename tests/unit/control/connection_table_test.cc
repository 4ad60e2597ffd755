#include "server/control/connection_table.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

using namespace stint;
using namespace stint::control;

namespace {

ConnectionTableView map(const UniqueFd& file) {
  auto table = ConnectionTableView::map(file.get());
  REQUIRE(table.has_value());
  return std::move(*table);
}

UniqueFd make(std::uint32_t slots) {
  auto file = make_connection_table(slots);
  REQUIRE(file.has_value());
  return std::move(*file);
}

}  // namespace

TEST_CASE("a new table has free slots, each a page of its own, and says that the worker died of itself", "[control]") {
  const UniqueFd file = make(3);
  const auto table = map(file);
  CHECK(table.size() == 3);
  CHECK(table.used() == 0);
  CHECK(table.header().verdict == Verdict::died);
  CHECK(table.header().keeper == 0);
  for (std::size_t i = 0; i < table.size(); ++i) {
    CHECK(table.slot(i).state == SlotState::free);
    CHECK(reinterpret_cast<std::uintptr_t>(&table.slot(i)) % slot_size == 0);
  }
}

TEST_CASE("what one process writes another reads, also when the writer has been killed", "[control]") {
  const UniqueFd file = make(1000);
  const auto own = map(file);
  int dies[2];
  REQUIRE(::pipe(dies) == 0);

  const pid_t writer = ::fork();
  if (writer == 0) {
    auto table = ConnectionTableView::map(file.get());
    for (std::size_t i = 0; i < 1000; ++i) {
      ConnectionSlot& slot = table->slot(i);
      const std::string head = "GET /" + std::to_string(i) + " HTTP/1.1\r\n\r\n";
      std::copy(head.begin(), head.end(), slot.bytes.begin());
      slot.head_length = slot.length = static_cast<std::uint32_t>(head.size());
      slot.socket = static_cast<std::int32_t>(i + 3);
      slot.state.store(SlotState::calling, std::memory_order_release);
    }
    table->header().keeper = 4711;
    ::raise(SIGKILL);
  }
  const pid_t reader = ::fork();
  if (reader == 0) {
    ::close(dies[1]);
    char nothing;
    if (::read(dies[0], &nothing, 1) != 0) ::_exit(1);  // until the writer is dead
    if (own.header().keeper != 4711 || own.used() != 1000) ::_exit(2);
    if (own.header().verdict != Verdict::timed_out) ::_exit(3);
    for (std::size_t i = 0; i < own.size(); ++i) {
      const ConnectionSlot& slot = own.slot(i);
      if (slot.state.load(std::memory_order_acquire) != SlotState::calling) ::_exit(4);
      if (request_line_of({slot.bytes.data(), slot.head_length}).target != "/" + std::to_string(i)) ::_exit(5);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(writer, &status, 0) == writer);
  CHECK(WIFSIGNALED(status));
  own.header().verdict = Verdict::timed_out;
  ::close(dies[1]);
  REQUIRE(::waitpid(reader, &status, 0) == reader);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  ::close(dies[0]);
}

TEST_CASE("readers look at no slot that was never filled, so that those cost no memory", "[control]") {
  const std::uint32_t slots = 4096;
  const UniqueFd file = make(slots);
  const auto table = map(file);
  table.slot(0).socket = 5;
  table.slot(1).socket = -1;  // was in use
  CHECK(table.used() == 2);
  std::vector<unsigned char> resident(slots);
  REQUIRE(::mincore(&table.slot(0), slots * slot_size, resident.data()) == 0);
  CHECK(std::count_if(resident.begin(), resident.end(), [](unsigned char page) { return (page & 1) != 0; }) <= 3);
}

TEST_CASE("a worker can neither shorten the table nor make others read beyond it", "[control]") {
  const UniqueFd file = make(2);
  CHECK(::ftruncate(file.get(), 0) != 0);
  CHECK(::ftruncate(file.get(), 1 << 20) != 0);
  const auto table = map(file);
  table.header().slots = 1'000'000;
  CHECK(table.size() == 2);
}

TEST_CASE("what is no table of this version is refused", "[control]") {
  const UniqueFd other(::memfd_create("other", MFD_CLOEXEC));
  CHECK_FALSE(ConnectionTableView::map(other.get()).has_value());
  REQUIRE(::ftruncate(other.get(), 2 * slot_size) == 0);
  CHECK_FALSE(ConnectionTableView::map(other.get()).has_value());
  REQUIRE(::ftruncate(other.get(), 2 * slot_size + 1) == 0);
  CHECK_FALSE(ConnectionTableView::map(other.get()).has_value());
  CHECK_FALSE(ConnectionTableView::map(-1).has_value());

  const UniqueFd file = make(2);
  map(file).header().version = 99;
  CHECK_FALSE(ConnectionTableView::map(file.get()).has_value());
}

TEST_CASE("a view can be moved and is unmapped once", "[control]") {
  const UniqueFd file = make(2);
  auto one = map(file);
  one.slot(1).socket = 7;
  auto other = std::move(one);
  CHECK(other.slot(1).socket == 7);
  const UniqueFd second = make(5);
  other = map(second);
  CHECK(other.size() == 5);
}

TEST_CASE("the request line is found, whole or cut, and nothing else is taken for one", "[control]") {
  const auto shown = [](std::string_view head) {
    const RequestLine line = request_line_of(head);
    return std::string(line.method) + "|" + std::string(line.target);
  };
  CHECK(shown("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n") == "GET|/a?b=c");
  CHECK(shown("\r\n\r\nM-SEARCH * HTTP/1.1\r\n") == "M-SEARCH|*");
  CHECK(shown("GET /very/lo") == "GET|/very/lo");
  CHECK(shown("GET /a\r\n") == "GET|/a");
  CHECK(shown("GET ") == "GET|");
  CHECK(shown("GE") == "|");
  CHECK(shown("") == "|");
  CHECK(shown("\r\n") == "|");
  CHECK(shown(" /a") == "|");
  CHECK(shown("G(T /a HTTP/1.1") == "|");
  CHECK(shown(std::string_view("\0\0 /a", 5)) == "|");
}
