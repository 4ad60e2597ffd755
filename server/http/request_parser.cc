#include "server/http/request_parser.h"

#include "server/http/bytes_table.h"
#include "server/http/decimal.h"
#include "server/http/host.h"
#include "server/http/request_target.h"
#include "server/http/second_reading.h"

#include <algorithm>

namespace stint::http {
namespace {

using Reason = RefusalReason;

constexpr unsigned max_empty_lines = 4;
constexpr std::size_t max_method = 32;

std::string_view between(std::string_view bytes, std::size_t begin, std::size_t end) {
  return {bytes.data() + begin, end - begin};
}

// A byte that ends a line, or cannot be in any, says the same wherever it is met.
Reason reason_of(char byte, Reason otherwise) {
  if (byte == '\n') return Reason::bare_lf;
  if (byte == '\0') return Reason::nul;
  return otherwise;
}

// "HTTP/" and two digits with a point between.
bool is_well_formed_version(std::string_view version) {
  return version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
         is_digit(version[7]);
}

}  // namespace

RequestParser::RequestParser(const HeadLimits& limits) : limits_(limits) {
  spans_.reserve(32);
  head_.fields.reserve(32);
}

void RequestParser::reset() {
  now_ = {};
  spans_.clear();
}

void RequestParser::refuse(int status, Reason reason) {
  refusal_ = {status, reason};
  now_.state = State::refused;
}

RequestParser::Verdict RequestParser::parse(std::string_view unread) {
  while (now_.at < unread.size()) {
    switch (now_.state) {
      case State::before_line:
        read_before_line(unread);
        break;
      case State::method:
        read_method(unread);
        break;
      case State::target:
        read_target(unread);
        break;
      case State::version:
        read_version(unread);
        break;
      case State::field_start:
        read_field_start(unread);
        break;
      case State::name:
        read_name(unread);
        break;
      case State::value_blanks:
        read_value_blanks(unread);
        break;
      case State::value:
        read_value(unread);
        break;
      case State::empty_line_lf:
      case State::request_line_lf:
      case State::field_lf:
      case State::last_lf:
        read_line_feed(unread);
        break;
      case State::complete:
        return Verdict::complete;
      case State::refused:
        return Verdict::refused;
    }
  }
  if (now_.state == State::complete) return Verdict::complete;
  return now_.state == State::refused ? Verdict::refused : Verdict::incomplete;
}

std::size_t RequestParser::end_of_request_line(std::string_view unread) const {
  return unread.size() - now_.method > limits_.max_request_line.count ? now_.method + limits_.max_request_line.count
                                                                      : unread.size();
}

std::size_t RequestParser::end_of_fields(std::string_view unread) const {
  return unread.size() - now_.fields > limits_.max_header_size.count ? now_.fields + limits_.max_header_size.count
                                                                     : unread.size();
}

// RFC 9112 §2.2 asks servers to bear an empty line before the request line.
void RequestParser::read_before_line(std::string_view unread) {
  if (unread[now_.at] == '\r') {
    if (now_.empty_lines == max_empty_lines) return refuse(400, Reason::empty_lines);
    ++now_.empty_lines;
    ++now_.at;
    now_.state = State::empty_line_lf;
    return;
  }
  now_.method = now_.at;
  now_.state = State::method;
}

void RequestParser::read_method(std::string_view unread) {
  const std::size_t end = std::min(end_of_request_line(unread), now_.method + max_method);
  while (now_.at < end && (class_of(unread[now_.at]) & byte_token) != 0) ++now_.at;
  if (now_.at == unread.size()) return;
  const char byte = unread[now_.at];
  if (now_.at - now_.method == limits_.max_request_line.count && byte != '\r')
    return refuse(414, Reason::request_line_too_long);
  if (byte == ' ' && now_.at != now_.method) {
    now_.method_end = now_.at++;
    now_.is_head_request = between(unread, now_.method, now_.method_end) == "HEAD";
    now_.target = now_.at;
    now_.state = State::target;
    return;
  }
  if ((class_of(byte) & byte_token) != 0) return refuse(400, Reason::method_too_long);
  refuse(400, reason_of(byte, byte == '\r' ? Reason::request_line : Reason::method_byte));
}

void RequestParser::read_target(std::string_view unread) {
  const std::size_t end = end_of_request_line(unread);
  std::uint8_t seen = 0;
  std::size_t at = now_.at;
  for (; at < end; ++at) {
    const char byte = unread[at];
    if ((class_of(byte) & byte_target) == 0) break;
    seen |= byte == '%';
  }
  now_.at = at;
  now_.target_has_percent |= seen != 0;
  if (at == unread.size()) return;
  const char byte = unread[at];
  if (at - now_.method == limits_.max_request_line.count && byte != '\r')
    return refuse(414, Reason::request_line_too_long);
  if (byte == ' ' && at != now_.target) {
    now_.target_end = now_.at++;
    now_.version = now_.at;
    now_.state = State::version;
    return;
  }
  if (byte == '\r') return refuse(400, Reason::no_version);  // HTTP/0.9
  refuse(400, reason_of(byte, byte == ' '   ? Reason::request_line
                              : byte == '#' ? Reason::fragment
                                            : Reason::target_byte));
}

void RequestParser::read_version(std::string_view unread) {
  const std::size_t end = end_of_request_line(unread);
  while (now_.at < end && (class_of(unread[now_.at]) & byte_line) != 0) ++now_.at;
  if (now_.at == unread.size()) return;
  const char byte = unread[now_.at];
  if (byte == '\r') {
    ++now_.at;
    now_.state = State::request_line_lf;
    return;
  }
  if (now_.at - now_.method == limits_.max_request_line.count) return refuse(414, Reason::request_line_too_long);
  refuse(400, reason_of(byte, Reason::version));
}

// now_.at is behind the line's CR LF. The version comes first: its answer helps more than one about a target that
// only the other version has ("PRI * HTTP/2.0").
void RequestParser::finish_request_line(std::string_view unread) {
  const std::string_view version = between(unread, now_.version, now_.at - 2);
  if (!is_well_formed_version(version)) return refuse(400, Reason::version);
  if (version[5] != '1' || version[7] > '1') return refuse(505, Reason::version_unsupported);
  head_.version_minor = version[7] - '0';

  const std::string_view method = between(unread, now_.method, now_.method_end);
  const std::string_view target = between(unread, now_.target, now_.target_end);
  if (method == "CONNECT") return refuse(405, Reason::connect);
  if (!split_target(method, target)) return refuse(400, Reason::target_form);
  if (now_.target_has_percent && !has_valid_percents(target)) return refuse(400, Reason::percent);
  now_.fields = now_.at;
  now_.state = State::field_start;
}

void RequestParser::read_field_start(std::string_view unread) {
  const char byte = unread[now_.at];
  if (byte == '\r') {
    ++now_.at;
    now_.state = State::last_lf;
    return;
  }
  if (byte == '\n') return refuse(400, Reason::bare_lf);
  if (is_blank(byte)) return refuse(400, spans_.empty() ? Reason::blank_before_fields : Reason::folded_line);
  if (spans_.size() == limits_.max_header_fields) return refuse(431, Reason::too_many_fields);
  if (now_.at == end_of_fields(unread)) return refuse(431, Reason::fields_too_large);
  now_.field.name = now_.at;
  now_.name_bytes = 0;
  now_.state = State::name;
}

void RequestParser::read_name(std::string_view unread) {
  const std::size_t end = end_of_fields(unread);
  std::size_t at = now_.at;
  std::uint8_t seen = now_.name_bytes;
  for (; at < end; ++at) {
    const std::uint8_t byte_class = class_of(unread[at]);
    if ((byte_class & byte_token) == 0) break;
    seen |= byte_class;
  }
  now_.at = at;
  now_.name_bytes = seen;
  if (at == unread.size()) return;
  if (at == end) return refuse(431, Reason::fields_too_large);
  const char byte = unread[at];
  if (byte == ':' && at != now_.field.name) {
    now_.field.name_end = now_.at++;
    now_.state = State::value_blanks;
    return;
  }
  if (byte == ':') return refuse(400, Reason::empty_name);
  if (is_blank(byte)) return refuse(400, Reason::blank_before_colon);
  refuse(400, reason_of(byte, byte == '\r' ? Reason::no_colon : Reason::name_byte));
}

void RequestParser::read_value_blanks(std::string_view unread) {
  const std::size_t end = end_of_fields(unread);
  while (now_.at < end && is_blank(unread[now_.at])) ++now_.at;
  if (now_.at == unread.size()) return;
  now_.field.value = now_.at;
  now_.state = State::value;
}

void RequestParser::read_value(std::string_view unread) {
  const std::size_t end = end_of_fields(unread);
  now_.at = static_cast<std::size_t>(end_of_value(unread.data() + now_.at, unread.data() + end) - unread.data());
  if (now_.at == unread.size()) return;
  if (now_.at == end) return refuse(431, Reason::fields_too_large);
  if (unread[now_.at] != '\r') return refuse(400, reason_of(unread[now_.at], Reason::value_byte));
  now_.field.value_end = now_.at++;
  now_.state = State::field_lf;
}

void RequestParser::read_line_feed(std::string_view unread) {
  if (now_.state == State::field_lf && now_.at == end_of_fields(unread)) return refuse(431, Reason::fields_too_large);
  if (unread[now_.at] != '\n') return refuse(400, Reason::bare_cr);
  ++now_.at;
  if (now_.state == State::field_lf) return finish_field(unread);
  if (now_.state == State::last_lf) return finish_head(unread);
  if (now_.state == State::request_line_lf) return finish_request_line(unread);
  now_.state = State::before_line;
}

// What a single field can break is told at the end of its line; the length picks the few names that matter.
void RequestParser::finish_field(std::string_view unread) {
  FieldSpan& field = now_.field;
  while (field.value_end > field.value && is_blank(unread[field.value_end - 1])) --field.value_end;
  const std::string_view name = between(unread, field.name, field.name_end);
  const std::string_view value = between(unread, field.value, field.value_end);
  field.is_dropped = (now_.name_bytes & byte_underscore) != 0;
  now_.state = State::field_start;
  switch (name.size()) {
    case 4:
      if (!equals_ignoring_case(name, "host")) break;
      if (now_.host != no_field) return refuse(400, Reason::two_hosts);
      if (!is_valid_authority(value)) return refuse(400, Reason::host);
      now_.host = spans_.size();
      break;
    case 5:
      // HTTP_PROXY in environ is what CGI-like programs take for a proxy setting (CVE-2016-5388).
      if (equals_ignoring_case(name, "proxy")) field.is_dropped = true;
      break;
    case 6:
      if (!equals_ignoring_case(name, "expect")) break;
      (equals_ignoring_case(value, "100-continue") ? now_.expects_continue : now_.expects_other) = true;
      break;
    case 10:
      if (equals_ignoring_case(name, "connection")) take_connection(value);
      break;
    case 12:
      if (!equals_ignoring_case(name, "content-type")) break;
      if (now_.has_content_type) return refuse(400, Reason::two_content_types);
      now_.has_content_type = true;
      break;
    case 13:
      if (!equals_ignoring_case(name, "authorization")) break;
      if (now_.has_authorization) return refuse(400, Reason::two_authorizations);
      now_.has_authorization = true;
      break;
    case 14:
      if (!equals_ignoring_case(name, "content-length")) break;
      // A tab behind the digits is white space to llhttp 9.4 and an error to 8.1 and 9.2: an error, then.
      if (between(unread, field.value_end, now_.at).find('\t') != value.npos) return refuse(400, Reason::length);
      take_length(value);
      break;
    case 17:
      if (equals_ignoring_case(name, "transfer-encoding")) take_transfer_coding(value);
      break;
    default:
      break;
  }
  if (now_.state == State::refused) return;
  now_.has_dropped_field |= field.is_dropped;
  now_.underscore_fields += (now_.name_bytes & byte_underscore) != 0;
  spans_.push_back(field);
}

void RequestParser::take_length(std::string_view value) {
  if (now_.has_length) return refuse(400, Reason::two_lengths);
  const std::optional<std::uint64_t> length = parse_decimal(value);
  if (!length) return refuse(400, Reason::length);
  now_.has_length = true;
  now_.length = *length;
}

// Exactly "chunked". Of the rest, what RFC 9112 §6.3 calls a message without a reliable end is 400; a list that ends
// otherwise or begins with a coding we do not know is 501, at the end of the head.
void RequestParser::take_transfer_coding(std::string_view value) {
  if (now_.has_coding) return refuse(400, Reason::two_transfer_codings);
  now_.has_coding = true;
  if (equals_ignoring_case(value, "chunked")) return;
  bool was_chunked = false;
  for (;;) {
    const std::size_t comma = value.find(',');
    const std::string_view coding = trim_blanks(value.substr(0, comma));
    if (was_chunked || !is_token(coding)) return refuse(400, Reason::transfer_coding);
    was_chunked = equals_ignoring_case(coding, "chunked");
    if (comma == value.npos) break;
    value.remove_prefix(comma + 1);
  }
  now_.is_coding_unknown = true;
}

void RequestParser::take_connection(std::string_view value) {
  for (;;) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trim_blanks(value.substr(0, comma));
    if (equals_ignoring_case(option, "close")) now_.says_close = true;
    if (equals_ignoring_case(option, "keep-alive")) now_.says_keep_alive = true;
    if (comma == value.npos) return;
    value.remove_prefix(comma + 1);
  }
}

// now_.at is behind the empty line: what only the whole head can tell.
void RequestParser::finish_head(std::string_view unread) {
  const bool is_1_0 = head_.version_minor == 0;
  if (now_.has_coding && is_1_0) return refuse(400, Reason::chunked_in_1_0);
  if (now_.has_coding && now_.has_length) return refuse(400, Reason::length_and_chunked);
  if (now_.host == no_field && !is_1_0) return refuse(400, Reason::no_host);

  head_.method = between(unread, now_.method, now_.method_end);
  head_.target = between(unread, now_.target, now_.target_end);
  const RequestTarget target = *split_target(head_.method, head_.target);  // finish_request_line saw that it can
  head_.query = target.query;
  head_.path = target.path;
  if (now_.target_has_percent) {
    decode_percents(target.path, decoded_path_);
    head_.path = decoded_path_;
  }

  build_fields(unread);
  head_.host = now_.host == no_field ? target.authority : head_.fields[now_.host].value;
  if (!target.authority.empty() && !is_same_authority(target.authority, head_.host, target.default_port)) {
    return refuse(400, Reason::host_and_target);
  }
  if (!llhttp_reads_the_same(between(unread, now_.target, now_.at), head_.target, head_.fields, head_.version_minor)) {
    return refuse(400, Reason::second_reading);
  }
  remove_dropped_fields();

  // The head is sound; from here on it is about what the server wants to serve.
  if (now_.is_coding_unknown) return refuse(501, Reason::transfer_coding_unknown);
  if (now_.has_length && now_.length > limits_.max_body.count) return refuse(413, Reason::body_too_large);
  if (now_.expects_other) return refuse(417, Reason::expectation);

  head_.body = now_.has_coding ? BodyKind::chunked : now_.has_length ? BodyKind::length : BodyKind::none;
  head_.length = now_.length;
  head_.wants_keep_alive = !now_.says_close && (!is_1_0 || now_.says_keep_alive);
  // RFC 9110 §10.1.1: HTTP/1.0 clients do not know 1xx answers.
  head_.expects_continue = now_.expects_continue && !is_1_0 && (now_.has_coding || now_.length > 0);
  head_size_ = now_.at;
  now_.state = State::complete;
}

void RequestParser::build_fields(std::string_view unread) {
  head_.fields.clear();
  for (const FieldSpan& span : spans_) {
    head_.fields.push_back({between(unread, span.name, span.name_end), between(unread, span.value, span.value_end)});
  }
}

void RequestParser::remove_dropped_fields() {
  head_.dropped_underscore_fields = now_.underscore_fields;
  if (!now_.has_dropped_field) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    if (!spans_[i].is_dropped) head_.fields[kept++] = head_.fields[i];
  }
  head_.fields.resize(kept);
}

}  // namespace stint::http
