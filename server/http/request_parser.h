// Bytes → the head of a request, or a typed refusal. Our own byte rules decide, at the first byte that breaks one, so
// that the verdict is the same with llhttp 8.1, 9.2 and 9.4 and however the bytes were cut; a head they accept is then
// read a second time by llhttp, and served only when both readings are the same (second_reading.h). Policy: every rule
// of "Lines and names", "Request line and Host" and "Bodies" that can be decided from the head is decided here.
// Run by worker::Connection, one parser a connection, reused for each request on it. No sockets, no Python.
#pragma once

#include "stint/bytes.h"
#include "stint/refusal_reason.h"
#include "stint/request.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stint::http {

struct HeadLimits {
  Bytes max_request_line;          // beyond: 414
  unsigned max_header_fields = 0;  // beyond: 431
  Bytes max_header_size;           // all field lines together, line ends included; beyond: 431
  Bytes max_body;                  // a declared length beyond: 413
};

// The status to answer with, and why.
struct Refusal {
  int status = 400;
  RefusalReason reason{};
};

enum class BodyKind { none, length, chunked };

// A complete, checked head. Views point into the bytes given to the parse() call that completed it, except
// `path`, which may point into the parser.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  std::string_view path;  // decoded once; "*" for OPTIONS *
  std::string_view query;
  std::string_view host;
  int version_minor = 1;
  std::vector<HeaderField> fields;  // dropped fields are not in it
  BodyKind body = BodyKind::none;
  std::uint64_t length = 0;      // BodyKind::length
  bool wants_keep_alive = true;  // what the client's version and Connection field ask for
  bool expects_continue = false;
  unsigned dropped_underscore_fields = 0;
};

class RequestParser {
 public:
  enum class Verdict { incomplete, complete, refused };

  explicit RequestParser(const HeadLimits& limits);
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // `unread`: all bytes of the connection from the beginning of this request on. A later call gets the same bytes and
  // more behind them, possibly at another address; what was looked at once is not looked at again.
  Verdict parse(std::string_view unread);

  const RequestHead& head() const { return head_; }     // REQUIRES: complete
  std::size_t head_size() const { return head_size_; }  // REQUIRES: complete; bytes of `unread` that were the head
  const Refusal& refusal() const { return refusal_; }   // REQUIRES: refused
  // As soon as the method is read, also of a request that is refused behind it: its answer has no body.
  bool is_head_request() const { return now_.is_head_request; }
  // Takes fields out of head().fields by their name. REQUIRES: complete.
  template <class Predicate>
  void drop_fields(Predicate is_dropped) {
    std::erase_if(head_.fields, [&](const HeaderField& field) { return is_dropped(field.name); });
  }
  bool has_begun() const {  // a byte of a request line has been seen (408 or silent close)
    return now_.state != State::before_line && now_.state != State::empty_line_lf;
  }
  void reset();  // for the next request on this connection

 private:
  //   before_line <─> empty_line_lf
  //        └─> method ─> target ─> version ─> request_line_lf ─> field_start ─> last_lf ─> complete
  //                                                               ↑   └─> name ─> value_blanks ─> value ─> field_lf
  //                                                               └───────────────────────────────────────────┘
  //   `refused` is reached from all but complete.
  enum class State {
    before_line,    // the request line, or one of a few empty lines before it
    empty_line_lf,  // the LF of such an empty line
    method,
    target,
    version,
    request_line_lf,
    field_start,  // a name, or the CR of the empty line
    name,
    value_blanks,
    value,
    field_lf,
    last_lf,
    complete,
    refused
  };

  // Where a field lies: offsets, because the bytes may move between two calls.
  struct FieldSpan {
    std::size_t name = 0, name_end = 0, value = 0, value_end = 0;
    bool is_dropped = false;
  };

  // What is known of the request so far; reset() replaces it as a whole.
  struct Progress {
    State state = State::before_line;
    std::size_t at = 0;  // bytes before it have been looked at
    unsigned empty_lines = 0;
    std::size_t method = 0, method_end = 0, target = 0, target_end = 0, version = 0;
    bool is_head_request = false;
    bool target_has_percent = false;
    std::size_t fields = 0;       // where the first field line begins
    FieldSpan field;              // the current one
    std::uint8_t name_bytes = 0;  // the classes of the bytes in its name, or-ed
    std::size_t host = no_field;  // its index in spans_
    std::uint64_t length = 0;
    unsigned underscore_fields = 0;
    bool has_dropped_field = false;
    bool has_content_type = false, has_authorization = false, has_length = false;
    bool has_coding = false, is_coding_unknown = false;
    bool says_close = false, says_keep_alive = false;
    bool expects_continue = false, expects_other = false;
  };
  static constexpr std::size_t no_field = static_cast<std::size_t>(-1);

  // Each looks on within its state, from now_.at on; on return the bytes are used up or the state is another.
  void read_before_line(std::string_view unread);
  void read_method(std::string_view unread);
  void read_target(std::string_view unread);
  void read_version(std::string_view unread);
  void read_field_start(std::string_view unread);
  void read_name(std::string_view unread);
  void read_value_blanks(std::string_view unread);
  void read_value(std::string_view unread);
  void read_line_feed(std::string_view unread);

  void finish_request_line(std::string_view unread);
  void finish_field(std::string_view unread);
  void finish_head(std::string_view unread);
  void take_length(std::string_view value);
  void take_transfer_coding(std::string_view value);
  void take_connection(std::string_view value);
  void build_fields(std::string_view unread);
  void remove_dropped_fields();

  void refuse(int status, RefusalReason reason);
  // The byte that a line of the request, or the fields, may not reach.
  std::size_t end_of_request_line(std::string_view unread) const;
  std::size_t end_of_fields(std::string_view unread) const;

  HeadLimits limits_;
  Progress now_;
  std::vector<FieldSpan> spans_;
  std::string decoded_path_;
  RequestHead head_;
  std::size_t head_size_ = 0;
  Refusal refusal_;
};

}  // namespace stint::http
