#include "server/http/response_head.h"

#include "server/http/bytes_table.h"
#include "server/http/decimal.h"
#include "stint/assert.h"

#include <charconv>

namespace stint::http {
namespace {

// What a field of the application means to the framing.
enum class Role { ordinary, content_length, date, server, hop_by_hop, named_path, named_url };

// The list of Python's wsgiref.util.is_hop_by_hop, and the two spellings it lacks.
Role role_of(std::string_view name) {
  switch (name.size()) {
    case 2:
      return equals_ignoring_case(name, "te") ? Role::hop_by_hop : Role::ordinary;
    case 4:
      return equals_ignoring_case(name, "date") ? Role::date : Role::ordinary;
    case 6:
      return equals_ignoring_case(name, "server") ? Role::server : Role::ordinary;
    case 7:
      return equals_ignoring_case(name, "upgrade") || equals_ignoring_case(name, "trailer") ? Role::hop_by_hop
                                                                                            : Role::ordinary;
    case 8:
      return equals_ignoring_case(name, "trailers") ? Role::hop_by_hop : Role::ordinary;
    case 10:
      if (equals_ignoring_case(name, "x-sendfile")) return Role::named_path;
      return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive") ? Role::hop_by_hop
                                                                                                  : Role::ordinary;
    case 14:
      return equals_ignoring_case(name, "content-length") ? Role::content_length : Role::ordinary;
    case 16:
      if (equals_ignoring_case(name, "x-accel-redirect")) return Role::named_url;
      return equals_ignoring_case(name, "proxy-connection") ? Role::hop_by_hop : Role::ordinary;
    case 17:
      return equals_ignoring_case(name, "transfer-encoding") ? Role::hop_by_hop : Role::ordinary;
    case 18:
      return equals_ignoring_case(name, "proxy-authenticate") ? Role::hop_by_hop : Role::ordinary;
    case 19:
      return equals_ignoring_case(name, "proxy-authorization") ? Role::hop_by_hop : Role::ordinary;
    default:
      return Role::ordinary;
  }
}

std::string name_of_byte(char byte) {
  switch (byte) {
    case '\n':
      return "a line feed";
    case '\r':
      return "a carriage return";
    case '\0':
      return "a NUL";
    case '\t':
      return "a tab";
    case '\x7f':
      return "a DEL";
    default:
      return "control character " + std::to_string(static_cast<unsigned char>(byte));
  }
}

// A name as the developer can find it in the code, fit for a log line.
std::string in_quotes(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, 80)) text += (class_of(c) & byte_line) != 0 ? c : '?';
  return text + (name.size() > 80 ? "…'" : "'");
}

// "200 OK" → 200, or why not.
Result<int> check_status(std::string_view status) {
  if (status.size() < 4 || !is_digit(status[0]) || !is_digit(status[1]) || !is_digit(status[2]) || status[3] != ' ') {
    return error_because("status " + in_quotes(status) + " is not three digits, a space and a reason");
  }
  for (const char c : status) {
    if (c == '\t' || (class_of(c) & byte_value) == 0) return error_because("status contains " + name_of_byte(c));
  }
  const int code = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
  if (code < 200) return error_because("status " + in_quotes(status) + " is not final: it must be 200 or above");
  return code;
}

Result<void> check_field(const HeaderField& field) {
  if (field.name.empty()) return error_because("header name is empty");
  if (!is_token(field.name)) return error_because("header name " + in_quotes(field.name) + " is not a token");
  const char* const end = field.value.data() + field.value.size();
  const char* const bad = end_of_value(field.value.data(), end);
  if (bad != end) return error_because("header value of " + in_quotes(field.name) + " contains " + name_of_byte(*bad));
  return {};
}

bool has_no_body(int code) { return code == 204 || code == 304; }

}  // namespace

Result<void> ResponseHead::set(std::string_view status, std::span<const HeaderField> fields) {
  // Everything is checked before anything is replaced.
  const Result<int> code = check_status(status);
  if (!code) return code.error();
  std::optional<std::uint64_t> length;
  for (const HeaderField& field : fields) {
    if (Result<void> checked = check_field(field); !checked) return checked;
    if (role_of(field.name) != Role::content_length) continue;
    if (length) return error_because("Content-Length is given twice");
    length = parse_decimal(field.value);
    if (!length) return error_because("Content-Length " + in_quotes(field.value) + " is not a number of bytes");
  }

  clear();
  status_ = status;
  content_length_ = length;
  has_own_length_ = length.has_value();
  for (const HeaderField& field : fields) {
    const Role role = role_of(field.name);
    if (role == Role::hop_by_hop) {
      ++dropped_hop_by_hop_;
      continue;
    }
    if (takes_named_files_ && (role == Role::named_path || role == Role::named_url)) {
      named_file_.kind = role == Role::named_path ? NamedFile::Kind::path : NamedFile::Kind::url;
      named_file_.name = field.value;
      continue;
    }
    has_date_ |= role == Role::date;
    has_server_ |= role == Role::server;
    const std::size_t begin = lines_.size();
    lines_.append(field.name).append(": ").append(field.value).append("\r\n");
    if (role == Role::content_length) length_begin_ = begin, length_end_ = lines_.size();
  }
  code_ = *code;  // last: where memory runs out there is no head, rather than a part of one
  return {};
}

void ResponseHead::clear() {
  code_ = 0;
  status_.clear();
  lines_.clear();
  content_length_.reset();
  has_own_length_ = has_date_ = has_server_ = false;
  length_begin_ = length_end_ = 0;
  dropped_hop_by_hop_ = 0;
  named_file_.kind = NamedFile::Kind::none;
}

void ResponseHead::set_length(std::uint64_t length) {
  if (!has_own_length_) content_length_ = length;
}

BodyFraming ResponseHead::framing(std::string_view method, int version_minor) const {
  if (method == "HEAD" || has_no_body(code_)) return BodyFraming::none;
  if (content_length_) return BodyFraming::length;
  return version_minor >= 1 ? BodyFraming::chunked : BodyFraming::until_close;
}

void ResponseHead::append_to(std::string& out, BodyFraming framing, int version_minor, bool keep_alive,
                             std::string_view date) const {
  STINT_ASSERT(is_set());
  STINT_ASSERT(framing != BodyFraming::length || content_length_);
  out.append("HTTP/1.1 ").append(status_).append("\r\n");

  // RFC 9110 §8.6: no Content-Length in 204; in 304 and for HEAD it is the one GET would have got.
  const bool shows_length = framing == BodyFraming::length || (framing == BodyFraming::none && code_ != 204);
  const std::string_view lines = lines_;
  if (shows_length) {
    out.append(lines);
  } else {
    out.append(lines.substr(0, length_begin_)).append(lines.substr(length_end_));
  }
  if (!has_date_) out.append("Date: ").append(date).append("\r\n");
  if (!has_server_) out.append("Server: stint\r\n");

  if (framing == BodyFraming::chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (shows_length && code_ != 304 && !has_own_length_ && content_length_) {
    char digits[20];
    const char* const end = std::to_chars(digits, digits + sizeof digits, *content_length_).ptr;
    out.append("Content-Length: ").append(digits, static_cast<std::size_t>(end - digits)).append("\r\n");
  }
  if (!keep_alive) {
    out.append("Connection: close\r\n");
  } else if (version_minor == 0) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
}

Result<void> append_early_hints(std::string& out, std::span<const HeaderField> fields) {
  for (const HeaderField& field : fields) {
    if (Result<void> checked = check_field(field); !checked) return checked;
  }
  out.append("HTTP/1.1 103 Early Hints\r\n");
  for (const HeaderField& field : fields) {
    const Role role = role_of(field.name);
    if (role == Role::hop_by_hop || role == Role::content_length) continue;
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  out.append("\r\n");
  return {};
}

std::string_view reason_phrase(int code) {
  switch (code) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

}  // namespace stint::http
