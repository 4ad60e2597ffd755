#include "server/worker/connection.h"

#include "server/http/method.h"
#include "server/http/proxy_header.h"
#include "server/http/response_head.h"
#include "server/net/byte_counts.h"
#include "server/net/reset.h"
#include "server/worker/connection_services.h"
#include "server/worker/forked_children.h"
#include "stint/assert.h"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace stint::worker {

namespace {
// After so many pipelined requests in a row the loop turns to the other connections.
constexpr unsigned run_most = 16;
// An idle connection does not keep more than this of what it has used.
constexpr std::size_t kept_capacity = 1024;
// In the access log, of a request whose client did not wait for its answer, as nginx has it.
constexpr int client_left_status = 499;

// A refused upload is read and thrown away for so long, where it does not pause.
constexpr std::chrono::seconds longest_linger{30};

void forget_bytes(std::string& bytes) {
  bytes.clear();
  if (bytes.capacity() > kept_capacity) bytes.shrink_to_fit();
}
}  // namespace

Connection::Connection(ConnectionServices& services, std::size_t slot, UniqueFd socket, net::AddressText remote)
    : services_(services),
      slot_(slot),
      shared_(services.shared_table.slot(slot)),
      socket_(std::move(socket)),
      peer_(services.forwarded_rules, socket_.get(), std::move(remote), services.awaits_proxy_header),
      parser_(services.head_limits),
      writer_(queue_, *this, services.takes_named_files),
      call_(services.lease) {}

Result<void> Connection::start(const control::Handover* handover) {
  // Before all else: until it is written down a death of this worker would lose what has come with it.
  if (handover != nullptr) {
    share_handed_over(*handover);
  } else {
    shared_.peer(peer_.record());
    shared_.idle(socket_.get());
  }
  services_.limit_of_rest(services_.deadlines.head).arm(*this, services_.loop.now());
  connection_opened(slot_, socket_.get());
  const Result<void> watched = services_.loop.watch(socket_.get(), EPOLLIN, *this);
  if (!watched.has_value()) {  // it goes, and nobody shall take its number for it
    connection_closes(slot_);
    shared_.free();
  }
  return watched;
}

void Connection::on_ready(std::uint32_t events) {
  switch (state_) {
    case State::idle:
    case State::reading_head:
    case State::reading_body:
      // Only the end of a run of pipelined requests waits for EPOLLOUT here: a socket that can be written is ready at
      // once.
      if ((events & EPOLLOUT) != 0U) {
        services_.loop.rewatch(socket_.get(), EPOLLIN);
        return advance(unread_);
      }
      return read();
    case State::waiting:
      // Only errors are waited for; what else comes was fetched while its call before was running.
      return (events & (EPOLLERR | EPOLLHUP)) != 0U ? leave_unserved() : void();
    case State::calling:
      return on_ready_while_calling(events);
    case State::writing:
      return send_queued();
    case State::lingering:
      return read();
    case State::closed:
      return;
  }
}

void Connection::read() {
  // The usual request comes in one piece and is read to where it would have to be written down anyway.
  if (state_ == State::idle && unread_.empty()) {
    const std::optional<std::string_view> bytes = read_into(shared_.place());
    if (!bytes) return close();  // nothing has begun, nothing is owed
    if (bytes->empty()) return;
    if (bytes->size() < shared_.place().size()) return advance(*bytes);
    unread_.assign(*bytes);
    share_unused(unread_);  // before the kernel's count goes on
    return read_more(true);
  }
  read_more(false);
}

// Behind what is in unread_, or a body's next part. `is_new`: unread_ has just been read and not been looked at.
void Connection::read_more(bool is_new) {
  ReadBuffers::Loan buffer(services_.read_buffers);
  const std::optional<std::string_view> bytes = read_into({buffer.data(), buffer.size()});
  if (!is_new) {
    if (!bytes) return close();
    if (bytes->empty() || has_timed_out_) return;
    if (state_ == State::lingering) return linger_on();
    if (unread_.empty()) return advance(*bytes);
  }
  if (bytes) unread_.append(*bytes);  // an end of the stream shows again at the next read
  advance(unread_);
}

// Empty: nothing is there now. nullopt: the client has closed, or the connection is broken.
std::optional<std::string_view> Connection::read_into(std::span<char> place) {
  shared_.reading(read_);
  const ssize_t got = ::recv(socket_.get(), place.data(), place.size(), MSG_DONTWAIT);
  if (got > 0) {
    read_ += static_cast<std::uint64_t>(got);
    return std::string_view(place.data(), static_cast<std::size_t>(got));
  }
  const bool is_there = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  shared_.has_read_nothing();
  if (is_there) return std::string_view();
  return std::nullopt;
}

void Connection::stash(std::string_view bytes) {
  if (bytes.empty()) return forget_bytes(unread_);
  const bool is_own = bytes.data() >= unread_.data() && bytes.data() < unread_.data() + unread_.size();
  if (is_own) {
    unread_.erase(0, static_cast<std::size_t>(bytes.data() - unread_.data()));
  } else {
    unread_.assign(bytes);
  }
}

void Connection::advance(std::string_view bytes) {
  for (unsigned served = 0;;) {
    Next next = Next::stop;
    switch (state_) {
      case State::idle:
      case State::reading_head:
        next = read_head(bytes);
        break;
      case State::reading_body:
        next = read_body(bytes);
        break;
      default:
        STINT_ASSERT(false);
    }
    if (next == Next::stop) return;
    if (state_ != State::idle) continue;
    // A request has been answered.
    share_unused(bytes);
    if (bytes.empty()) {
      stash({});
      return settle();
    }
    if (++served == run_most) {
      stash(bytes);
      services_.loop.rewatch(socket_.get(), EPOLLOUT);
      return settle();
    }
  }
}

// Before the first request, where proxy.protocol is on. There is no answer to a connection without one: whoever opened
// it may not speak HTTP, and is not the proxy.
Connection::Next Connection::read_proxy_header(std::string_view& bytes) {
  const http::ProxyHeader header =
      peer_.is_trusted()
          ? http::read_proxy_header(bytes)
          : http::ProxyHeader{.verdict = http::ProxyHeader::Verdict::refused, .reason = RefusalReason::proxy_untrusted};
  switch (header.verdict) {
    case http::ProxyHeader::Verdict::incomplete:
      stash(bytes);
      share_unused(unread_);
      settle();
      return Next::stop;
    case http::ProxyHeader::Verdict::refused:
      reject(header.reason);
      return Next::stop;
    case http::ProxyHeader::Verdict::complete:
      break;
  }
  peer_.introduce(header.ends);
  shared_.peer(peer_.record());
  bytes.remove_prefix(header.size);
  stash(bytes);
  bytes = unread_;
  share_unused(bytes);
  if (!bytes.empty()) return Next::go_on;
  settle();
  return Next::stop;
}

// Closes without an answer.
void Connection::reject(RefusalReason reason) {
  services_.page.count_refusal(reason);
  services_.log.debug("connection rejected", {{"reason", text_of(reason)}, {"client", peer_.address()}});
  close();
}

Connection::Next Connection::read_head(std::string_view& bytes) {
  if (peer_.awaits_header() && read_proxy_header(bytes) == Next::stop) return Next::stop;
  switch (parser_.parse(bytes)) {
    case http::RequestParser::Verdict::incomplete:
      stash(bytes);
      share_unused(unread_);
      if (state_ == State::idle && parser_.has_begun()) {
        state_ = State::reading_head;
        services_.deadlines.head.arm(*this, services_.loop.now());
      }
      settle();
      return Next::stop;
    case http::RequestParser::Verdict::refused:
      refuse(parser_.refusal());
      return Next::stop;
    case http::RequestParser::Verdict::complete:
      break;
  }
  const http::RequestHead& head = parser_.head();
  const bool is_alone = head.body == http::BodyKind::none && parser_.head_size() == bytes.size();
  if (!is_alone && shared_.holds(bytes)) {
    // The slot takes one head and what has not been used, and these are more: they are moved about in it.
    unread_.assign(bytes);
    bytes = unread_;
    parser_.reset();
    return read_head(bytes);
  }
  has_head_ = true;
  head_ = bytes.substr(0, parser_.head_size());
  bytes.remove_prefix(parser_.head_size());
  if (head.dropped_underscore_fields > 0) tell_of_dropped_fields();
  sift_fields();
  if (const std::optional<http::Refusal> refusal = peer_.refusal_of(head)) {
    refuse(*refusal);
    return Next::stop;
  }
  state_ = State::reading_body;
  if (head.body == http::BodyKind::none) return begin_request(bytes);
  decoder_ = http::BodyDecoder(head, services_.max_body);
  if (head.expects_continue && bytes.empty()) send_interim("HTTP/1.1 100 Continue\r\n\r\n");
  return read_body(bytes);
}

Connection::Next Connection::read_body(std::string_view& bytes) {
  for (;;) {
    const http::BodyDecoder::Step step = decoder_.decode(bytes);
    bytes.remove_prefix(step.consumed);
    if (!step.data.empty()) {
      if (const Result<void> kept = spool_.append(step.data); !kept.has_value()) {
        refuse_unstored_body(kept.error());
        return Next::stop;
      }
    }
    switch (step.verdict) {
      case http::BodyDecoder::Verdict::complete:
        if (const Result<void> kept = spool_.flush(); !kept.has_value()) {
          refuse_unstored_body(kept.error());
          return Next::stop;
        }
        return begin_request(bytes);
      case http::BodyDecoder::Verdict::refused:
        refuse(decoder_.refusal());
        return Next::stop;
      case http::BodyDecoder::Verdict::incomplete:
        break;
    }
    if (step.consumed > 0 && !bytes.empty()) continue;
    keep_head();
    stash(bytes);
    services_.deadlines.body.arm(*this, services_.loop.now());
    if (share_unstarted()) settle();
    return Next::stop;
  }
}

void Connection::tell_of_dropped_fields() {
  const unsigned dropped = parser_.head().dropped_underscore_fields;
  services_.page.count_dropped_fields(dropped);
  if (std::exchange(services_.has_told_of_dropped_fields, true)) return;
  services_.log.warning(
      "header fields with '_' in their name dropped",
      {{"count", dropped}, {"client", peer_.address()}, {"next", "counting further ones in silence"}});
}

// The views of a parsed head point into the bytes it was parsed from. Where those bytes go before the request is
// answered they are copied and parsed once more: a request in one piece, the usual one, pays nothing for it.
void Connection::keep_head() {
  if (!has_head_ || head_.data() == head_bytes_.data()) return;
  head_bytes_.assign(head_);
  head_ = head_bytes_;
  parser_.reset();
  STINT_ASSERT(parser_.parse(head_bytes_) == http::RequestParser::Verdict::complete);
  sift_fields();
}

void Connection::sift_fields() {
  if (!services_.forwarded_rules.trusts_somebody() || peer_.is_trusted()) return;
  parser_.drop_fields([this](std::string_view name) { return services_.forwarded_rules.is_for_proxies_only(name); });
}

void Connection::refuse_unstored_body(const Error& error) {
  services_.log.error("request body not stored", {{"error", error.text()}, {"next", "500 to the client"}});
  refuse({500, RefusalReason::body_not_stored});
}

// Usually into an empty send buffer. Where the kernel takes nothing the client goes without, as where the loop cannot
// be had; where it takes a part, the rest is queued and belongs to the answer from then on. A failure shows at the next
// read or write.
void Connection::send_interim(std::string_view answer) {
  const LoopLease::Call::TriedTurn turn(call_, std::chrono::milliseconds(50));
  if (!turn.has() || sends_no_more_ || !queue_.is_empty())
    return;  // the rest of an interim answer: this client is slow
  const ssize_t sent = ::send(socket_.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent <= 0) return;
  written_ += static_cast<std::uint64_t>(sent);
  shared_.wrote_before_answer(written_);
  if (static_cast<std::size_t>(sent) == answer.size()) return;
  queue_.push(answer.substr(static_cast<std::size_t>(sent)));
  is_interim_cut_ = true;
}

Connection::Next Connection::begin_request(std::string_view& bytes) {
  disarm();
  if (!services_.dispatcher.can_start(parser_.head().path)) {
    keep_head();
    stash(bytes);
    if (!share_unstarted()) return Next::stop;
    state_ = State::waiting;
    services_.loop.rewatch(socket_.get(), 0);
    services_.dispatcher.enqueue(*this);
    settle();
    return Next::stop;
  }
  serve(bytes);
  if (state_ == State::idle) return Next::go_on;
  if (state_ != State::closed) stash(bytes);
  return Next::stop;
}

void Connection::serve_waiting() {
  STINT_ASSERT(state_ == State::waiting);
  services_.loop.rewatch(socket_.get(), EPOLLIN);
  serve(unread_);
  go_on();
}

// After an answer that was not given from within advance().
void Connection::go_on() {
  if (state_ != State::idle) return;
  share_unused(unread_);
  if (unread_.empty()) return settle();
  advance(unread_);
}

void Connection::stamp_request(std::string_view given_id) {
  is_awaiting_last_ = false;
  body_sent_ = 0;
  id_ = given_id.empty() ? services_.request_ids.next() : RequestId(given_id);
  began_ = std::chrono::steady_clock::now();
  began_wall_ = std::time(nullptr);
}

// Of a request that the application does not see: its id as far as its head is known.
void Connection::stamp_unserved() {
  RequestOrigin origin;
  if (has_head_) peer_.describe(parser_.head(), origin);
  stamp_request(origin.request_id);
}

void Connection::serve(std::string_view rest) {
  const http::RequestHead& head = parser_.head();
  RequestOrigin origin;
  peer_.describe(head, origin);
  stamp_request(origin.request_id);
  const Request request{
      .method = head.method,
      .target = head.target,
      .script_name = origin.forwarded.prefix,
      .path = head.path,
      .query = head.query,
      .host = origin.host,
      .version_minor = head.version_minor,
      .fields = head.fields,
      .body = spool_.body(head.body != http::BodyKind::none),
      .endpoints = {origin.remote_address, origin.remote_port, origin.server_address, origin.server_port},
      .scheme = origin.scheme,
      .user = origin.user,
      .id = id_.view(),
      .number = call_number_ = services_.calls.new_number(),
      .was_interrupted = attempts_ > 0,
  };
  state_ = State::calling;
  shared_.calling(unstarted(rest), id_.view(), began_, written_);
  writer_.begin(head.method, head.version_minor, head.wants_keep_alive);
  services_.dispatcher.dispatch(
      {.request = request, .writer = writer_, .call = call_, .connection = *this, .now = began_});
  if (has_timed_out_) return end_timed_out();
  services_.loop.rewatch(socket_.get(), EPOLLIN);
  if (sends_no_more_ && !writer_.has_head()) writer_.abort();  // interrupted before it had one
  writer_.finish();
  if (writer_.was_short() && !sends_no_more_) {  // without a client the rest was not asked for
    services_.log.error("answer short: the application gave less than its Content-Length",
                        {{"method", request.method},
                         {"target", request.target},
                         {"request", request.id},
                         {"next", "closing the connection"}});
  }
  after_answer();
}

void Connection::refuse(const http::Refusal& refusal) {
  disarm();
  shared_.closing();  // whoever came after us would have nothing to add
  services_.page.count_refusal(refusal.reason);
  services_.log.debug("request refused",
                      {{"status", refusal.status}, {"reason", text_of(refusal.reason)}, {"client", peer_.address()}});
  is_refused_ = true;
  stamp_unserved();
  state_ = State::calling;
  writer_.begin(parser_.is_head_request() ? "HEAD" : "", 1, false);
  const HeaderField allow{"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"};
  writer_.answer(refusal.status, {&allow, refusal.status == 405 ? 1U : 0U});
  writer_.finish();
  after_answer();
  unread_.clear();  // not before: the head that is logged may lie in it
}

void Connection::after_answer() {
  state_ = State::writing;
  count_request();
  if (sends_no_more_) return give_up();
  const Result<bool> sent = send_out();
  if (!sent.has_value()) {
    note_cut_answer(sent.error());
    log_access();
    return close();
  }
  if (*sent) return finish_request();
  keep_head();  // for the log
  services_.loop.rewatch(socket_.get(), EPOLLOUT);
  limit_client();
}

// For `http.write_timeout`. That the kernel takes more of us shows only when a good part of its buffer, megabytes
// perhaps, is free: a slow client may read all the time meanwhile, so it is looked at what is still there.
void Connection::limit_client() {
  queued_ = net::queued_bytes(socket_.get());
  services_.deadlines.write.arm(*this, services_.loop.now());
}

bool Connection::has_client_taken() const { return net::queued_bytes(socket_.get()) < queued_; }

Result<bool> Connection::send_out() {
  // Once the end of the answer is queued its length is known.
  const std::uint64_t length = state_ == State::writing ? queue_.sent() + queue_.pending() : 0;
  shared_.answering({.length = length,
                     .keeps_alive = writer_.keeps_alive() && !is_refused_,
                     .ends_with_connection = writer_.ends_with_connection()});
  const Result<bool> sent = queue_.send(socket_.get());
  shared_.answered(queue_.sent());
  body_sent_ = writer_.body_bytes() - std::min(writer_.body_bytes(), queue_.pending());
  return sent;
}

void Connection::send_queued() {
  const std::uint64_t before = queue_.sent();
  const Result<bool> sent = send_out();
  if (!sent.has_value()) {
    note_cut_answer(sent.error());
    if (state_ == State::calling) return call_.resume();  // wait_until_sent() tells the application
    log_access();
    return close();
  }
  if (queue_.sent() != before) limit_client();
  if (state_ == State::calling) return *sent ? call_.resume() : void();
  if (!*sent) return;
  services_.loop.rewatch(socket_.get(), EPOLLIN);
  finish_request();
  go_on();
}

// Nothing was asked for: these are bytes behind the request, which wait in the socket, or the client has left.
// Edge-triggered for nothing, a socket still tells of errors, each once.
void Connection::on_ready_while_calling(std::uint32_t events) {
  if (has_timed_out_) return read();
  if (awaits_room_) return send_queued();
  if ((events & (EPOLLERR | EPOLLHUP)) != 0U && !sends_no_more_) {
    note_that_client_left();
    if (services_.raises_on_disconnect && http::is_safe_method(parser_.head().method))
      services_.dispatcher.interrupt(call_number_, Interruption::client_gone);
  }
  services_.loop.rewatch(socket_.get(), EPOLLET);
}

// The application waits for its slow client. Its thread waits with it, and another one leads: a thread's state in the
// application (a database connection in a transaction, say) belongs to the call that has begun.
Result<void> Connection::wait_until_sent() {
  STINT_ASSERT(state_ == State::calling);
  const LoopLease::Call::Turn turn(call_);
  if (!sends_no_more_) {
    const Result<bool> sent = send_out();
    if (!sent.has_value()) {
      note_cut_answer(sent.error());
    } else if (!*sent) {
      services_.loop.rewatch(socket_.get(), EPOLLOUT);
      services_.loop.look_at_clock();  // its time is that of the leader's last wait
      limit_client();
      awaits_room_ = true;
      services_.calls.await_client(call_number_);
      call_.wait();
      awaits_room_ = false;
      disarm();
      services_.loop.rewatch(socket_.get(), EPOLLIN);
    }
    services_.calls.progress(call_number_, std::chrono::steady_clock::now());
  }
  if (sends_no_more_) return error_because(queue_.has_file_failed() ? "a file has failed" : "the client has left");
  return {};
}

// Nothing more is sent: the client has left, or a file has failed.
void Connection::note_cut_answer(const Error& error) {
  if (!queue_.has_file_failed()) return note_that_client_left();
  sends_no_more_ = true;
  const http::RequestHead& head = parser_.head();
  services_.log.error("file not sent to its end", {{"error", error.text()},
                                                   {"method", head.method},
                                                   {"target", head.target},
                                                   {"request", id_.view()},
                                                   {"next", "closing the connection"}});
}

void Connection::note_that_client_left() {
  sends_no_more_ = true;
  if (!std::exchange(has_left_, true)) services_.page.count_client_gone();
}

// The client left before its request had its turn.
void Connection::leave_unserved() {
  stamp_unserved();
  writer_.begin(parser_.head().method, 1, false);
  note_that_client_left();
  log_access();
  close();
}

// A call of more than a moment may have missed an order to retire, if nobody has taken the loop over: its answer has to
// announce the close. A shorter one the order can wait for. Nor is the loop waited for, with the interpreter's lock:
// whoever has it may be writing a log that a thread of the application reads.
bool Connection::shall_announce_close() {
  if (!services_.is_draining && std::chrono::steady_clock::now() - began_ > call_limit) {
    const LoopLease::Call::TriedTurn turn(call_, std::chrono::milliseconds(0));
    if (turn.has() && !services_.dispatcher.defers()) services_.look_for_orders();
  }
  return services_.announces_close();
}

void Connection::count_request() {
  services_.page.count_request();
  if (writer_.status() >= 500) services_.page.count_server_error();
  services_.private_memory.look(services_.loop.now());
  if (period_ != services_.period) {
    period_ = services_.period;
    recent_ = 0;
    ++services_.active_connections;
  }
  ++recent_;
}

std::uint32_t Connection::recent_requests() const { return period_ == services_.period ? recent_ : 0; }

void Connection::finish_request() {
  disarm();
  log_access();
  const bool keeps_alive = writer_.keeps_alive() && !is_refused_;
  written_ += queue_.sent();
  queue_.clear();
  is_interim_cut_ = false;
  // Its end would be the connection's: an orderly one would say that this was all.
  if (writer_.is_broken() && writer_.ends_with_connection()) return cut();
  if (!keeps_alive) return linger();
  enter_idle();
}

void Connection::enter_idle() {
  state_ = State::idle;
  has_head_ = false;
  attempts_ = 0;
  forget_bytes(head_bytes_);
  head_ = {};
  parser_.reset();
  spool_.clear();
  services_.limit_of_rest(services_.deadlines.idle).arm(*this, services_.loop.now());
}

void Connection::log_access() {
  log_access({.status = has_left_ ? client_left_status : writer_.status(),
              .head_lines = writer_.head_lines(),
              .body_bytes = body_sent_,
              .was_complete = queue_.is_empty() && !sends_no_more_ && !writer_.is_broken()});
}

void Connection::log_access(const Answered& answered) {
  if (!services_.access.is_on()) return;
  static const http::RequestHead no_head;
  RequestOrigin origin;
  peer_.describe(has_head_ ? parser_.head() : no_head, origin);
  http::AccessEntry entry{
      .endpoints = {origin.remote_address, origin.remote_port, origin.server_address, origin.server_port},
      .peer_address = peer_.address(),
      .method = {},
      .target = {},
      .version_minor = 1,
      .fields = {},
      .response_lines = answered.head_lines,
      .status = answered.status,
      .body_bytes = answered.body_bytes,
      .began = began_wall_,
      .took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began_),
      .user = origin.user,
      .id = id_.view(),
      .worker = services_.worker_slot,
      .was_complete = answered.was_complete,
  };
  if (has_head_) {
    const http::RequestHead& head = parser_.head();
    entry.method = head.method;
    entry.target = head.target;
    entry.version_minor = head.version_minor;
    entry.fields = head.fields;
  }
  services_.access.log(entry, services_.loop.now());
}

// Closing with unread bytes in the socket would reset the connection and could destroy the answer before the client has
// read it: our side ends, the client reads, closes, and only then the socket goes (RFC 9112 §9.6). shutdown(2) ends it
// also for a copy of the socket in a child of the application.
void Connection::linger() {
  state_ = State::lingering;
  shared_.closing();
  if (::shutdown(socket_.get(), SHUT_WR) < 0) return close();
  services_.loop.rewatch(socket_.get(), EPOLLIN);
  lingers_until_ = services_.loop.now() + longest_linger;
  services_.deadlines.linger.arm(*this, services_.loop.now());
}

// The client still sends, and will read the answer behind it.
void Connection::linger_on() {
  if (services_.loop.now() < lingers_until_ && !is_awaiting_last_)
    services_.deadlines.linger.arm(*this, services_.loop.now());
}

void Connection::close() {
  if (state_ == State::closed) return;
  if (state_ == State::calling) {
    if (has_timed_out_) return leave_to_call();
    sends_no_more_ = true;  // the call ends first
    return call_.resume();
  }
  if (state_ == State::waiting) services_.dispatcher.forget(*this);
  state_ = State::closed;
  shared_.free();
  disarm();
  if (socket_.is_open()) services_.loop.unwatch(socket_.get());
  queue_.clear();
  connection_closes(slot_);
  socket_.reset();
  services_.table.bury(*this);
}

void Connection::give_up() {
  if (state_ != State::writing) return close();
  sends_no_more_ = true;
  log_access();
  cut();
}

// Closes in the middle of an answer, visibly: the client sees a reset instead of an end that would make an answer
// without a length look whole. What the kernel has for a client that does not read goes with it; after an orderly end
// it would stay there, megabytes without an owner, as long as the client answers the kernel's probes.
void Connection::cut() {
  net::reset_on_close(socket_.get());
  close();
}

void Connection::on_deadline() {
  switch (state_) {
    case State::idle:  // also a new connection that never said anything
      if (peer_.awaits_header()) return reject(RefusalReason::no_proxy_header);
      if (awaits_last_bytes()) return;
      if (!services_.is_stopping) services_.page.count_idle_timeout();
      return close();
    case State::reading_head:
      return refuse({408, RefusalReason::head_timeout});
    case State::reading_body:
      return refuse({408, RefusalReason::body_timeout});
    case State::calling:  // its client reads too slowly, or the last answer is not fetched
      if (has_timed_out_) return leave_to_call();
      if (has_client_taken()) return limit_client();
      sends_no_more_ = true;
      services_.page.count_write_timeout();
      return call_.resume();
    case State::writing:
      if (has_client_taken()) return limit_client();
      services_.page.count_write_timeout();
      return give_up();
    case State::lingering:
      return awaits_last_bytes() ? void() : close();
    case State::waiting:
    case State::closed:
      return;
  }
}

// The kernel has all of the last answer, and the client does not fetch it: an orderly end would leave that behind
// without an owner, and without a limit. False: nothing is left there, or nobody has the time.
bool Connection::awaits_last_bytes() {
  if (services_.is_stopping || net::queued_bytes(socket_.get()) == 0) return false;
  if (std::exchange(is_awaiting_last_, true) && !has_client_taken()) {
    services_.page.count_write_timeout();
    cut();
    return true;
  }
  limit_client();
  return true;
}

Connection::RunningRequest Connection::running_request() const {
  const http::RequestHead& head = parser_.head();
  return {.method = std::string(head.method), .target = std::string(head.target), .id = std::string(id_.view())};
}

// By whichever thread leads. The writer and what it has queued are the call's: what they hold is lost with it.
bool Connection::time_out() {
  STINT_ASSERT(state_ == State::calling && !has_timed_out_);
  has_timed_out_ = true;
  sends_no_more_ = true;
  services_.page.count_request();
  services_.page.count_server_error();
  services_.page.count_request_timeout();
  shared_.closing();
  const std::uint64_t sent = queue_.sent();
  if (sent == 0 && !is_interim_cut_) {
    answer_timed_out();
    return true;
  }
  // Only once a part of the answer is out its head cannot change any more.
  log_access(sent == 0
                 ? Answered{.status = 504}
                 : Answered{.status = writer_.status(), .head_lines = writer_.head_lines(), .body_bytes = body_sent_});
  net::reset_on_close(socket_.get());
  leave_to_call();
  return false;
}

void Connection::answer_timed_out() {
  OutputQueue queue;
  ResponseWriter writer(queue, *this);
  writer.begin(parser_.head().method, parser_.head().version_minor, false);
  writer.answer(504, {}, "504 Gateway Timeout (request " + std::string(id_.view()) + ")");
  writer.finish();
  const Result<bool> sent = queue.send(socket_.get());
  const bool is_out = sent.has_value() && *sent;  // the kernel had nothing of ours to send
  log_access({.status = writer.status(),
              .head_lines = writer.head_lines(),
              .body_bytes = writer.body_bytes(),
              .was_complete = is_out});
  if (!is_out || ::shutdown(socket_.get(), SHUT_WR) < 0) return leave_to_call();
  services_.loop.rewatch(socket_.get(), EPOLLIN);
  services_.deadlines.linger.arm(*this, services_.loop.now());
}

void Connection::leave_to_call() {
  if (!socket_.is_open()) return;  // it has gone before, and the call goes on
  disarm();
  shared_.free();
  services_.loop.unwatch(socket_.get());
  connection_closes(slot_);
  socket_.reset();
}

// The call is over at last.
void Connection::end_timed_out() {
  services_.log.info("timed-out call has ended", {{"method", parser_.head().method},
                                                  {"target", parser_.head().target},
                                                  {"request", id_.view()},
                                                  {"took", std::chrono::steady_clock::now() - began_}});
  state_ = State::lingering;  // its deadline runs
  if (!socket_.is_open()) close();
}

void Connection::expect_end() {
  if (state_ == State::idle) services_.deadlines.last_idle.arm(*this, services_.loop.now());
}

}  // namespace stint::worker
