// Waiting for a condition instead of sleeping: limits are generous, because a slow machine is no failure.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace stint::test {

using namespace std::chrono_literals;

inline constexpr std::chrono::milliseconds patience = 30s;

template <class Condition>
bool eventually(std::chrono::milliseconds limit, Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (auto pause = std::chrono::milliseconds(1);; pause = std::min(pause * 2, std::chrono::milliseconds(20))) {
    if (condition()) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
  }
}

template <class Condition>
bool eventually(Condition&& condition) {
  return eventually(patience, std::forward<Condition>(condition));
}

}  // namespace stint::test
