#include "tests/support/answer_reader.h"

#include <strings.h>

#include <charconv>
#include <optional>

namespace stint::test {
namespace {

bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

template <class Number>
std::optional<Number> number(std::string_view text, int base) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

struct Framing {
  std::optional<std::size_t> length;
  bool is_chunked = false;
};

// Field lines of `head` behind its status line. False: a line is none.
bool read_fields(std::string_view head, Framing& framing, ReadAnswer& answer) {
  std::size_t at = head.find("\r\n") + 2;
  while (at < head.size()) {
    const std::size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end - at);
    at = end + 2;
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
    if (is_same(name, "Content-Length")) {
      framing.length = number<std::size_t>(value, 10);
      if (!framing.length) return false;
    } else if (is_same(name, "Transfer-Encoding")) {
      framing.is_chunked = is_same(value, "chunked");
      if (!framing.is_chunked) return false;
    } else if (is_same(name, "Connection")) {
      answer.announces_close = is_same(value, "close");
    } else if (is_same(name, "X-Worker-Pid")) {
      answer.worker_pid = number<long>(value, 10).value_or(0);
    } else if (is_same(name, "X-Version")) {
      answer.version = value;
    }
  }
  return true;
}

// Joins the chunks that begin at `at`; moves `at` behind the last one.
Reading join_chunks(std::string_view input, std::size_t& at, std::string& joined) {
  joined.clear();
  for (;;) {
    const std::size_t line_end = input.find("\r\n", at);
    if (line_end == std::string_view::npos) return Reading::incomplete;
    const auto size = number<std::size_t>(input.substr(at, line_end - at), 16);
    if (!size) return Reading::malformed;
    const std::size_t data = line_end + 2;
    if (input.size() < data + *size + 2) return Reading::incomplete;
    if (input.substr(data + *size, 2) != "\r\n") return Reading::malformed;
    joined += input.substr(data, *size);
    at = data + *size + 2;
    if (*size == 0) return Reading::complete;
  }
}

}  // namespace

Reading read_answer(std::string_view input, bool has_ended, std::string& joined, ReadAnswer& answer) {
  answer = {};
  std::size_t begin = 0;
  for (;;) {
    const std::size_t head_end = input.find("\r\n\r\n", begin);
    if (head_end == std::string_view::npos) return Reading::incomplete;
    const std::string_view head = input.substr(begin, head_end + 2 - begin);  // each line with its end
    if (head.size() < 14 || !head.starts_with("HTTP/1.")) return Reading::malformed;
    const auto status = number<int>(head.substr(9, 3), 10);
    if (!status) return Reading::malformed;
    answer.status = *status;
    answer.head = head;
    std::size_t at = head_end + 4;
    Framing framing;
    if (!read_fields(head, framing, answer)) return Reading::malformed;
    if (answer.status < 200) {
      begin = at;
      continue;
    }
    if (framing.is_chunked) {
      if (framing.length) return Reading::malformed;
      const Reading reading = join_chunks(input, at, joined);
      if (reading != Reading::complete) return reading;
      answer.body = joined;
    } else if (answer.status == 204 || answer.status == 304) {
      answer.body = {};
    } else if (framing.length) {
      if (input.size() - at < *framing.length) {
        answer.missing = *framing.length - (input.size() - at);
        return Reading::incomplete;
      }
      answer.body = input.substr(at, *framing.length);
      at += *framing.length;
    } else {
      if (!has_ended) return Reading::incomplete;
      answer.announces_close = true;
      answer.body = input.substr(at);
      at = input.size();
    }
    answer.size = at;
    return Reading::complete;
  }
}

}  // namespace stint::test
