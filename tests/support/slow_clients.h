// Clients that take their time, thousands of them on one epoll loop: some send a head, some a body, some read an
// answer, each a byte after each `pause`, and some have had an answer and say nothing more. Their bytes are spread
// evenly over the pause, so that the server sees a steady drizzle. Costs little processor time: what is measured beside
// it is the server.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stint::test {

enum class SlowKind { idle, head, body, read };
inline constexpr std::array slow_kinds = {SlowKind::idle, SlowKind::head, SlowKind::body, SlowKind::read};
std::string_view text_of(SlowKind kind);

struct SlowLoad {
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

  std::string address;
  std::map<SlowKind, unsigned> connections;
  std::chrono::milliseconds pause{1000};       // between two bytes of a connection
  std::chrono::milliseconds duration{10'000};  // then it ends, whatever goes on
  unsigned opened_per_second = 2000;
  std::size_t slow_bytes = all;  // after so many of them a connection sends or reads the rest at once
  std::size_t head_size = 4096;  // of the heads that are sent slowly
  std::size_t body_size = 1024 * 1024;
  std::string path = "/";       // of heads, and of connections that say nothing more
  std::string body_path = "/";  // of bodies
  // Of what is read: more than the kernel buffers, or the server is soon done with it.
  std::string read_path = "/";
  int receive_buffer = 4096;  // of those that read: SO_RCVBUF
  const std::atomic<bool>* stop = nullptr;
  std::function<void()> on_all_open;
};

struct SlowCounts {
  std::uint64_t opened = 0;
  // What became of them; together as many as were opened.
  std::uint64_t open = 0;       // still there at the end
  std::uint64_t answered = 0;   // a whole answer, read by a client that had sent all of its request
  std::uint64_t refused = 0;    // a whole answer before the request was all sent
  std::uint64_t truncated = 0;  // the server ended it within an answer
  std::uint64_t closed = 0;     // the server ended it before a byte of an answer
  std::uint64_t resets = 0;
  std::uint64_t bytes = 0;                // sent or read one by one
  std::map<int, std::uint64_t> statuses;  // of answers
};

struct SlowReport {
  std::map<SlowKind, SlowCounts> kinds;
  std::uint64_t failed_connects = 0;
  std::chrono::microseconds latest{};          // most that a byte was later than its time
  std::chrono::microseconds processor_time{};  // of the thread that ran it
  std::string text() const;                    // all figures, for INFO
};

// Runs until `duration` has passed or every connection has ended.
SlowReport run_slow_clients(const SlowLoad& load);

}  // namespace stint::test
