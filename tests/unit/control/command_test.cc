#include "server/control/command.h"

#include "tests/support/catch.h"

using namespace stint::control;

TEST_CASE("every command comes back as it was asked", "[control]") {
  auto status = decode_command(encode_command(StatusCommand{}));
  REQUIRE(status.has_value());
  CHECK(std::holds_alternative<StatusCommand>(*status));
  auto logs = decode_command(encode_command(ReopenLogsCommand{}));
  REQUIRE(logs.has_value());
  CHECK(std::holds_alternative<ReopenLogsCommand>(*logs));
  auto stop = decode_command(encode_command(StopCommand{}));
  REQUIRE(stop.has_value());
  CHECK(std::holds_alternative<StopCommand>(*stop));
  auto upgrade = decode_command(encode_command(UpgradeCommand{}));
  REQUIRE(upgrade.has_value());
  CHECK(std::holds_alternative<UpgradeCommand>(*upgrade));
  auto all = decode_command(encode_command(RecycleCommand{}));
  REQUIRE(all.has_value());
  CHECK_FALSE(std::get<RecycleCommand>(*all).slot.has_value());
  auto one = decode_command(encode_command(RecycleCommand{3}));
  REQUIRE(one.has_value());
  CHECK(std::get<RecycleCommand>(*one).slot == 3U);
  auto traced = decode_command(encode_command(TraceCommand{3}));
  REQUIRE(traced.has_value());
  CHECK(std::get<TraceCommand>(*traced).slot == 3U);
}

TEST_CASE("what is no command is refused with a sentence", "[control]") {
  for (const char* text :
       {"", "status", "[]", "{}", R"({"command":7})", R"({"command":"explode"})", R"({"command":"recycle","slot":0})",
        R"({"command":"recycle","slot":"one"})", R"({"command":"trace","slot":0})"}) {
    CAPTURE(text);
    auto command = decode_command(text);
    REQUIRE_FALSE(command.has_value());
    CHECK_FALSE(command.error().text().empty());
  }
}
