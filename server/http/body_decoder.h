// Bytes after a head → the body's bytes: nothing, a declared length, or chunks, with strict rules of our own (HTTP.md
// "Bodies"; RFC 9112 §7.1). One a request; run by worker::Connection.
#pragma once

#include "server/http/request_parser.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stint::http {

// Where a decoder stands, as plain values: goes with a connection that another process takes over.
struct BodyProgress {
  std::uint32_t state = 0;
  std::uint32_t size_digits = 0;
  std::uint64_t max_body = 0;
  std::uint64_t remaining = 0;
  std::uint64_t decoded = 0;
  std::uint64_t extension_bytes = 0;
  std::uint64_t all_extension_bytes = 0;
};

class BodyDecoder {
 public:
  enum class Verdict { incomplete, complete, refused };
  struct Step {
    std::string_view data;     // decoded bytes, a part of the input; may be empty
    std::size_t consumed = 0;  // bytes of the input used, `data` included
    Verdict verdict = Verdict::incomplete;
  };

  BodyDecoder() = default;  // of a request without a body: complete at once
  BodyDecoder(const RequestHead& head, Bytes max_body);

  // One piece. Call it again with the rest of the input until it consumes nothing or is no longer incomplete.
  // Bytes after a complete body are left alone. `complete` may come with the last piece of data.
  Step decode(std::string_view input);
  const Refusal& refusal() const { return refusal_; }  // REQUIRES: refused

  // nullopt inside trailers and after a refusal: those are not worth carrying over.
  std::optional<BodyProgress> progress() const;
  // Goes on where another decoder stood; nullopt when that is no state.
  static std::optional<BodyDecoder> resume(const BodyProgress& progress);

 private:
  //   size ─> (extension) ─> size_lf ─> data ─> data_cr ─> data_lf ─> size
  //                             └ size 0 ─> trailer_start ─> end_lf ─> done
  //                                              └> trailer_name ─> trailer_value ─> trailer_lf ─> trailer_start
  enum class State {
    done,
    refused,
    length_data,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf
  };

  Step data_step(std::string_view input, std::size_t skipped, State after);
  Step step(std::size_t consumed) const;
  void take(char byte);  // one byte of chunk framing or trailers
  void take_size(char byte);
  void finish_size_line();
  void take_trailer(char byte);
  void refuse(int status, RefusalReason reason);

  State state_ = State::done;
  std::uint64_t max_body_ = 0;
  std::uint64_t remaining_ = 0;        // of the declared length, or of the current chunk
  std::uint64_t decoded_ = 0;          // all chunks so far, the current one included
  unsigned size_digits_ = 0;           // of the current chunk's size
  std::uint64_t extension_bytes_ = 0;  // of the current chunk
  std::uint64_t all_extension_bytes_ = 0;
  std::uint64_t trailer_bytes_ = 0;
  unsigned trailer_fields_ = 0;
  std::string trailer_name_;  // in lower case, and no longer than a name that matters
  Refusal refusal_;
};

}  // namespace stint::http
