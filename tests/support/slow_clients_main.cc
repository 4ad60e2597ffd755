// stint-slow-clients: the slow clients as a program, for bench/slow_clients.py. Prints a line when all of its
// connections are open, and at its end (its time is up, all have ended, or SIGTERM) a report as JSON.
#include "tests/support/option_number.h"
#include "tests/support/slow_clients.h"

#include <signal.h>
#include <sys/resource.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>

namespace stint::test {
namespace {

constexpr const char* usage =
    "stint-slow-clients ADDRESS [OPTION VALUE]…\n"
    "  ADDRESS               127.0.0.1:8000, [::1]:8000 or unix:/path\n"
    "  --head N              clients that send a head, a byte after each pause\n"
    "  --body N              that send a body so\n"
    "  --read N              that read an answer so\n"
    "  --idle N              that have had an answer and say nothing more\n"
    "  --pause MS            1000\n"
    "  --seconds N           10\n"
    "  --opened-per-second N 2000\n"
    "  --slow-bytes N        after which a client sends or reads the rest at once (never)\n"
    "  --head-size BYTES     4096\n"
    "  --body-size BYTES     1048576\n"
    "  --path PATH           of heads and idle clients (/)\n"
    "  --body-path PATH      /\n"
    "  --read-path PATH      /\n"
    "  --receive-buffer N    SO_RCVBUF of those that read (4096)\n"
    "Exit code 0: it ran to its end; 2: usage.\n";

std::atomic<bool> has_to_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler stores it");

SlowLoad load_of(const std::vector<std::string>& arguments) {
  SlowLoad load;
  if (arguments.empty() || arguments[0].starts_with("--")) throw std::invalid_argument("no address");
  if (arguments.size() % 2 == 0) throw std::invalid_argument("no value: " + arguments.back());
  load.address = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string &option = arguments[i], &value = arguments[i + 1];
    const auto kind = std::find_if(slow_kinds.begin(), slow_kinds.end(),
                                   [&](SlowKind kind) { return option == "--" + std::string(text_of(kind)); });
    if (kind != slow_kinds.end()) {
      load.connections[*kind] = number<unsigned>(option, value);
    } else if (option == "--pause") {
      load.pause = std::chrono::milliseconds(number<unsigned>(option, value));
    } else if (option == "--seconds") {
      load.duration = std::chrono::seconds(number<unsigned>(option, value));
    } else if (option == "--opened-per-second") {
      load.opened_per_second = number<unsigned>(option, value);
    } else if (option == "--slow-bytes") {
      load.slow_bytes = number<std::size_t>(option, value);
    } else if (option == "--head-size") {
      load.head_size = number<std::size_t>(option, value);
    } else if (option == "--body-size") {
      load.body_size = number<std::size_t>(option, value);
    } else if (option == "--path") {
      load.path = value;
    } else if (option == "--body-path") {
      load.body_path = value;
    } else if (option == "--read-path") {
      load.read_path = value;
    } else if (option == "--receive-buffer") {
      load.receive_buffer = number<int>(option, value);
    } else {
      throw std::invalid_argument("unknown option: " + option);
    }
  }
  return load;
}

boost::json::object json_of(const SlowReport& report) {
  boost::json::object kinds;
  for (const auto& [kind, its] : report.kinds) {
    boost::json::object statuses;
    for (const auto& [status, count] : its.statuses) statuses[std::to_string(status)] = count;
    kinds[text_of(kind)] =
        boost::json::object{{"opened", its.opened},   {"open", its.open},           {"answered", its.answered},
                            {"refused", its.refused}, {"truncated", its.truncated}, {"closed", its.closed},
                            {"resets", its.resets},   {"bytes", its.bytes},         {"statuses", std::move(statuses)}};
  }
  return {{"kinds", std::move(kinds)},
          {"failed_connects", report.failed_connects},
          {"latest_us", report.latest.count()},
          {"processor_time_us", report.processor_time.count()}};
}

// Each connection is a descriptor; within the hard limit raising the soft one needs no right.
void allow_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace stint::test

int main(int argc, char** argv) {
  using namespace stint::test;
  try {
    allow_descriptors();
    signal(SIGTERM, [](int) { has_to_stop = true; });
    SlowLoad load = load_of({argv + 1, argv + argc});
    load.stop = &has_to_stop;
    load.on_all_open = [] {
      std::puts("all open");
      std::fflush(stdout);
    };
    std::puts(boost::json::serialize(json_of(run_slow_clients(load))).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stint-slow-clients: %s\n%s", error.what(), usage);
    return 2;
  }
}
