#include "server/worker/warmup.h"

#include "tests/unit/worker/worker_bench.h"

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {
Settings warm(std::vector<std::string> targets) {
  Settings settings = bench_settings();
  settings.app.warmup_requests = std::move(targets);
  return settings;
}
}  // namespace

TEST_CASE("warm-up calls the application with each target and its query", "[worker]") {
  FakeApplication application;
  std::vector<std::string> seen;
  application.behave = [&](const Request& request, ResponseSink& sink) {
    seen.push_back(std::string(request.path) + "?" + std::string(request.query));
    return FakeApplication::say(sink, "x");
  };
  CHECK_FALSE(worker::warm_up(application, warm({"/", "/a?b=c"})).has_value());
  CHECK(seen == std::vector<std::string>{"/?", "/a?b=c"});
}

TEST_CASE("warm-up requests reach an application below its mount as a client's do", "[worker]") {
  FakeApplication application;
  std::string seen;
  application.behave = [&](const Request& request, ResponseSink& sink) {
    seen = std::string(request.script_name) + "|" + std::string(request.path);
    return FakeApplication::say(sink, "x");
  };
  Settings settings = warm({"/shop/a"});
  settings.app.mount = "/shop";
  CHECK_FALSE(worker::warm_up(application, settings).has_value());
  CHECK(seen == "/shop|/a");
  settings.app.warmup_requests = {"/shops"};
  const auto wrong = worker::warm_up(application, settings);
  REQUIRE(wrong.has_value());
  CHECK(wrong->summary == "app.warmup.requests: '/shops' is not for the application, which is at app.mount /shop");
}

TEST_CASE("a warm-up request that raises or is answered 5xx fails the start and names the target", "[worker]") {
  FakeApplication application;
  application.behave = [](const Request&, ResponseSink&) {
    return std::optional(ApplicationFailure{"KeyError: 'x'", "Traceback"});
  };
  auto raised = worker::warm_up(application, warm({"/raise"}));
  REQUIRE(raised.has_value());
  CHECK(raised->summary == "GET /raise: KeyError: 'x'");
  CHECK(raised->traceback == "Traceback");

  application.behave = [](const Request&, ResponseSink& sink) {
    REQUIRE(sink.set_head("503 Service Unavailable", {}).has_value());
    return std::optional<ApplicationFailure>();
  };
  auto refused = worker::warm_up(application, warm({"/down"}));
  REQUIRE(refused.has_value());
  CHECK_THAT(refused->summary, ContainsSubstring("503 Service Unavailable"));
}

TEST_CASE("a 404 to a warm-up request is no failure, a target that is none is", "[worker]") {
  FakeApplication application;
  application.behave = [](const Request&, ResponseSink& sink) {
    REQUIRE(sink.set_head("404 Not Found", {}).has_value());
    return std::optional<ApplicationFailure>();
  };
  CHECK_FALSE(worker::warm_up(application, warm({"/missing"})).has_value());
  auto wrong = worker::warm_up(application, warm({"no slash"}));
  REQUIRE(wrong.has_value());
  CHECK_THAT(wrong->summary, ContainsSubstring("app.warmup.requests"));
}
