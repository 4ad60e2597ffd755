// A load client that forgives nothing: many kept-alive connections on one epoll loop, every answer checked. It obeys
// an announced `Connection: close` by opening a new connection; every other end of a connection that hits a request
// is a failure, and an unannounced close of an idle one is counted. Fast enough not to be what is measured.
#pragma once

#include "tests/support/latency_histogram.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stint::test {

struct LoadRequest {
  LoadRequest(std::string path) : path(std::move(path)) {}  // NOLINT: lists of paths are lists of requests
  LoadRequest(const char* path) : path(path) {}             // NOLINT
  LoadRequest(std::string method, std::string path, std::string body = {})
      : method(std::move(method)), path(std::move(path)), body(std::move(body)) {}
  std::string method = "GET";  // not HEAD: its answers end elsewhere
  std::string path;
  std::string body;
};

struct LoadAnswer {
  int status = 0;
  std::size_t request = 0;  // its place in Load::paths
  std::string_view path;
  std::string_view head;  // status line and fields
  std::string_view body;  // chunks joined
};

struct Load {
  std::string address;
  unsigned connections = 32;
  std::uint64_t requests = 10'000;          // all connections together
  const std::atomic<bool>* stop = nullptr;  // ends it earlier: what is in flight is still waited for
  std::chrono::milliseconds duration{0};    // not zero: ends it after this time likewise
  unsigned pipeline = 1;                    // requests in flight on one connection
  unsigned answers_per_connection = 0;      // then the client closes it and opens another; 0: kept as long as possible
  std::chrono::milliseconds pause{0};       // between an answer and the next request on its connection
  std::vector<LoadRequest> paths = {"/"};   // taken in turn
  int expected_status = 200;
  std::vector<int> tolerated_statuses;  // no failures, but counted apart; their bodies are not asked about
  std::function<std::string(const LoadAnswer&)> problem_of;  // empty text: the answer is right; null: not asked
  std::chrono::milliseconds timeout{30'000};                 // of one answer, and of connecting
};

// What one version of the application has answered.
struct VersionReport {
  std::uint64_t answers = 0;
  std::chrono::steady_clock::time_point first_answer;
  std::chrono::steady_clock::time_point last_request;  // when the newest request that it answered was sent
};

struct LoadReport {
  std::uint64_t answers = 0;  // complete, with the right status and body
  // Each is a failed request.
  std::uint64_t refused = 0;       // connect(2) failed
  std::uint64_t resets = 0;        // ECONNRESET, EPIPE; also of an idle connection
  std::uint64_t new_resets = 0;    // resets before the first answer on a connection
  std::uint64_t early_closes = 0;  // closed unannounced with a request in flight, before a byte of its answer
  std::uint64_t truncated = 0;     // closed within an answer
  std::uint64_t malformed = 0;
  std::uint64_t wrong_status = 0;
  std::uint64_t wrong_body = 0;
  std::uint64_t timeouts = 0;
  // No failed request.
  std::uint64_t tolerated = 0;    // answers with a tolerated status
  std::uint64_t idle_closes = 0;  // unannounced, with no request in flight
  std::uint64_t announced_closes = 0;
  std::uint64_t resent = 0;  // pipelined behind an answer that announced the close
  std::uint64_t connections_opened = 0;

  std::map<long, std::uint64_t> answers_by_worker;                       // X-Worker-Pid
  std::map<std::string, VersionReport, std::less<>> answers_by_version;  // X-Version
  std::uint64_t most_answers_on_a_connection = 0;
  std::uint64_t most_workers_on_a_connection = 0;
  std::map<int, std::uint64_t> answers_by_status;
  LatencyHistogram latencies;
  std::chrono::microseconds p50{}, p99{}, p999{}, slowest{};
  std::chrono::microseconds longest_gap{};     // without an answer on any connection, while one waited
  std::chrono::microseconds longest_gap_at{};  // when it ended, since the beginning
  std::chrono::microseconds took{};
  std::vector<std::string> examples;  // of failures, in words

  std::uint64_t failures() const;
  std::string text() const;  // all figures, for INFO and WARN
};

LoadReport run_load(const Load& load);

// The same beside the story; the destructor stops it.
class BackgroundLoad {
 public:
  explicit BackgroundLoad(Load load);
  ~BackgroundLoad();
  BackgroundLoad(const BackgroundLoad&) = delete;
  BackgroundLoad& operator=(const BackgroundLoad&) = delete;

  std::uint64_t answers() const { return answers_; }
  LoadReport stop();  // ends it, waits for what is in flight
  LoadReport wait();  // until all its requests are answered

 private:
  std::atomic<bool> has_to_stop_{false};
  std::atomic<std::uint64_t> answers_{0};
  std::future<LoadReport> report_;
};

}  // namespace stint::test
