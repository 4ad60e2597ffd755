#include "server/supervisor/upgrade.h"

#include "tests/support/catch.h"

#include <boost/asio/io_context.hpp>

#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

using namespace stint;
using namespace stint::supervisor;

namespace {

// Of a program whose words are no rehearsal's.
std::unique_ptr<Rehearsal> rehearse(boost::asio::io_context& io, Duration limit,
                                    std::function<void(Result<std::string>)> done) {
  UpgradeState state;
  state.inbox_put = state.inbox_take = STDERR_FILENO;  // any that is open
  auto rehearsal = Rehearsal::start(io, {"/bin/true", {}}, state, limit, std::move(done));
  REQUIRE(rehearsal.has_value());
  return std::move(*rehearsal);
}

TEST_CASE("what is no Stint cannot take over", "[supervisor]") {
  boost::asio::io_context io;
  std::string error;
  const auto rehearsal = rehearse(io, std::chrono::seconds(30), [&](Result<std::string> version) {
    REQUIRE_FALSE(version.has_value());
    error = version.error().text();
  });
  io.run();
  CHECK(error == "/bin/true is no Stint that can take over: it said ");
}

// The supervisor may have been held for so long. The end destroys the rehearsal, and its limit comes after it.
TEST_CASE("a rehearsal whose end and limit are seen at the same time ends once", "[supervisor]") {
  boost::asio::io_context io;
  unsigned ends = 0;
  std::unique_ptr<Rehearsal> rehearsal;
  rehearsal = rehearse(io, std::chrono::milliseconds(50), [&](const Result<std::string>&) {
    ++ends;
    rehearsal.reset();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  io.run();
  CHECK(ends == 1);
}

}  // namespace
