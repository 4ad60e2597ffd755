#include "server/worker/shared_slot.h"

#include <algorithm>
#include <cstring>

namespace stint::worker {

using control::ConnectionSlot;
using control::SlotState;

static_assert(sizeof(http::BodyProgress) == sizeof(control::BodyProgress));

void SharedSlot::idle(int socket) {
  slot_.socket = socket;
  slot_.body_file = -1;
  slot_.attempts = 0;
  slot_.length = slot_.head_length = 0;
  slot_.is_whole = 1;
  store(SlotState::idle);
  slot_.is_reading = 0;
}

void SharedSlot::reading(std::uint64_t read_before) {
  slot_.read_before = read_before;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot_.is_reading = 1;
}

bool SharedSlot::describe(const Unstarted& request) {
  slot_.is_whole = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // as of store()
  const std::size_t head = std::min(request.head.size(), ConnectionSlot::capacity);
  const std::size_t rest = std::min(request.rest.size(), ConnectionSlot::capacity - head);
  if (head > 0 && request.head.data() != slot_.bytes.data()) std::memcpy(slot_.bytes.data(), request.head.data(), head);
  if (rest > 0) std::memcpy(slot_.bytes.data() + head, request.rest.data(), rest);
  slot_.head_length = static_cast<std::uint32_t>(head);
  slot_.length = static_cast<std::uint32_t>(head + rest);
  slot_.attempts = request.attempts;
  slot_.body_file = request.body_file;
  slot_.has_body = request.has_body ? 1 : 0;
  const bool has_body_in_place = !request.has_body || (request.progress && request.is_body_shared);
  if (request.has_body && request.progress)
    std::memcpy(slot_.progress.data(), &*request.progress, slot_.progress.size());
  return head == request.head.size() && rest == request.rest.size() && has_body_in_place;
}

// After the state: what is written down now is not to be taken for what was there before, as an idle connection's
// bytes.
void SharedSlot::finish(bool is_whole) {
  slot_.is_whole = is_whole ? 1 : 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot_.is_reading = 0;
}

void SharedSlot::adopted(int socket, const Unstarted& request) {
  slot_.socket = socket;
  unstarted(request);
}

void SharedSlot::unstarted(const Unstarted& request) {
  const bool is_whole = describe(request);
  store(SlotState::unstarted);
  finish(is_whole);
}

void SharedSlot::calling(const Unstarted& request, std::string_view id, TimePoint began, std::uint64_t written_before) {
  const bool is_whole = describe(request);
  slot_.written_before = written_before;
  std::fill(std::copy_n(id.data(), std::min(id.size(), slot_.request_id.size()), slot_.request_id.begin()),
            slot_.request_id.end(), '\0');
  slot_.began = std::chrono::duration_cast<std::chrono::nanoseconds>(began.time_since_epoch()).count();
  slot_.answered.store(0, std::memory_order_relaxed);
  store(SlotState::calling);
  finish(is_whole);
}

void SharedSlot::answering(const Answer& answer) {
  const SlotState state = slot_.state.load(std::memory_order_relaxed);
  if (state != SlotState::calling && state != SlotState::answering) return;  // a refusal: nobody goes on after it
  slot_.answer_length = answer.length;
  slot_.keeps_alive = answer.keeps_alive ? 1 : 0;
  slot_.ends_with_connection = answer.ends_with_connection ? 1 : 0;
  store(SlotState::answering);
}

}  // namespace stint::worker
