// Format strings → parts. The directives are those of Apache's mod_log_config, where Stint knows the answer; one it
// cannot tell (bytes on the wire: %I %O %S; notes, environment variables) is an error, not a "-" nobody notices.
#include "server/http/access_log_part.h"
#include "server/http/bytes_table.h"

#include <optional>
#include <utility>

namespace stint::http {
namespace {

constexpr std::string_view common = R"(%h %l %u %t "%r" %>s %b)";
constexpr std::string_view combined = R"(%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i")";

using Item = AccessItem;

// A directive's letter without an argument.
std::optional<Item> plain_item(char letter) {
  switch (letter) {
    case 'h':
    case 'a':
      return Item::remote_address;
    case 'A':
      return Item::server_address;
    case 'l':
      return Item::absent;
    case 'u':
      return Item::user;
    case 't':
      return Item::time_common;
    case 'r':
      return Item::request_line;
    case 'm':
      return Item::method;
    case 'U':
      return Item::path;
    case 'q':
      return Item::query;
    case 'H':
      return Item::protocol;
    case 's':
      return Item::status;
    case 'b':
      return Item::body_bytes;
    case 'B':
      return Item::body_bytes_number;
    case 'D':
      return Item::took_microseconds;
    case 'T':
      return Item::took_seconds;
    case 'v':
      return Item::server_address;
    case 'V':
      return Item::host;
    case 'p':
      return Item::server_port;
    case 'P':
      return Item::process_id;
    case 'X':
      return Item::completion;
    case 'L':
      return Item::request_id;
    default:
      return std::nullopt;
  }
}

// A directive's letter with "{argument}" before it. Where the argument is a name, it stays the part's text.
std::optional<Item> item_with(std::string_view argument, char letter) {
  switch (letter) {
    case 'i':
      return Item::request_field;
    case 'o':
      return Item::response_field;
    case 'C':
      return Item::cookie;
    case 'L':
      return argument == "id" ? std::optional(Item::request_id) : std::nullopt;
    case 'a':
      return argument == "c" ? std::optional(Item::peer_address) : std::nullopt;
    case 'P':
      return argument == "pid" ? std::optional(Item::process_id) : std::nullopt;
    case 'p':
      if (argument == "canonical" || argument == "local") return Item::server_port;
      return argument == "remote" ? std::optional(Item::remote_port) : std::nullopt;
    case 'T':
      if (argument == "s") return Item::took_seconds;
      if (argument == "ms") return Item::took_milliseconds;
      return argument == "us" ? std::optional(Item::took_microseconds) : std::nullopt;
    case 't':
      if (argument == "sec") return Item::time_seconds;
      if (argument == "msec") return Item::time_milliseconds;
      if (argument == "usec") return Item::time_microseconds;
      // Fractions of a second, which AccessEntry's clock does not have.
      if (argument == "msec_frac" || argument == "usec_frac") return std::nullopt;
      return argument.empty() ? Item::time_common : Item::time_strftime;
    default:
      return std::nullopt;
  }
}

// Reads one directive behind its "%". False: there is none such, and at() is behind what was read of it.
class DirectiveReader {
 public:
  DirectiveReader(std::string_view format, std::size_t at) : format_(format), at_(at) {}

  template <class Part>
  bool read(Part& part) {
    if (next() == '!') {
      part.is_for_others = true;
      ++at_;
    }
    while (is_digit(next())) {
      int status = 0;
      for (int i = 0; i < 3; ++i, ++at_) {
        if (!is_digit(next())) return false;
        status = status * 10 + (next() - '0');
      }
      part.statuses.push_back(status);
      if (next() == ',') ++at_;
    }
    if (part.is_for_others && part.statuses.empty()) return false;
    // "<" and ">" choose between a request and what it was redirected to inside the server: here they are one.
    if (next() == '<' || next() == '>') ++at_;

    std::optional<std::string_view> argument;
    if (next() == '{') {
      const std::size_t end = format_.find('}', at_);
      if (end == format_.npos) {
        at_ = format_.size();
        return false;
      }
      argument = format_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    }
    if (at_ == format_.size()) return false;
    const char letter = format_[at_++];
    if (argument && letter == 't') {
      part.at_end = argument->starts_with("end:");
      if (part.at_end || argument->starts_with("begin:")) argument->remove_prefix(argument->find(':') + 1);
    }
    const std::optional<Item> item = argument ? item_with(*argument, letter) : plain_item(letter);
    if (!item) return false;
    part.item = *item;
    part.text = argument.value_or("");
    return true;
  }

  std::size_t at() const { return at_; }

 private:
  char next() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  std::string_view format_;
  std::size_t at_;
};

// Formats are copied out of Apache's configuration, where quotes inside a format are written \".
char escaped_literal(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case '"':
    case '\'':
    case '\\':
      return c;
    default:
      return '\0';
  }
}

}  // namespace

AccessLogFormat::AccessLogFormat(std::vector<Part> parts) : parts_(std::move(parts)) {}
AccessLogFormat::AccessLogFormat(AccessLogFormat&&) noexcept = default;
AccessLogFormat& AccessLogFormat::operator=(AccessLogFormat&&) noexcept = default;
AccessLogFormat::~AccessLogFormat() = default;

Result<AccessLogFormat> AccessLogFormat::compile(std::string_view format) {
  std::vector<Part> parts;
  const auto literal = [&parts](std::string_view text) {
    if (parts.empty() || parts.back().item != Item::literal) parts.emplace_back();
    parts.back().text += text;
  };

  if (format == "json") {
    const auto value = [&](std::string_view before, Item item, std::string_view text = "") {
      literal(before);
      parts.push_back({item, std::string(text), AccessEscape::json, false, {}, false});
    };
    value(R"({"time":")", Item::time_iso);
    value(R"(","remote":")", Item::remote_address);
    value(R"(","user":")", Item::user);
    value(R"(","method":")", Item::method);
    value(R"(","target":")", Item::target);
    value(R"(","protocol":")", Item::protocol);
    value(R"(","status":)", Item::status);
    value(R"(,"bytes":)", Item::body_bytes_number);
    value(R"(,"took_us":)", Item::took_microseconds);
    value(R"(,"referer":")", Item::request_field, "Referer");
    value(R"(","user_agent":")", Item::request_field, "User-Agent");
    value(R"(","id":")", Item::request_id);
    value(R"(","worker":)", Item::worker);
    literal("}\n");
    return AccessLogFormat(std::move(parts));
  }

  if (format == "common") format = common;
  if (format == "combined") format = combined;
  for (std::size_t at = 0; at < format.size();) {
    const char c = format[at];
    if (c == '\\' && at + 1 < format.size() && escaped_literal(format[at + 1]) != '\0') {
      const char meant = escaped_literal(format[at + 1]);
      literal({&meant, 1});
      at += 2;
    } else if (c != '%') {
      literal({&c, 1});
      ++at;
    } else if (format.substr(at, 2) == "%%") {
      literal("%");
      at += 2;
    } else {
      DirectiveReader reader(format, at + 1);
      Part part;
      if (!reader.read(part)) {
        return error_because("access log format: there is no directive '" +
                             std::string(format.substr(at, reader.at() - at)) + "' (at character " +
                             std::to_string(at + 1) + ")");
      }
      parts.push_back(std::move(part));
      at = reader.at();
    }
  }
  literal("\n");
  return AccessLogFormat(std::move(parts));
}

}  // namespace stint::http
