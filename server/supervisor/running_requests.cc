#include "server/supervisor/running_requests.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <string_view>

namespace stint::supervisor {

namespace {

using control::ConnectionSlot;
using control::SlotState;

constexpr std::size_t longest_method = 32;
constexpr std::size_t longest_target = 200;
constexpr std::size_t most_in_text = 4;

bool is_running(SlotState state) { return state == SlotState::calling || state == SlotState::answering; }

std::string printable(std::string_view text) {
  std::string out(text);
  std::replace_if(out.begin(), out.end(), [](char c) { return c <= ' ' || c > '~'; }, '?');
  return out;
}

std::optional<RunningRequest> read(const ConnectionSlot& slot, TimePoint now) {
  const SlotState state = slot.state.load(std::memory_order_acquire);
  if (!is_running(state)) return std::nullopt;
  // Copied before anything is looked at: the worker may be writing.
  const std::int64_t began = slot.began;
  const control::RequestIdText id = slot.request_id;
  std::array<char, longest_method + longest_target + 2> head;
  const std::size_t length = std::min<std::size_t>(slot.head_length, head.size());
  std::memcpy(head.data(), slot.bytes.data(), length);
  const std::uint32_t attempts = slot.attempts;
  const std::uint64_t answered = slot.answered.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (!is_running(slot.state.load(std::memory_order_relaxed)) || slot.began != began || slot.request_id != id)
    return std::nullopt;

  const control::RequestLine line = control::request_line_of({head.data(), length});
  const auto running_for = now.time_since_epoch() - std::chrono::nanoseconds(began);
  return RunningRequest{
      .id = printable(std::string_view(id.data(), ::strnlen(id.data(), id.size()))),
      .method = printable(line.method),
      .target = printable(line.target.substr(0, longest_target)),
      .running_for = std::max(std::chrono::duration_cast<Duration>(running_for), Duration{}),
      .answered_bytes = answered,
      .attempts = attempts,
      .is_calling = state == SlotState::calling,
  };
}

}  // namespace

std::vector<RunningRequest> running_requests(const control::ConnectionTableView& connections, TimePoint now) {
  std::vector<RunningRequest> requests;
  const std::size_t used = connections.used();
  for (std::size_t i = 0; i < used; ++i)
    if (auto request = read(connections.slot(i), now)) requests.push_back(std::move(*request));
  std::stable_sort(requests.begin(), requests.end(), [](const RunningRequest& one, const RunningRequest& other) {
    return one.running_for > other.running_for;
  });
  return requests;
}

std::string text_of(const std::vector<RunningRequest>& requests) {
  if (requests.empty()) return "none";
  std::string text;
  for (std::size_t i = 0; i < std::min(requests.size(), most_in_text); ++i) {
    const RunningRequest& request = requests[i];
    text.append(text.empty() ? "" : ", ").append(request.method).append(" ").append(request.target);
    text.append(" id=").append(request.id).append(" ").append(std::to_string(request.running_for.count())).append("ms");
  }
  if (requests.size() > most_in_text)
    text.append(", and ").append(std::to_string(requests.size() - most_in_text)).append(" more");
  return text;
}

}  // namespace stint::supervisor
