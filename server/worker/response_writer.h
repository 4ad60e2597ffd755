// The ResponseSink of one connection: checks and frames an answer and queues its bytes (HTTP.md "Responses"). Reused
// for each request of the connection. Run by the thread that runs the call; only flush() touches the socket, through
// its ResponseHost.
#pragma once

#include "server/http/response_head.h"
#include "server/worker/output_queue.h"
#include "stint/response_sink.h"

#include <cstdint>
#include <string_view>

namespace stint::worker {

// What a writer asks of its connection.
class ResponseHost {
 public:
  virtual Result<void> wait_until_sent() = 0;              // until the queue is with the kernel
  virtual bool is_client_gone() const = 0;                 // as far as it is known
  virtual bool shall_announce_close() = 0;                 // nobody will go on with the connection
  virtual void send_interim(std::string_view answer) = 0;  // 1xx, before anything is queued; without waiting

 protected:
  virtual ~ResponseHost() = default;
};

class ResponseWriter final : public ResponseSink {
 public:
  ResponseWriter(OutputQueue& queue, ResponseHost& host, bool takes_named_files = false)
      : queue_(queue), host_(host), head_(takes_named_files) {}

  // A new answer. `wants_keep_alive`: the client's wish; a worker that drains announces the close all the same.
  // REQUIRES: `method` lives until finish().
  void begin(std::string_view method, int version_minor, bool wants_keep_alive);

  // ResponseSink
  Result<void> set_head(std::string_view status, std::span<const HeaderField> fields) override;
  Result<void> send_early_hints(std::span<const HeaderField> fields) override;
  bool has_head() const override { return head_.is_set(); }
  bool has_sent_head() const override { return has_sent_head_; }
  void set_length(std::uint64_t length) override { head_.set_length(length); }
  void write(const BodyChunk& chunk) override;
  void write_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) override;
  bool is_complete() const override;
  bool is_client_gone() const override { return host_.is_client_gone(); }
  Result<void> flush() override { return host_.wait_until_sent(); }

  // An answer of the server itself: replaces a head not yet sent. Body: one line of text, of the status alone.
  // REQUIRES: !has_sent_head().
  void answer(int status, std::span<const HeaderField> fields = {}, std::string_view line = {});
  // The same with a page of HTML as its body.
  void answer_page(int status, std::string_view html);
  // The application has named a file instead of giving a body (StaticFiles sends it); what body it gives is ignored.
  bool names_file() const { return head_.named_file().kind != http::NamedFile::Kind::none; }
  const http::NamedFile& named_file() const { return head_.named_file(); }
  // Queues what ends the answer. After it the answer is whole, or visibly broken and the connection must close.
  void finish();
  // No end will be queued: the client sees a cut answer.
  void abort() { is_broken_ = true; }

  bool ends_with_connection() const { return framing_ == http::BodyFraming::until_close; }
  bool is_broken() const { return is_broken_; }  // shorter than promised, or aborted
  bool was_cut() const { return was_cut_; }      // the application gave more than its Content-Length
  bool was_short() const { return was_short_; }  // or less, without having failed
  bool keeps_alive() const { return keeps_alive_ && !is_broken_; }
  int status() const { return head_.code(); }
  std::uint64_t body_bytes() const { return body_bytes_; }
  std::string_view head_lines() const { return head_.lines(); }
  std::string_view head_status() const { return head_.status(); }
  unsigned dropped_hop_by_hop() const { return head_.dropped_hop_by_hop(); }

 private:
  void answer_with(int status, std::span<const HeaderField> fields, std::string_view type, std::string_view body);
  void send_head();
  void begin_chunk(std::uint64_t length);  // nothing unless the answer is chunked
  void end_chunk();
  std::uint64_t admit(std::uint64_t length);  // how much of so many bytes the framing lets through

  OutputQueue& queue_;
  ResponseHost& host_;
  http::ResponseHead head_;
  std::string_view method_;
  int version_minor_ = 1;
  http::BodyFraming framing_ = http::BodyFraming::none;  // valid once the head is sent
  std::uint64_t remaining_ = 0;                          // of the declared length
  std::uint64_t body_bytes_ = 0;
  bool has_sent_head_ = false;
  bool keeps_alive_ = false;
  bool is_broken_ = false;
  bool was_cut_ = false;
  bool was_short_ = false;
};

}  // namespace stint::worker
