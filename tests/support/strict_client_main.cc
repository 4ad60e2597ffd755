// stint-strict-client: the strict client as a program, for servers that are not a story's. Prints its report as JSON.
#include "tests/support/option_number.h"
#include "tests/support/strict_client.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>

namespace stint::test {
namespace {

constexpr const char* usage =
    "stint-strict-client ADDRESS [OPTION VALUE]…\n"
    "  ADDRESS               127.0.0.1:8000, [::1]:8000 or unix:/path\n"
    "  --connections N       32\n"
    "  --requests N          10000, all connections together\n"
    "  --seconds N           ends it earlier\n"
    "  --pipeline N          requests in flight on one connection (1)\n"
    "  --per-connection N    answers after which a connection is replaced by a new one (0: kept)\n"
    "  --pause MS            between an answer and the next request on its connection (0)\n"
    "  --timeout MS          of one answer (30000)\n"
    "  --path PATH           may be given again: taken in turn (/)\n"
    "  --post PATH           the same with POST and a body of eleven bytes\n"
    "  --tolerate STATUS     answers that are counted apart and are no failures; may be given again\n"
    "  --body TEXT           what the body of answers to the path before it has to be\n"
    "SIGTERM ends it as the time does: what is in flight is waited for.\n"
    "Exit code 0: no failure; 1: failures; 2: usage.\n";

std::atomic<bool> has_to_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// CLOCK_MONOTONIC, as other programs on this machine read it.
std::int64_t microseconds_of(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

Load load_of(const std::vector<std::string>& arguments) {
  Load load;
  if (arguments.empty() || arguments[0].starts_with("--")) throw std::invalid_argument("no address");
  load.address = arguments[0];
  load.paths.clear();
  std::vector<std::optional<std::string>> bodies;  // of load.paths; none: not asked about
  for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const std::string &option = arguments[i], &value = arguments[i + 1];
    if (option == "--connections") {
      load.connections = number<unsigned>(option, value);
    } else if (option == "--requests") {
      load.requests = number<std::uint64_t>(option, value);
    } else if (option == "--seconds") {
      load.duration = std::chrono::seconds(number<unsigned>(option, value));
    } else if (option == "--pipeline") {
      load.pipeline = number<unsigned>(option, value);
    } else if (option == "--per-connection") {
      load.answers_per_connection = number<unsigned>(option, value);
    } else if (option == "--pause") {
      load.pause = std::chrono::milliseconds(number<unsigned>(option, value));
    } else if (option == "--timeout") {
      load.timeout = std::chrono::milliseconds(number<unsigned>(option, value));
    } else if (option == "--path") {
      load.paths.emplace_back(value);
    } else if (option == "--post") {
      load.paths.emplace_back("POST", value, "eleven byte");
    } else if (option == "--tolerate") {
      load.tolerated_statuses.push_back(number<int>(option, value));
    } else if (option == "--body") {
      if (load.paths.empty()) throw std::invalid_argument("--body follows the --path it is for");
      bodies.resize(load.paths.size());
      bodies.back() = value;
    } else {
      throw std::invalid_argument("unknown option: " + option);
    }
  }
  if (arguments.size() % 2 == 0) throw std::invalid_argument("no value: " + arguments.back());
  if (load.paths.empty()) load.paths.emplace_back("/");
  bodies.resize(load.paths.size());
  load.problem_of = [bodies = std::move(bodies)](const LoadAnswer& answer) {
    const auto& body = bodies[answer.request];
    return !body || answer.body == *body ? std::string() : "another body: " + std::string(answer.body.substr(0, 100));
  };
  if (load.connections == 0 || load.pipeline == 0)
    throw std::invalid_argument("--connections and --pipeline are at least 1");
  return load;
}

boost::json::object json_of(const LoadReport& report) {
  boost::json::object by_worker, by_status, by_version, latencies;
  for (const auto& [pid, count] : report.answers_by_worker) by_worker[std::to_string(pid)] = count;
  for (const auto& [status, count] : report.answers_by_status) by_status[std::to_string(status)] = count;
  for (const auto& [version, its] : report.answers_by_version) {
    by_version[version] = {{"answers", its.answers},
                           {"first_answer_at_us", microseconds_of(its.first_answer)},
                           {"last_request_at_us", microseconds_of(its.last_request)}};
  }
  for (const auto& [microseconds, count] : report.latencies.counts()) latencies[std::to_string(microseconds)] = count;
  return {{"answers", report.answers},
          {"failures", report.failures()},
          {"refused", report.refused},
          {"resets", report.resets},
          {"new_resets", report.new_resets},
          {"early_closes", report.early_closes},
          {"truncated", report.truncated},
          {"malformed", report.malformed},
          {"wrong_status", report.wrong_status},
          {"wrong_body", report.wrong_body},
          {"timeouts", report.timeouts},
          {"tolerated", report.tolerated},
          {"idle_closes", report.idle_closes},
          {"announced_closes", report.announced_closes},
          {"resent", report.resent},
          {"connections_opened", report.connections_opened},
          {"most_answers_on_a_connection", report.most_answers_on_a_connection},
          {"most_workers_on_a_connection", report.most_workers_on_a_connection},
          {"answers_by_worker", std::move(by_worker)},
          {"answers_by_status", std::move(by_status)},
          {"answers_by_version", std::move(by_version)},
          {"latencies_us", std::move(latencies)},
          {"p50_us", report.p50.count()},
          {"p99_us", report.p99.count()},
          {"p999_us", report.p999.count()},
          {"slowest_us", report.slowest.count()},
          {"longest_gap_us", report.longest_gap.count()},
          {"longest_gap_at_us", report.longest_gap_at.count()},
          {"took_us", report.took.count()},
          {"examples", boost::json::value_from(report.examples)}};
}

}  // namespace
}  // namespace stint::test

int main(int argc, char** argv) {
  using namespace stint::test;
  try {
    Load load = load_of({argv + 1, argv + argc});
    load.stop = &has_to_stop;
    std::signal(SIGTERM, [](int) { has_to_stop = true; });
    const LoadReport report = run_load(load);
    std::puts(boost::json::serialize(json_of(report)).c_str());
    return report.failures() == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stint-strict-client: %s\n%s", error.what(), usage);
    return 2;
  }
}
