// An open load: each request has its time, whatever has become of those before it, and what it took counts from that
// time, not from when it was sent. Many kept-alive connections; a request goes out on a random one that has none in
// flight, or waits for the first that is free.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace stint::test {

struct Arrival {
  std::chrono::microseconds at{};  // since the beginning
  std::string path = "/";
};

struct OpenLoad {
  std::string address;  // empty: a thread of its own that answers at once, to see how exact the rest is
  unsigned connections = 256;
  std::vector<Arrival> arrivals;              // by time
  std::chrono::milliseconds timeout{30'000};  // after the last arrival
};

struct OpenLoadReport {
  // Of each arrival, from its time to the last byte of its answer; negative: it failed.
  std::vector<std::chrono::microseconds> took;
  std::vector<std::chrono::microseconds> sent_late;  // after its time
  std::uint64_t had_to_wait = 0;                     // for a connection: all had a request in flight
  std::uint64_t reopened = 0;                        // connections that the server had closed while they were idle
  std::map<long, std::uint64_t> answers_by_worker;   // X-Worker-Pid
  std::vector<std::string> examples;                 // of failures, in words
};

OpenLoadReport run_open_load(const OpenLoad& load);

}  // namespace stint::test
