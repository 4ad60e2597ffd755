// A connection's slot in the table that worker, keeper and supervisor share: what the connection is at, written down
// before it matters, so that it can go on without this worker. Everything here is a handful of stores and one copy of
// the request's head; it runs for every request.
//
// Always: `state` is stored after what it promises is in place, and moved away from before that is taken away.
#pragma once

#include "server/control/connection_table.h"
#include "server/http/body_decoder.h"
#include "stint/worker_report.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stint::worker {

class SharedSlot {
 public:
  explicit SharedSlot(control::ConnectionSlot& slot) : slot_(slot) {}
  SharedSlot(const SharedSlot&) = delete;
  SharedSlot& operator=(const SharedSlot&) = delete;

  void idle(int socket);
  // Whenever something becomes known of it. The keeper hands it on with the connection.
  void peer(const control::PeerRecord& record) { slot_.peer = record; }
  // Bytes may leave the socket now that are written down nowhere yet; until one of the other calls. `read_before`: all
  // that were taken from the connection so far.
  void reading(std::uint64_t read_before);
  void has_read_nothing() { slot_.is_reading = 0; }
  // Where to read the beginning of a request while the connection is idle: what comes is then in its place at once, and
  // the keeper learns from the kernel how much it was.
  std::span<char> place() { return slot_.bytes; }
  bool holds(std::string_view bytes) const {
    return bytes.data() >= slot_.bytes.data() && bytes.data() < slot_.bytes.data() + slot_.bytes.size();
  }
  // A request, whole or in part, that the application has not seen: its head (empty while incomplete), what was read
  // behind it, and its body as far as it is decoded. Without `progress` a body cannot be gone on with.
  struct Unstarted {
    std::string_view head;
    std::string_view rest;
    bool has_body = false;
    int body_file = -1;
    bool is_body_shared = true;  // all of it is in body_file
    std::optional<http::BodyProgress> progress;
    std::uint32_t attempts = 0;
  };
  void unstarted(const Unstarted& request);
  void adopted(int socket, const Unstarted& request);  // the first of all, where another worker had it
  void calling(const Unstarted& request, std::string_view id, TimePoint began, std::uint64_t written_before);
  // An interim answer (1xx) has gone out: `written` bytes in all on this connection.
  void wrote_before_answer(std::uint64_t written) { slot_.written_before = written; }
  // From here on a part of the answer may be out. Called again when more is known.
  struct Answer {
    std::uint64_t length = 0;  // of all of it; 0: not known yet
    bool keeps_alive = false;
    bool ends_with_connection = false;
  };
  void answering(const Answer& answer);
  void answered(std::uint64_t bytes) { slot_.answered.store(bytes, std::memory_order_relaxed); }
  void closing() { store(control::SlotState::closing); }
  void free() { store(control::SlotState::free); }

 private:
  // The compiler must not move what stands behind it to before it either: whoever dies in between has done all of one
  // and nothing of the other.
  void store(control::SlotState state) {
    slot_.state.store(state, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  bool describe(const Unstarted& request);  // true: all of it is there
  void finish(bool is_whole);

  control::ConnectionSlot& slot_;
};

}  // namespace stint::worker
