// Parts and an entry → a line. Any thread; texts of the current second are kept a thread.
#include "server/http/access_log.h"

#include "server/http/access_log_part.h"
#include "server/http/bytes_table.h"
#include "server/http/conditional.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace stint::http {
namespace {

template <class Number>
void append_number(std::string& out, Number number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_hex(std::string& out, unsigned char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.push_back(digits[byte >> 4]);
  out.push_back(digits[byte & 15]);
}

// Bytes that stand for themselves in both escapes.
constexpr std::array<bool, 256> plain_bytes = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0x20; c < 0x7f; ++c) table[c] = c != '"' && c != '\\';
  return table;
}();

// As Apache does: \" \\ and the C escapes, \xhh for every other byte that is not printable ASCII.
void append_escaped_apache(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\v':
      out += "\\v";
      break;
    default:
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(c));
  }
}

// Bytes above ASCII are written as latin-1, the way environ has them: the line is JSON whatever the client sent.
void append_escaped_json(std::string& out, char c) {
  if (c == '"' || c == '\\') {
    out.push_back('\\');
    out.push_back(c);
    return;
  }
  out += "\\u00";
  append_hex(out, static_cast<unsigned char>(c));
}

void append_escaped(std::string& out, std::string_view text, AccessEscape escape) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* const run = at;
    while (at != end && plain_bytes[static_cast<unsigned char>(*at)]) ++at;
    out.append(run, at);
    if (at == end) return;
    escape == AccessEscape::apache ? append_escaped_apache(out, *at) : append_escaped_json(out, *at);
    ++at;
  }
}

// A value that may be missing: without data. An empty value that was sent is an empty text, as in Apache.
void append_value(std::string& out, std::string_view value, AccessEscape escape) {
  if (value.data() != nullptr) return append_escaped(out, value, escape);
  if (escape == AccessEscape::apache) out.push_back('-');
}

std::string_view missing_when_empty(std::string_view text) { return text.empty() ? std::string_view{} : text; }

// A second's text, made once for all lines of that second.
struct SecondText {
  std::time_t second = -1;
  std::array<char, 64> text{};
  std::size_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
};

const std::tm& local_parts(std::time_t second) {
  static thread_local std::time_t of = -1;
  static thread_local std::tm parts;
  if (second != of) {
    localtime_r(&second, &parts);
    of = second;
  }
  return parts;
}

// No strftime: its month names depend on the locale, which the application may set.
std::string_view common_time(std::time_t second) {
  static thread_local SecondText made;
  if (second != made.second) {
    constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::tm& t = local_parts(second);
    const long minutes = (t.tm_gmtoff < 0 ? -t.tm_gmtoff : t.tm_gmtoff) / 60;
    const int size = std::snprintf(made.text.data(), made.text.size(), "[%02d/%s/%04d:%02d:%02d:%02d %c%02ld%02ld]",
                                   t.tm_mday, months[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour,
                                   t.tm_min, t.tm_sec, t.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    made.size = std::min(static_cast<std::size_t>(size), made.text.size() - 1);
    made.second = second;
  }
  return made.view();
}

std::string_view iso_time(std::time_t second) {
  static thread_local SecondText made;
  if (second != made.second) {
    std::tm t{};
    gmtime_r(&second, &t);
    made.size = std::strftime(made.text.data(), made.text.size(), "%Y-%m-%dT%H:%M:%SZ", &t);
    made.second = second;
  }
  return made.view();
}

void append_strftime(std::string& out, const std::string& format, std::time_t second) {
  std::array<char, 256> text;
  out.append(text.data(), std::strftime(text.data(), text.size(), format.c_str(), &local_parts(second)));
}

void append_protocol(std::string& out, int version_minor) {
  out += "HTTP/1.";
  append_number(out, version_minor);
}

std::string_view host_name(const AccessEntry& entry) {
  const std::string_view host = find_field(entry.fields, "host");
  if (host.empty()) return entry.endpoints.server_address;
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != host.npos && host.find(']', colon) == host.npos;
  return has_port ? host.substr(0, colon) : host;
}

// Repeated fields are one list (RFC 9110 §5.3).
void append_request_field(std::string& out, const AccessEntry& entry, const std::string& name, AccessEscape escape) {
  bool is_first = true;
  for (const HeaderField& field : entry.fields) {
    if (field.name.size() != name.size() || find_field({&field, 1}, name).data() == nullptr) continue;
    if (!is_first) out += ", ";
    is_first = false;
    append_escaped(out, field.value, escape);
  }
  if (is_first) append_value(out, {}, escape);
}

std::string_view find_response_field(std::string_view lines, std::string_view name) {
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    const std::size_t colon = line.find(':');
    const HeaderField field{line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))};
    if (const auto found = find_field({&field, 1}, name); found.data() != nullptr) return found;
    lines.remove_prefix(std::min(end == lines.npos ? lines.size() : end + 2, lines.size()));
  }
  return {};
}

std::string_view find_cookie(std::span<const HeaderField> fields, std::string_view name) {
  for (const HeaderField& field : fields) {
    if (!equals_ignoring_case(field.name, "cookie")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim_blanks(rest.substr(0, end));
      if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
        return pair.substr(name.size() + 1);
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return {};
}

template <class Part>
void append_item(std::string& out, const Part& part, const AccessEntry& entry) {
  const auto value = [&](std::string_view text) { append_value(out, text, part.escape); };
  const auto optional_value = [&](std::string_view text) { value(missing_when_empty(text)); };
  const std::time_t second =
      part.at_end ? entry.began + std::chrono::duration_cast<std::chrono::seconds>(entry.took).count() : entry.began;
  const std::size_t path_end = std::min(entry.target.find('?'), entry.target.size());

  switch (part.item) {
    case AccessItem::literal:
      out += part.text;
      break;
    case AccessItem::absent:
      value({});
      break;
    case AccessItem::remote_address:
      optional_value(entry.endpoints.remote_address);
      break;
    case AccessItem::peer_address:
      optional_value(entry.peer_address);
      break;
    case AccessItem::remote_port:
      optional_value(entry.endpoints.remote_port);
      break;
    case AccessItem::server_address:
      optional_value(entry.endpoints.server_address);
      break;
    case AccessItem::server_port:
      optional_value(entry.endpoints.server_port);
      break;
    case AccessItem::host:
      optional_value(host_name(entry));
      break;
    case AccessItem::time_common:
      out += common_time(second);
      break;
    case AccessItem::time_strftime:
      append_strftime(out, part.text, second);
      break;
    case AccessItem::time_iso:
      out += iso_time(second);
      break;
    case AccessItem::time_seconds:
      append_number(out, second);
      break;
    case AccessItem::time_milliseconds:
      append_number(out, second);
      out += "000";
      break;
    case AccessItem::time_microseconds:
      append_number(out, second);
      out += "000000";
      break;
    case AccessItem::request_line:
      if (entry.method.empty()) return value({});
      append_escaped(out, entry.method, part.escape);
      out.push_back(' ');
      append_escaped(out, entry.target, part.escape);
      out.push_back(' ');
      append_protocol(out, entry.version_minor);
      break;
    case AccessItem::method:
      optional_value(entry.method);
      break;
    case AccessItem::target:
      optional_value(entry.target);
      break;
    case AccessItem::path:
      optional_value(entry.target.substr(0, path_end));
      break;
    case AccessItem::query:
      append_escaped(out, entry.target.substr(path_end), part.escape);
      break;
    case AccessItem::protocol:
      if (entry.method.empty()) return value({});
      append_protocol(out, entry.version_minor);
      break;
    case AccessItem::status:
      append_number(out, entry.status);
      break;
    case AccessItem::body_bytes:
      if (entry.body_bytes == 0) return value({});
      [[fallthrough]];
    case AccessItem::body_bytes_number:
      append_number(out, entry.body_bytes);
      break;
    case AccessItem::took_seconds:
      append_number(out, std::chrono::duration_cast<std::chrono::seconds>(entry.took).count());
      break;
    case AccessItem::took_milliseconds:
      append_number(out, std::chrono::duration_cast<std::chrono::milliseconds>(entry.took).count());
      break;
    case AccessItem::took_microseconds:
      append_number(out, entry.took.count());
      break;
    case AccessItem::request_field:
      append_request_field(out, entry, part.text, part.escape);
      break;
    case AccessItem::cookie:
      value(find_cookie(entry.fields, part.text));
      break;
    case AccessItem::response_field:
      value(find_response_field(entry.response_lines, part.text));
      break;
    case AccessItem::user:
      optional_value(entry.user);
      break;
    case AccessItem::request_id:
      optional_value(entry.id);
      break;
    case AccessItem::worker:
      append_number(out, entry.worker);
      break;
    case AccessItem::process_id:
      append_number(out, ::getpid());
      break;
    case AccessItem::completion:
      out.push_back(entry.was_complete ? '+' : 'X');
      break;
  }
}

}  // namespace

void AccessLogFormat::append_line(std::string& out, const AccessEntry& entry) const {
  for (const Part& part : parts_) {
    if (!part.statuses.empty()) {
      const bool is_listed = std::find(part.statuses.begin(), part.statuses.end(), entry.status) != part.statuses.end();
      if (is_listed == part.is_for_others) {
        out.push_back('-');
        continue;
      }
    }
    append_item(out, part, entry);
  }
}

}  // namespace stint::http
