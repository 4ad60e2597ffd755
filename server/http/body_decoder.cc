#include "server/http/body_decoder.h"

#include "server/http/bytes_table.h"

#include <algorithm>
#include <array>

namespace stint::http {
namespace {

using Reason = RefusalReason;

constexpr unsigned max_size_digits = 15;  // fits 64 bits with room for the sum
constexpr std::uint64_t max_extension = 256;
constexpr std::uint64_t max_all_extensions = 16 * 1024;
constexpr std::uint64_t max_trailers = 8 * 1024;  // they are dropped: no client needs more
constexpr unsigned max_trailer_fields = 32;

// Fields that decide about framing, routing, authentication, or what the body is: believed by some reader when they
// come behind the body (RFC 9110 §6.5.1; CVE-2013-5704, CVE-2025-58068). Forwarded fields are among them because a
// proxy in front writes them into the head.
constexpr std::array<std::string_view, 43> forbidden_trailers = {
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
};
static_assert(std::is_sorted(forbidden_trailers.begin(), forbidden_trailers.end()));

constexpr std::size_t longest_forbidden_trailer =
    std::max_element(forbidden_trailers.begin(), forbidden_trailers.end(), [](std::string_view a, std::string_view b) {
      return a.size() < b.size();
    })->size();

bool is_forbidden_trailer(std::string_view lower) {
  return std::binary_search(forbidden_trailers.begin(), forbidden_trailers.end(), lower);
}

}  // namespace

BodyDecoder::BodyDecoder(const RequestHead& head, Bytes max_body) : max_body_(max_body.count) {
  switch (head.body) {
    case BodyKind::none:
      break;
    case BodyKind::length:
      if (head.length > max_body_) {
        refuse(413, Reason::body_too_large);
      } else if (head.length > 0) {
        remaining_ = head.length;
        state_ = State::length_data;
      }
      break;
    case BodyKind::chunked:
      state_ = State::size;
      break;
  }
}

BodyDecoder::Step BodyDecoder::decode(std::string_view input) {
  if (state_ == State::length_data) return data_step(input, 0, State::done);
  std::size_t at = 0;
  while (at < input.size() && state_ != State::done && state_ != State::refused) {
    if (state_ == State::data) return data_step(input, at, State::data_cr);
    take(input[at]);
    if (state_ != State::refused) ++at;
  }
  return step(at);
}

BodyDecoder::Step BodyDecoder::data_step(std::string_view input, std::size_t skipped, State after) {
  const std::string_view data = input.substr(skipped, remaining_);
  remaining_ -= data.size();
  if (remaining_ == 0) state_ = after;
  Step made = step(skipped + data.size());
  made.data = data;
  return made;
}

BodyDecoder::Step BodyDecoder::step(std::size_t consumed) const {
  return {{},
          consumed,
          state_ == State::done      ? Verdict::complete
          : state_ == State::refused ? Verdict::refused
                                     : Verdict::incomplete};
}

void BodyDecoder::refuse(int status, Reason reason) {
  refusal_ = {status, reason};
  state_ = State::refused;
}

void BodyDecoder::take(char byte) {
  switch (state_) {
    case State::size:
      return take_size(byte);
    case State::extension:
      if (byte == '\r') {
        state_ = State::size_lf;
      } else if ((class_of(byte) & byte_value) == 0) {
        refuse(400, Reason::chunk_extension);  // a bare LF ends the line for some readers (CVE-2025-55315)
      } else if (++extension_bytes_ > max_extension || ++all_extension_bytes_ > max_all_extensions) {
        refuse(400, Reason::chunk_extension_too_long);
      }
      return;
    case State::size_lf:
      if (byte != '\n') return refuse(400, Reason::chunk_size_line);
      return finish_size_line();
    case State::data_cr:
      if (byte != '\r') return refuse(400, Reason::chunk_end);
      state_ = State::data_lf;
      return;
    case State::data_lf:
      if (byte != '\n') return refuse(400, Reason::chunk_end);
      size_digits_ = 0;
      extension_bytes_ = 0;
      state_ = State::size;
      return;
    case State::trailer_start:
    case State::trailer_name:
    case State::trailer_value:
    case State::trailer_lf:
      return take_trailer(byte);
    case State::end_lf:
      if (byte != '\n') return refuse(400, Reason::trailer);
      state_ = State::done;
      return;
    case State::done:
    case State::refused:
    case State::length_data:
    case State::data:
      return;  // decode() does not ask about these
  }
}

void BodyDecoder::take_size(char byte) {
  const int digit = hex_value(byte);
  if (digit >= 0) {
    if (++size_digits_ > max_size_digits) return refuse(400, Reason::chunk_size);
    remaining_ = remaining_ * 16 + static_cast<unsigned>(digit);
    return;
  }
  if (size_digits_ == 0) return refuse(400, Reason::chunk_size);
  if (byte == '\r') {
    state_ = State::size_lf;
  } else if (byte == ';') {
    state_ = State::extension;
  } else {
    refuse(400, Reason::chunk_size);
  }
}

void BodyDecoder::finish_size_line() {
  if (remaining_ == 0) {
    state_ = State::trailer_start;
    return;
  }
  if (remaining_ > max_body_ - decoded_) return refuse(413, Reason::body_too_large);
  decoded_ += remaining_;
  state_ = State::data;
}

// The rules are those of the head's fields; what the trailers say is dropped.
void BodyDecoder::take_trailer(char byte) {
  if (state_ == State::trailer_start && byte == '\r') {
    state_ = State::end_lf;
    return;
  }
  if (++trailer_bytes_ > max_trailers) return refuse(431, Reason::trailers_too_large);
  switch (state_) {
    case State::trailer_start:
      if (++trailer_fields_ > max_trailer_fields) return refuse(431, Reason::trailers_too_large);
      trailer_name_.clear();
      state_ = State::trailer_name;
      [[fallthrough]];
    case State::trailer_name:
      if ((class_of(byte) & byte_token) != 0) {
        if (trailer_name_.size() <= longest_forbidden_trailer) trailer_name_.push_back(to_lower(byte));
      } else if (byte != ':' || trailer_name_.empty()) {
        refuse(400, Reason::trailer);
      } else if (is_forbidden_trailer(trailer_name_)) {
        refuse(400, Reason::trailer_forbidden);
      } else {
        state_ = State::trailer_value;
      }
      return;
    case State::trailer_value:
      if (byte == '\r') {
        state_ = State::trailer_lf;
      } else if ((class_of(byte) & byte_value) == 0) {
        refuse(400, Reason::trailer);
      }
      return;
    case State::trailer_lf:
      if (byte != '\n') return refuse(400, Reason::trailer);
      state_ = State::trailer_start;
      return;
    default:
      return;  // take() sends only the four
  }
}

std::optional<BodyProgress> BodyDecoder::progress() const {
  if (state_ == State::refused || state_ >= State::trailer_start) return std::nullopt;
  return BodyProgress{.state = static_cast<std::uint32_t>(state_),
                      .size_digits = size_digits_,
                      .max_body = max_body_,
                      .remaining = remaining_,
                      .decoded = decoded_,
                      .extension_bytes = extension_bytes_,
                      .all_extension_bytes = all_extension_bytes_};
}

std::optional<BodyDecoder> BodyDecoder::resume(const BodyProgress& progress) {
  const auto state = static_cast<State>(progress.state);
  if (state == State::refused || state >= State::trailer_start) return std::nullopt;
  BodyDecoder decoder;
  decoder.state_ = state;
  decoder.size_digits_ = progress.size_digits;
  decoder.max_body_ = progress.max_body;
  decoder.remaining_ = progress.remaining;
  decoder.decoded_ = progress.decoded;
  decoder.extension_bytes_ = progress.extension_bytes;
  decoder.all_extension_bytes_ = progress.all_extension_bytes;
  return decoder;
}

}  // namespace stint::http
