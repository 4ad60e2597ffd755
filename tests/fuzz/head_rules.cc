#include "tests/fuzz/head_rules.h"

#include <cctype>
#include <map>
#include <optional>
#include <vector>

namespace stint::fuzz {
namespace {

using http::BodyKind;

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view digits = "0123456789";
constexpr std::string_view hex_digits = "0123456789abcdefABCDEF";

bool is_made_of(std::string_view text, const std::string& allowed) {
  return text.find_first_not_of(allowed) == text.npos;
}

std::string with(std::string_view a, std::string_view b, std::string_view c = "") {
  return std::string(a) + std::string(b) + std::string(c);
}

bool is_token(std::string_view text) {
  static const std::string allowed = with(letters, digits, "!#$%&'*+-.^_`|~");
  return !text.empty() && is_made_of(text, allowed);
}

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return made;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return text.substr(0, 0);
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t place = text.find(at);
    parts.push_back(text.substr(0, place));
    if (place == text.npos) return parts;
    text.remove_prefix(place + at.size());
  }
}

// nullopt: a triplet that is none, or a NUL.
std::optional<std::string> decoded(std::string_view text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      made += text[i];
      continue;
    }
    const std::string triplet(text.substr(i + 1, 2));
    if (triplet.size() != 2 || !is_made_of(triplet, std::string(hex_digits))) return std::nullopt;
    const int value = std::stoi(triplet, nullptr, 16);
    if (value == 0) return std::nullopt;
    made += static_cast<char>(value);
    i += 2;
  }
  return made;
}

bool is_authority(std::string_view text) {
  const bool is_v6 = text.starts_with('[');
  const std::size_t host_end = is_v6 ? text.find(']') + 1 : std::min(text.find(':'), text.size());
  if (host_end == 0) return false;
  const std::string_view host = text.substr(0, host_end), port = text.substr(host_end);
  const std::string allowed = is_v6 ? with(hex_digits, "[]:.") : with(letters, digits, "-._~");
  if (!is_made_of(host, allowed)) return false;
  if (port.empty()) return true;
  return port.size() >= 2 && port.size() <= 6 && port[0] == ':' && is_made_of(port.substr(1), std::string(digits)) &&
         std::stoi(std::string(port.substr(1))) <= 65535;
}

class Rules {
 public:
  Rules(std::string_view bytes, const http::RequestHead& head, const http::HeadLimits& limits)
      : bytes_(bytes), head_(head), limits_(limits) {}

  std::string broken() {
    check_lines();
    if (broken_.empty()) check_request_line();
    if (broken_.empty()) check_fields();
    if (broken_.empty()) check_target();
    if (broken_.empty()) check_body();
    if (broken_.empty()) check_connection();
    return broken_;
  }

 private:
  void rule(bool is_kept, std::string_view sentence) {
    if (!is_kept && broken_.empty()) broken_ = sentence;
  }

  void check_lines() {
    std::string_view rest = bytes_;
    unsigned empty_lines = 0;
    for (; rest.starts_with("\r\n"); ++empty_lines) rest.remove_prefix(2);
    rule(empty_lines <= 4, "at most four empty lines come before a request line");
    rule(rest.ends_with("\r\n\r\n"), "a head ends with an empty line");
    if (!broken_.empty()) return;
    rest.remove_suffix(4);
    lines_ = split(rest, "\r\n");
    for (const std::string_view line : lines_) {
      rule(!line.empty(), "nothing stands behind the empty line");
      for (const char c : line) {
        const auto byte = static_cast<unsigned char>(c);
        rule((byte >= 0x20 && byte != 0x7f) || byte == '\t', "a line holds no control byte but a tab");
      }
    }
  }

  void check_request_line() {
    const std::string_view line = lines_[0];
    const auto parts = split(line, " ");
    rule(line.size() <= limits_.max_request_line.count, "a request line has a largest size");
    rule(parts.size() == 3, "a request line has three parts with one space between");
    if (!broken_.empty()) return;
    rule(is_token(parts[0]) && parts[0].size() <= 32, "a method is a token of at most 32 bytes");
    rule(parts[0] != "CONNECT", "CONNECT is refused");
    rule(!parts[1].empty(), "a target is not empty");
    for (const char c : parts[1]) rule(c > 0x20 && c < 0x7f && c != '#', "a target is visible ASCII without fragment");
    rule(parts[2] == "HTTP/1.0" || parts[2] == "HTTP/1.1", "the version is 1.0 or 1.1");
    rule(is_same(head_.method, parts[0]), "the method is the first part of the request line");
    rule(is_same(head_.target, parts[1]), "the target is the second part of the request line");
    rule(head_.version_minor == (parts[2] == "HTTP/1.1" ? 1 : 0), "the version is the third part of the request line");
  }

  // The same text, and the same bytes in memory.
  static bool is_same(std::string_view view, std::string_view part) {
    return view == part && (part.empty() || view.data() == part.data());
  }

  void check_fields() {
    rule(lines_.size() - 1 <= limits_.max_header_fields, "fields have a largest number");
    std::size_t all = 0, kept = 0;
    unsigned underscores = 0;
    for (std::size_t i = 1; i < lines_.size(); ++i) {
      const std::string_view line = lines_[i];
      all += line.size() + 2;
      const std::size_t colon = line.find(':');
      rule(colon != line.npos, "a field has a colon");
      if (!broken_.empty()) return;
      const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
      rule(is_token(name), "a field's name is a token");
      const std::string low = lower(name);
      values_[low].push_back(value);
      const bool has_underscore = name.find('_') != name.npos;
      underscores += has_underscore ? 1 : 0;
      if (has_underscore || low == "proxy") continue;
      rule(kept < head_.fields.size(), "every field that is not dropped is handed on");
      if (!broken_.empty()) return;
      rule(is_same(head_.fields[kept].name, name), "fields' names are handed on in order");
      rule(is_same(head_.fields[kept].value, value), "fields' values are handed on without blanks around");
      ++kept;
    }
    rule(kept == head_.fields.size(), "only what the client sent is handed on");
    rule(underscores == head_.dropped_underscore_fields, "dropped fields are counted");
    rule(all <= limits_.max_header_size.count, "all fields together have a largest size");
    for (const char* name : {"host", "content-type", "authorization", "content-length", "transfer-encoding"})
      rule(values_[name].size() <= 1, "some fields come once at most");
  }

  void check_target() {
    std::string_view rest = head_.target, authority, port;
    const auto hosts = values_["host"];
    rule(head_.version_minor == 0 || hosts.size() == 1, "HTTP/1.1 needs one Host");
    for (const std::string_view host : hosts) rule(is_authority(host), "Host is a host and perhaps a port");
    if (rest != "*" && !rest.starts_with('/')) {
      const std::string low = lower(rest);
      const std::size_t scheme = low.starts_with("http://") ? 7 : low.starts_with("https://") ? 8 : 0;
      rule(scheme != 0, "a target is a path, an http URI or *");
      port = scheme == 7 ? ":80" : ":443";
      rest.remove_prefix(scheme);
      authority = rest.substr(0, rest.find_first_of("/?"));
      rest.remove_prefix(authority.size());
      rule(is_authority(authority), "an absolute target has an authority");
      if (!hosts.empty()) {
        const auto bare = [port](std::string_view text) {
          std::string low_text = lower(text);
          if (low_text.ends_with(port)) low_text.resize(low_text.size() - port.size());
          return low_text;
        };
        rule(bare(hosts[0]) == bare(authority), "an absolute target and Host agree");
      }
    } else {
      rule(rest != "*" || head_.method == "OPTIONS", "* is for OPTIONS");
    }
    rule(head_.host == (hosts.empty() ? authority : hosts[0]), "the host is Host's, or else the target's");
    const std::size_t question = rest.find('?');
    std::string_view path = rest.substr(0, question);
    if (path.empty()) path = "/";
    const auto text = decoded(path);
    rule(text && decoded(head_.target), "triplets of a target are valid and no NUL");
    rule(text && head_.path == *text, "the path is decoded once");
    rule(head_.query == (question == rest.npos ? std::string_view() : rest.substr(question + 1)), "the query is raw");
    rule(head_.path == "*" || head_.path.starts_with('/'), "a path begins with a slash");
  }

  void check_body() {
    const auto lengths = values_["content-length"], codings = values_["transfer-encoding"];
    rule(lengths.empty() || codings.empty(), "a body has a length or is chunked, never both");
    if (!codings.empty()) {
      rule(lower(codings[0]) == "chunked", "the one transfer coding is chunked");
      rule(head_.version_minor == 1, "chunked is of HTTP/1.1");
      rule(head_.body == BodyKind::chunked, "a chunked body is told as such");
    } else if (!lengths.empty()) {
      std::string_view length = lengths[0];
      rule(!length.empty() && is_made_of(length, std::string(digits)), "a length is digits");
      while (length.size() > 1 && length[0] == '0') length.remove_prefix(1);
      rule(std::to_string(head_.length) == length, "the length is the number the digits are");
      rule(head_.length <= limits_.max_body.count, "a body has a largest size");
      rule(head_.body == BodyKind::length, "a body with a length is told as such");
    } else {
      rule(head_.body == BodyKind::none, "a request without framing has no body");
    }
  }

  void check_connection() {
    bool says_close = false, says_keep_alive = false;
    for (const std::string_view value : values_["connection"]) {
      for (const std::string_view option : split(value, ",")) {
        says_close |= lower(trimmed(option)) == "close";
        says_keep_alive |= lower(trimmed(option)) == "keep-alive";
      }
    }
    rule(head_.wants_keep_alive == (!says_close && (head_.version_minor == 1 || says_keep_alive)),
         "a connection is kept as its client asks");
    const auto expectations = values_["expect"];
    for (const std::string_view value : expectations)
      rule(lower(value) == "100-continue", "the one expectation is 100-continue");
    const bool has_body = head_.body == BodyKind::chunked || (head_.body == BodyKind::length && head_.length > 0);
    rule(head_.expects_continue == (!expectations.empty() && head_.version_minor == 1 && has_body),
         "100 is sent to who waits for it before a body");
  }

  const std::string_view bytes_;
  const http::RequestHead& head_;
  const http::HeadLimits& limits_;
  std::vector<std::string_view> lines_;
  std::map<std::string, std::vector<std::string_view>> values_;  // by name in lower case; dropped ones too
  std::string broken_;
};

}  // namespace

std::string broken_rule(std::string_view bytes, const http::RequestHead& head, const http::HeadLimits& limits) {
  return Rules(bytes, head, limits).broken();
}

}  // namespace stint::fuzz
