// stint-open-load: the open load as a program, for bench/tail.py. Reads the arrivals from standard input, a line each:
// the time in microseconds since the beginning, and the path. Prints its report as JSON.
#include "tests/support/open_load.h"
#include "tests/support/option_number.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include <cstdio>
#include <exception>
#include <iostream>

namespace stint::test {
namespace {

constexpr const char* usage =
    "stint-open-load ADDRESS|itself [OPTION VALUE]… <ARRIVALS\n"
    "  ADDRESS          127.0.0.1:8000, [::1]:8000 or unix:/path; itself: a thread of its own, that answers at once\n"
    "  --connections N  256\n"
    "  --timeout MS     after the last arrival (30000)\n"
    "Exit code 0: it ran to its end; 2: usage.\n";

OpenLoad load_of(const std::vector<std::string>& arguments) {
  OpenLoad load;
  if (arguments.empty() || arguments[0].starts_with("--")) throw std::invalid_argument("no address");
  if (arguments.size() % 2 == 0) throw std::invalid_argument("no value: " + arguments.back());
  if (arguments[0] != "itself") load.address = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string &option = arguments[i], &value = arguments[i + 1];
    if (option == "--connections") {
      load.connections = number<unsigned>(option, value);
    } else if (option == "--timeout") {
      load.timeout = std::chrono::milliseconds(number<unsigned>(option, value));
    } else {
      throw std::invalid_argument("unknown option: " + option);
    }
  }
  Arrival arrival;
  for (std::int64_t at = 0; std::cin >> at >> arrival.path;) {
    arrival.at = std::chrono::microseconds(at);
    load.arrivals.push_back(arrival);
  }
  return load;
}

boost::json::array microseconds_of(const std::vector<std::chrono::microseconds>& times) {
  boost::json::array array;
  for (const std::chrono::microseconds time : times) array.push_back(time.count());
  return array;
}

boost::json::object json_of(const OpenLoadReport& report) {
  boost::json::object by_worker;
  for (const auto& [pid, count] : report.answers_by_worker) by_worker[std::to_string(pid)] = count;
  return {{"took_us", microseconds_of(report.took)},   {"sent_late_us", microseconds_of(report.sent_late)},
          {"had_to_wait", report.had_to_wait},         {"reopened", report.reopened},
          {"answers_by_worker", std::move(by_worker)}, {"examples", boost::json::value_from(report.examples)}};
}

}  // namespace
}  // namespace stint::test

int main(int argc, char** argv) {
  using namespace stint::test;
  try {
    std::puts(boost::json::serialize(json_of(run_open_load(load_of({argv + 1, argv + argc})))).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stint-open-load: %s\n%s", error.what(), usage);
    return 2;
  }
}
