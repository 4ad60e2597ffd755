// The connections of one worker, in memory that it shares with its keeper and its supervisor: what each connection is
// and what it is at, so that they can be served on when the worker is dead, and shown when it is stuck. One slot a
// connection.
//
// Made by the supervisor before the worker starts. One writer for each field: the worker writes slots; the supervisor
// writes only `verdict`; the keeper reads after the worker's death, when nobody writes any more, and writes nothing, so
// that the supervisor can still say what ran. A slot's `state` is written last when a slot is filled and first when it
// is emptied, so that a reader who finds it busy finds the rest in place.
#pragma once

#include "stint/proxied_ends.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stint::control {

// How far a connection is, from the view of who would have to go on with it.
enum class SlotState : std::uint32_t {
  free,       // nobody's
  idle,       // between two requests, nothing read: the socket alone goes on
  unstarted,  // bytes of a request are here, or a whole one; the application has not seen it
  calling,    // in the application; not a byte of the answer is out
  answering,  // part of the answer may be out
  closing,    // the last answer is out; nothing is owed
};

// The state of http::BodyDecoder in the middle of a body, opaque to this room.
using BodyProgress = std::array<std::byte, 48>;

// What the socket itself does not tell about a connection's peer.
struct PeerRecord {
  enum class Header : std::uint8_t { none, awaited, read };  // of the PROXY protocol
  Header header = Header::none;
  ProxiedEnds ends;  // read
};

using RequestIdText = std::array<char, 64>;  // ends with zeros where it is shorter

inline constexpr std::size_t slot_size = 4096;

struct alignas(64) ConnectionSlot {
  std::atomic<SlotState> state{SlotState::free};
  std::int32_t socket = -1;
  std::int32_t body_file = -1;       // what has been decoded of the body, as far as it is not in `bytes`; -1: nothing
  std::uint32_t attempts = 0;        // workers that died while they were at this request
  std::int64_t began = 0;            // the request, in nanoseconds of CLOCK_MONOTONIC
  std::uint64_t read_before = 0;     // bytes taken from the connection before the read under way (net::read_bytes)
  std::uint64_t written_before = 0;  // bytes the connection had been sent before this answer (net::written_bytes)
  std::uint64_t answer_length = 0;   // of the whole answer, head included; 0: not known yet
  std::atomic<std::uint64_t> answered{0};  // bytes of the answer given to the kernel
  std::uint32_t head_length = 0;           // of `bytes`: the head; 0 while it is incomplete
  std::uint32_t length = 0;                // of `bytes`
  std::uint8_t is_whole = 0;     // all unused bytes of the connection are in `bytes` (and the body in `body_file`)
  std::uint8_t is_reading = 0;   // a read is under way, or what it brought is not written down here yet
  std::uint8_t keeps_alive = 0;  // the connection goes on after the answer
  std::uint8_t ends_with_connection = 0;  // the answer under way has no other end
  std::uint8_t has_body = 0;              // the request declared one: `progress` counts
  RequestIdText request_id{};
  PeerRecord peer;
  BodyProgress progress{};
  static constexpr std::size_t capacity = slot_size - 240;
  std::array<char, capacity> bytes{};  // the request's head, then what was read behind it
};
static_assert(sizeof(ConnectionSlot) == slot_size);

// What the keeper answers to an interrupted request that may not be tried again.
enum class Verdict : std::uint32_t {
  died = 502,       // the worker died of itself
  memory = 503,     // killed for its memory
  timed_out = 504,  // killed because the request took too long
};

struct ConnectionTableHeader {
  std::uint32_t version = 1;
  std::uint32_t slots = 0;
  std::atomic<Verdict> verdict{Verdict::died};  // written by the supervisor before it kills
  std::atomic<pid_t> keeper{0};                 // written by the worker; 0: it has none
};

// Method and target of the request in a slot, for people; empty when there is none. Safe to call while the worker
// writes: the text may then be of two requests.
struct RequestLine {
  std::string_view method;
  std::string_view target;
};
RequestLine request_line_of(std::string_view head);

Result<UniqueFd> make_connection_table(std::uint32_t slots);

// The mapped table; outlives the descriptor.
class ConnectionTableView {
 public:
  static Result<ConnectionTableView> map(int fd);
  ConnectionTableView(ConnectionTableView&&) noexcept;
  ConnectionTableView& operator=(ConnectionTableView&&) noexcept;
  ~ConnectionTableView();

  ConnectionTableHeader& header() const { return *header_; }
  ConnectionSlot& slot(std::size_t index) const { return slots_[index]; }
  // From the mapping, not from the header, which a worker's stray write may have changed.
  std::size_t size() const { return bytes_ / slot_size - 1; }
  // Slots at the beginning that were ever filled: a worker takes them in order, and one never filled is all zeros
  // (`socket` too). Readers stop there, because already reading a page of the others would make the kernel provide it.
  std::size_t used() const;

 private:
  ConnectionTableView(ConnectionTableHeader* header, ConnectionSlot* slots, std::size_t bytes)
      : header_(header), slots_(slots), bytes_(bytes) {}
  ConnectionTableHeader* header_ = nullptr;
  ConnectionSlot* slots_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace stint::control
