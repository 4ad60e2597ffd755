#include "server/control/message.h"

#include "server/control/wire_text.h"

#include "tests/support/catch.h"

using namespace stint;
using namespace stint::control;
using Catch::Matchers::ContainsSubstring;

namespace {

template <class Kind>
Kind there_and_back(const Kind& message) {
  auto decoded = decode(encode(message));
  REQUIRE(decoded.has_value());
  REQUIRE(std::holds_alternative<Kind>(*decoded));
  return std::get<Kind>(*decoded);
}

}  // namespace

TEST_CASE("every message comes back as it was sent", "[control]") {
  there_and_back(Warming{});
  there_and_back(Drained{});
  there_and_back(AnnounceCloses{});
  there_and_back(ReopenLogs{});

  const auto ready = there_and_back(
      Ready{{{"interpreter", std::chrono::microseconds(9123)}, {"import", std::chrono::microseconds(210'000)}},
            "3.11.2 (/srv/site/.venv/bin/python)"});
  REQUIRE(ready.steps.size() == 2);
  CHECK(ready.steps[0].name == "interpreter");
  CHECK(ready.steps[0].took == std::chrono::microseconds(9123));
  CHECK(ready.steps[1].name == "import");
  CHECK(ready.python == "3.11.2 (/srv/site/.venv/bin/python)");

  const auto failed = there_and_back(StartFailed{{"import", "ImportError: \"näh\"", "Traceback:\n\tline\n"}});
  CHECK(failed.failure.step == "import");
  CHECK(failed.failure.summary == "ImportError: \"näh\"");
  CHECK(failed.failure.traceback == "Traceback:\n\tline\n");

  CHECK(there_and_back(RecycleWanted{"SystemExit"}).reason == "SystemExit");
  CHECK(there_and_back(Retire{"max_requests", false}).reason == "max_requests");
  CHECK_FALSE(there_and_back(Retire{"max_requests", false}).takes_rest);
  CHECK(there_and_back(Retire{"stop", true}).takes_rest);
  CHECK_FALSE(there_and_back(Retire{"stop", true}).takes_waiting);
  CHECK(there_and_back(Retire{"reload", false, true}).takes_waiting);
}

TEST_CASE("a traceback that is too long keeps its two ends and fits a packet", "[control]") {
  std::string traceback = "Traceback (most recent call last):\n";
  while (traceback.size() < 1'000'000) traceback += "  File \"/srv/site/views.py\", line 7, in \"f\"\n";
  traceback += "RecursionError: maximum recursion depth exceeded";
  const StartFailed message{{"import", "RecursionError", traceback}};

  CHECK(encode(message).size() < 100'000);
  const auto cut = there_and_back(message).failure.traceback;
  CHECK_THAT(cut, ContainsSubstring("Traceback (most recent call last):"));
  CHECK_THAT(cut, ContainsSubstring("bytes left out"));
  CHECK_THAT(cut, ContainsSubstring("RecursionError: maximum recursion depth exceeded"));
}

TEST_CASE("an order to trace and its answers arrive", "[control]") {
  CHECK(there_and_back(Trace{7}).number == 7);
  CHECK(there_and_back(TraceDone{7}).trace == 7);
  const CallTrace call = there_and_back(CallTrace{.trace = 7,
                                                  .method = "GET",
                                                  .target = "/a?b=\"c\"",
                                                  .request = "1f",
                                                  .age = std::chrono::milliseconds(1234),
                                                  .thread = 4711,
                                                  .lock = "held by this call",
                                                  .stack = "Stack:\n  File \"views.py\", line 7 in f\n"});
  CHECK(call.trace == 7);
  CHECK(call.method == "GET");
  CHECK(call.target == "/a?b=\"c\"");
  CHECK(call.request == "1f");
  CHECK(call.age == std::chrono::milliseconds(1234));
  CHECK(call.thread == 4711);
  CHECK(call.lock == "held by this call");
  CHECK(call.stack == "Stack:\n  File \"views.py\", line 7 in f\n");
}

TEST_CASE("an order to fork and the word of who was forked arrive", "[control]") {
  const Fork order = there_and_back(Fork{3, 2});
  CHECK(order.slot == 3);
  CHECK(order.listeners == 2);
  there_and_back(Forked{});
}

TEST_CASE("text that is no UTF-8 is made so that a message carries it", "[control]") {
  CHECK(wire_text("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x8D", 100) == "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x8D");
  CHECK(wire_text("a\xFF z", 100) == "a? z");
  CHECK(wire_text("\xC3", 100) == "?");                 // cut
  CHECK(wire_text("\xC0\xAF", 100) == "??");            // overlong
  CHECK(wire_text("\xED\xA0\x80", 100) == "???");       // surrogate
  CHECK(wire_text("\xF4\x90\x80\x80", 100) == "????");  // beyond Unicode
  CHECK(wire_text(std::string("a\0b\x1B[m\n\t", 8), 100) == "a?b?[m\n\t");
  CHECK(there_and_back(RecycleWanted{"\xFF\xFE"}).reason == "??");
}

TEST_CASE("a cut in the middle of a character leaves valid text", "[control]") {
  std::string euros;
  for (int i = 0; i < 100; ++i) euros += "\xE2\x82\xAC";
  for (std::size_t limit = 10; limit < 20; ++limit) {
    auto decoded = decode(encode(RecycleWanted{wire_text(euros, limit)}));
    CHECK(decoded.has_value());
  }
}

TEST_CASE("a packet that is no message is an error", "[control]") {
  for (const char* packet :
       {"", "{", "[]", "7", "{}", R"({"is":7})", R"({"is":"nothing we know"})", R"({"is":"retire"})",
        R"({"is":"retire","reason":7,"takes_rest":true,"takes_waiting":true})",
        R"({"is":"ready","steps":[7],"python":""})", R"({"is":"fork","slot":-1,"listeners":0})",
        R"({"is":"fork","slot":1})"}) {
    CAPTURE(packet);
    CHECK_FALSE(decode(packet).has_value());
  }
}
