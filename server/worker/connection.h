// One client connection: bytes in → request → Dispatcher → answer → bytes out, again and again until someone ends it.
//
//            first byte            head complete         body complete           answer begun
//     ┌─> idle ──────> reading_head ──────> reading_body ──────> calling ─────────────────────┐
//     │                     │                    │      (or waiting: no thread is free)        │
//     │                     └──── refused ───────┴──> (answer 4xx/5xx) ──┐                    │
//     ├──────────────────────────────────────── all sent, kept alive ────┼─────────────────── writing
//     │                                                                  └─ all sent, closing ─> lingering ──> closed
//
// Run by the thread that has the lease of the event loop. While a call runs, the answer (writer_, queue_, what is sent
// of it) is the call's alone, whichever thread leads; the loop only notes that the client has left, or reads too
// slowly; or answers 504 in its stead, and has nothing to do with the call from then on. Always:
// - Requests of a connection are answered in order; at most one is in the application.
// - Bytes after a refused request are never read as a request.
// - What a connection owns while idle is this object and its socket: read buffers are lent (ReadBuffers).
// - It is destroyed only between steps of the loop (ConnectionTable::bury), so `this` stays valid while its code runs.
#pragma once

#include "server/control/inbox.h"
#include "server/http/access_log.h"
#include "server/http/body_decoder.h"
#include "server/http/request_parser.h"
#include "server/net/listener.h"
#include "server/worker/body_spool.h"
#include "server/worker/deadlines.h"
#include "server/worker/event_loop.h"
#include "server/worker/loop_lease.h"
#include "server/worker/output_queue.h"
#include "server/worker/peer.h"
#include "server/worker/request_ids.h"
#include "server/worker/response_writer.h"
#include "server/worker/shared_slot.h"
#include "stint/unique_fd.h"

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>
#include <string_view>

namespace stint::worker {

struct ConnectionServices;

class Connection final : public Watcher, public Timed, private ResponseHost {
 public:
  enum class State { idle, reading_head, reading_body, waiting, calling, writing, lingering, closed };

  Connection(ConnectionServices& services, std::size_t slot, UniqueFd socket, net::AddressText remote);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Watches the socket. `handover`: with what take_over() is called next. Error: the kernel has no room for one more
  // (epoll_ctl(2)).
  Result<void> start(const control::Handover* handover = nullptr);
  // Goes on where another worker left it: with its bytes, and its body as far as it had come. REQUIRES: started.
  void take_over(control::Handover handover);

  void on_ready(std::uint32_t events) override;
  void on_deadline() override;

  // The server stops: what has begun is finished, and a connection on which nothing has begun is closed soon instead of
  // at its next request.
  void expect_end();
  // The worker drains, or cannot start what it has: gives the connection to the pool if it is where another worker can
  // go on with it; it is closed here then. False: the inbox is full, or the application is at it; the connection stays.
  bool hand_over();
  // Its turn has come (Dispatcher). REQUIRES: state waiting.
  void serve_waiting();
  // Its call takes too long (RunningCalls): the client is answered without it. REQUIRES: state calling.
  // False: a part of the answer was out already, and it has been cut instead.
  bool time_out();
  // The request of the call that runs, for the log. REQUIRES: state calling.
  struct RunningRequest {
    std::string method;
    std::string target;
    std::string id;
  };
  RunningRequest running_request() const;
  bool has_timed_out() const { return has_timed_out_; }
  // The call goes on, and nobody waits for its answer any more.
  bool is_left_to_call() const { return has_timed_out_ && !socket_.is_open(); }
  void close();
  // Its time is over: closes it, and cuts and logs the answer that is under way.
  void give_up();

  // Requests answered here since the worker last evened its load out; and nothing has begun, so that it could go.
  std::uint32_t recent_requests() const;
  bool is_idle() const { return state_ == State::idle; }

  std::size_t slot() const { return slot_; }
  int socket() const { return socket_.get(); }

 private:
  // Reading: `bytes` is what has been read and not used, in a lent buffer or in unread_.
  void read();
  void read_more(bool is_new);
  std::optional<std::string_view> read_into(std::span<char> place);
  void advance(std::string_view bytes);
  enum class Next { go_on, stop };
  Next read_head(std::string_view& bytes);
  Next read_body(std::string_view& bytes);
  Next begin_request(std::string_view& bytes);
  Next read_proxy_header(std::string_view& bytes);
  void reject(RefusalReason reason);
  void sift_fields();                  // takes away fields of a stranger that only a proxy may send
  void stash(std::string_view bytes);  // keeps them in unread_ until the next event
  void keep_head();                    // the head's bytes move into head_bytes_, as what they lie in goes
  bool share_unstarted();              // writes down where the request stands; false: its body could not be stored
  void share_unused(std::string_view bytes);
  void share_handed_over(const control::Handover& handover);
  SharedSlot::Unstarted unstarted(std::string_view rest) const;
  void settle();  // nothing more can be done now: in a worker that drains, hand it over

  // Answering
  void stamp_request(std::string_view given_id);  // its id (made, where none is given) and its time
  void stamp_unserved();
  void serve(std::string_view rest);  // `rest`: what was read behind the request
  void go_on();
  void refuse(const http::Refusal& refusal);
  void refuse_unstored_body(const Error& error);
  void tell_of_dropped_fields();
  void note_that_client_left();
  void note_cut_answer(const Error& error);
  void leave_unserved();
  void after_answer();  // the answer is queued: send it, now or when the client reads
  Result<bool> send_out();
  void send_queued();
  void on_ready_while_calling(std::uint32_t events);
  void answer_timed_out();
  void end_timed_out();
  void leave_to_call();  // the socket goes before the call is over
  void count_request();
  void finish_request();  // all of it is with the kernel
  Result<void> wait_until_sent() override;
  bool is_client_gone() const override { return sends_no_more_; }
  bool shall_announce_close() override;
  void send_interim(std::string_view answer) override;
  // Of the answer that is done, or given up.
  struct Answered {
    int status = 0;
    std::string_view head_lines;
    std::uint64_t body_bytes = 0;
    bool was_complete = false;
  };
  void log_access();
  void log_access(const Answered& answered);

  void linger();
  void linger_on();
  void limit_client();
  bool has_client_taken() const;  // any byte since limit_client()
  bool awaits_last_bytes();
  void cut();
  void enter_idle();

  ConnectionServices& services_;
  const std::size_t slot_;
  SharedSlot shared_;
  UniqueFd socket_;
  State state_ = State::idle;

  Peer peer_;

  std::string unread_;
  std::string head_bytes_;  // of the request at work, once they cannot stay where they were read
  std::string_view head_;   // the same, wherever they are
  http::RequestParser parser_;
  http::BodyDecoder decoder_;
  BodySpool spool_;

  OutputQueue queue_;
  ResponseWriter writer_;
  LoopLease::Call call_;
  RequestId id_;
  std::chrono::steady_clock::time_point began_{};
  std::time_t began_wall_{};
  std::uint64_t read_ = 0;         // bytes taken from the connection, by whichever worker
  std::uint64_t written_ = 0;      // bytes sent on the connection before the answer at work, by whichever worker
  std::uint64_t body_sent_ = 0;    // of the answer at work, without its framing
  std::uint64_t call_number_ = 0;  // Request::number
  std::uint64_t queued_ = 0;       // bytes that the client had not taken when its deadline was armed
  TimePoint lingers_until_{};
  std::uint32_t recent_ = 0;  // requests answered in `period_`
  std::uint32_t period_ = 0;
  std::uint32_t attempts_ = 0;  // workers that died while they were at the request at work
  bool is_refused_ = false;     // the answer under way is a refusal: close after it
  bool has_head_ = false;       // parser_.head() is of the request at work
  bool awaits_room_ = false;    // the call waits until its client has read: the loop sends what is queued
  // The client has left or takes nothing, a file has failed, the call has timed out, or the connection is given up.
  // Written with the lease; its call looks without.
  std::atomic<bool> sends_no_more_ = false;
  bool has_left_ = false;          // the former
  bool has_timed_out_ = false;     // its client has been answered without the call, which still runs
  bool is_awaiting_last_ = false;  // the deadline is that for the last bytes of an answer that the kernel has whole
  bool is_interim_cut_ = false;    // the kernel has taken a part of an interim answer
};

}  // namespace stint::worker
