// How a Connection goes from process to process: what it writes into its shared slot while it is read, how a worker
// that drains puts it into the pool's inbox, and how another one goes on with it. The rest of Connection is in
// connection.cc.
#include "server/net/byte_counts.h"
#include "server/worker/connection.h"
#include "server/worker/connection_services.h"

#include <array>
#include <cstring>

namespace stint::worker {

namespace {
// More than any connection has had: whoever relieves this worker finds that it cannot know what is missing.
constexpr std::uint64_t unknown_count = std::uint64_t{1} << 62;
}  // namespace

SharedSlot::Unstarted Connection::unstarted(std::string_view rest) const {
  const bool has_body = parser_.head().body != http::BodyKind::none;
  return {.head = head_,
          .rest = rest,
          .has_body = has_body,
          .body_file = spool_.file(),
          .is_body_shared = spool_.is_shared(),
          .progress = has_body ? decoder_.progress() : std::nullopt,
          .attempts = attempts_};
}

bool Connection::share_unstarted() {
  if (const Result<void> shared = spool_.share(); !shared.has_value()) {
    refuse_unstored_body(shared.error());
    return false;
  }
  shared_.unstarted(unstarted(unread_));
  return true;
}

// Between two requests, or before the head of one is complete.
void Connection::share_unused(std::string_view bytes) {
  if (bytes.empty()) return shared_.idle(socket_.get());
  shared_.unstarted({.head = {}, .rest = bytes, .progress = {}});
}

void Connection::share_handed_over(const control::Handover& handover) {
  const control::HandoverHeader& header = handover.header;
  shared_.peer(header.peer);
  if (header.length == 0) return shared_.idle(socket_.get());
  const std::string_view bytes = handover.bytes;
  std::optional<http::BodyProgress> progress;
  if (header.has_body != 0) std::memcpy(&progress.emplace(), header.progress.data(), sizeof(http::BodyProgress));
  shared_.adopted(socket_.get(), {.head = bytes.substr(0, header.head_length),
                                  .rest = bytes.substr(header.head_length),
                                  .has_body = header.has_body != 0,
                                  .body_file = handover.body_file.get(),
                                  .progress = progress,
                                  .attempts = header.attempts});
}

void Connection::take_over(control::Handover handover) {
  const control::HandoverHeader& header = handover.header;
  attempts_ = header.attempts;
  peer_.resume(header.peer);
  shared_.peer(peer_.record());
  read_ = net::read_bytes(socket_.get()).value_or(unknown_count);
  written_ = net::written_bytes(socket_.get()).value_or(0);
  if (header.length == 0) {
    services_.limit_of_rest(services_.deadlines.idle).arm(*this, services_.loop.now());
    return;
  }
  if (header.head_length == 0) {
    unread_ = std::move(handover.bytes);
    return advance(unread_);
  }
  // The head was accepted by a worker with the same rules; what is not understood all the same is refused here.
  head_bytes_ = handover.bytes.substr(0, header.head_length);
  unread_ = handover.bytes.substr(header.head_length);
  head_ = head_bytes_;
  if (parser_.parse(head_bytes_) != http::RequestParser::Verdict::complete)
    return refuse({400, RefusalReason::handed_over_head});
  has_head_ = true;
  sift_fields();
  state_ = State::reading_body;
  if (header.has_body != 0) {
    http::BodyProgress progress;
    std::memcpy(&progress, header.progress.data(), sizeof progress);
    std::optional<http::BodyDecoder> decoder = http::BodyDecoder::resume(progress);
    if (!decoder) return refuse({400, RefusalReason::handed_over_body});
    decoder_ = std::move(*decoder);
  }
  if (handover.body_file.is_open()) {
    if (const Result<void> adopted = spool_.adopt(std::move(handover.body_file)); !adopted.has_value()) {
      return refuse_unstored_body(adopted.error());
    }
  }
  advance(unread_);
}

void Connection::settle() {
  if (services_.hands_over()) static_cast<void>(hand_over());
}

bool Connection::hand_over() {
  control::HandoverHeader header;
  header.peer = peer_.record();
  std::string bytes;
  switch (state_) {
    case State::idle:
    case State::reading_head:
      bytes = unread_;
      break;
    case State::reading_body:
    case State::waiting: {
      const SharedSlot::Unstarted request = unstarted(unread_);
      if (request.has_body && !request.progress) return false;  // within trailers
      bytes.append(head_).append(unread_);
      header.head_length = static_cast<std::uint32_t>(head_.size());
      header.attempts = attempts_;
      header.has_body = request.has_body ? 1 : 0;
      header.has_body_file = request.body_file >= 0 ? 1 : 0;
      if (request.progress) std::memcpy(header.progress.data(), &*request.progress, header.progress.size());
      break;
    }
    case State::calling:
    case State::writing:
    case State::lingering:
    case State::closed:
      return false;
  }
  if (bytes.size() > control::most_bytes_in_packet) return false;
  header.length = static_cast<std::uint32_t>(bytes.size());
  const std::array<int, 2> descriptors{socket_.get(), spool_.file()};
  // No more the keeper's before it is another worker's: dying in between costs one connection; the other way round two
  // workers would read from it.
  shared_.free();
  const int error = control::put_into_inbox(services_.inbox_put, header, bytes,
                                            {descriptors.data(), header.has_body_file != 0 ? 2U : 1U});
  services_.is_inbox_full = error != 0;
  if (error == 0) {
    close();
    return true;
  }
  header.head_length > 0 ? shared_.unstarted(unstarted(unread_)) : share_unused(unread_);
  return false;
}

}  // namespace stint::worker
