#include "server/cli/status_text.h"

#include "tests/support/catch.h"

#include <boost/json/parse.hpp>

namespace stint::cli {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

const char* const status = R"({"version": "0.1", "pid": 42, "uptime_s": 4321, "state": "serving",
  "listen": ["127.0.0.1:8000"], "supervisor": {"rss_bytes": 4194304},
  "pool": {"name": "site", "generation": 1, "count": 2, "recycled": {"max_rss": 7, "reload": 2}, "restarts": 4,
    "totals": {"requests": 90, "failures": 1, "clients_gone": 3, "idle_timeouts": 5, "write_timeouts": 0, "request_timeouts": 0, "times_full": 1,
               "dropped_fields": 0, "refused": {"bare_lf": 2, "head_timeout": 4}},
    "zygotes": [{"pid": 41, "generation": 1, "state": "ready"}],
    "workers": [
      {"slot": 1, "pid": 43, "keeper": 143, "state": "ready", "requests": 12, "failures": 1, "connections": 3, "is_full": true,
       "busy_ms": 250, "private_bytes": 41943040, "age_s": 61,
       "running": [{"id": "a", "method": "GET", "target": "/slow", "ms": 250, "answered_bytes": 9, "attempts": 0},
                   {"id": "b", "method": "PUT", "target": "/fast", "ms": 99, "answered_bytes": 0, "attempts": 1}]},
      {"slot": 2, "pid": 44, "keeper": null, "state": "retiring", "requests": 0, "failures": 0, "connections": 0, "is_full": false,
       "busy_ms": null, "private_bytes": 0, "age_s": 5, "running": []}]}})";

}  // namespace

TEST_CASE("status is a few lines and a table, with the requests that have run for long", "[cli]") {
  CHECK(status_text(json::parse(status).as_object(), 100ms) ==
        "stint 0.1  serving  pid 42  up 1h 12m  supervisor 4.0 MiB\n"
        "listening on 127.0.0.1:8000\n"
        "pool site  generation 1  workers 2  recycled 9 (max_rss 7, reload 2)  died 4\n"
        "zygote  generation 1  ready  pid 41\n"
        "clients  refused 6 (bare_lf 2, head_timeout 4),  gone 3,  workers full 1\n"
        "\n"
        "SLOT  PID  KEEPER  STATE     REQUESTS  FAILED  CONNECTIONS   BUSY   PRIVATE    AGE\n"
        "   1   43     143  ready           12       1     3 (full)  250ms  40.0 MiB  1m 1s\n"
        "   2   44       -  retiring         0       0            0      -   0.0 MiB     5s\n"
        "\n"
        "SLOT   TIME  ANSWERED  TRIES  REQUEST ID  REQUEST\n"
        "   1  250ms         9      1  a           GET /slow\n");
}

TEST_CASE("all running requests are shown to those who want to see them, and no table when there is none", "[cli]") {
  auto object = json::parse(status).as_object();
  CHECK_THAT(status_text(object, 0ms),
             Catch::Matchers::EndsWith("   1   99ms         0      2  b           PUT /fast\n"));
  CHECK_THAT(status_text(object, 1000ms), !Catch::Matchers::ContainsSubstring("REQUEST ID"));
}

TEST_CASE("a trace is each worker's calls with their stacks", "[cli]") {
  const auto trace = json::parse(R"({"workers": [
    {"slot": 1, "pid": 43, "generation": 7, "has_answered": true, "calls": [
      {"method": "GET", "target": "/a", "request": "1f", "ms": 250, "thread": 45, "lock": "held by this call",
       "stack": "Stack (most recent call first):\n  File \"views.py\", line 7 in f\n"},
      {"method": "PUT", "target": "/b", "request": "20", "ms": 9, "thread": 46, "lock": "free", "stack": ""}]},
    {"slot": 2, "pid": 44, "generation": 7, "has_answered": true, "calls": []},
    {"slot": 3, "pid": 47, "generation": 7, "has_answered": false, "calls": []}]})");
  CHECK(trace_text(trace.as_object()) ==
        "worker 1  pid 43  generation 7\n"
        "  GET /a  250ms  request 1f  thread 45; the GIL is held by this call\n"
        "    Stack (most recent call first):\n"
        "      File \"views.py\", line 7 in f\n"
        "  PUT /b  9ms  request 20  thread 46; the GIL is free\n"
        "    its thread does not answer\n"
        "worker 2  pid 44  generation 7: nothing runs\n"
        "worker 3  pid 47  generation 7: does not answer\n");
}

TEST_CASE("a status that lacks something throws, for the command to tell", "[cli]") {
  auto object = json::parse(status).as_object();
  object["pool"].as_object().erase("workers");
  CHECK_THROWS(status_text(object, 0ms));
}

}  // namespace stint::cli
