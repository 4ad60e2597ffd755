// The head of an answer, from whatever the application gave. Promises:
// - an error is a sentence, and the head is as it was before;
// - what is accepted is written so that the bytes read back as exactly these fields: the application's but hop-by-hop
//   ones, Date and Server once, our framing, Connection, one empty line at the end; whatever the strings contained, no
//   line was made of them;
// - framing follows RFC 9112 §6: never two ways to tell the end;
// - the same for the fields of an answer 103, which has no framing at all.
#include "server/http/response_head.h"

#include "tests/fuzz/promise.h"

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stint::fuzz {
namespace {

using http::BodyFraming;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

bool is_hop_by_hop(const std::string& name) {
  static const std::vector<std::string> names = {
      "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
      "te",         "trailer",    "trailers",           "transfer-encoding",   "upgrade"};
  return std::find(names.begin(), names.end(), lower(name)) != names.end();
}

struct Written {
  std::string status_line;
  Fields fields;
};

// The strictest reading there is: CR LF, ": " after each name, nothing behind the empty line.
Written read(const std::string& text) {
  Written written;
  std::size_t at = 0;
  for (bool is_first = true;; is_first = false) {
    const std::size_t end = text.find("\r\n", at);
    promise(end != text.npos, "a head ends with an empty line", text);
    const std::string line = text.substr(at, end - at);
    promise(line.find_first_of(std::string_view("\r\n\0", 3)) == line.npos, "a line has no line end in it", text);
    at = end + 2;
    if (line.empty()) break;
    if (is_first) {
      written.status_line = line;
      continue;
    }
    const std::size_t colon = line.find(": ");
    promise(colon != line.npos && colon > 0, "a field has a name and a value", text);
    written.fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  promise(at == text.size(), "nothing stands behind the empty line", text);
  return written;
}

std::size_t count(const Fields& fields, const std::string& name) {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [&name](const auto& field) { return lower(field.first) == name; }));
}

// What has to be in the head, in its order.
Fields expected(const http::ResponseHead& head, const Fields& given, BodyFraming framing, int minor, bool keep_alive) {
  const bool has_length_field = count(given, "content-length") > 0;
  const bool shows_length = framing == BodyFraming::length || (framing == BodyFraming::none && head.code() != 204);
  Fields fields;
  for (const auto& [name, value] : given) {
    if (is_hop_by_hop(name) || (lower(name) == "content-length" && !shows_length)) continue;
    fields.emplace_back(name, value);
  }
  if (count(given, "date") == 0) fields.emplace_back("Date", date);
  if (count(given, "server") == 0) fields.emplace_back("Server", "stint");
  if (framing == BodyFraming::chunked) fields.emplace_back("Transfer-Encoding", "chunked");
  if (shows_length && !has_length_field && head.content_length() && head.code() != 304)
    fields.emplace_back("Content-Length", std::to_string(*head.content_length()));
  if (!keep_alive) fields.emplace_back("Connection", "close");
  if (keep_alive && minor == 0) fields.emplace_back("Connection", "keep-alive");
  return fields;
}

void check_written(const http::ResponseHead& head, const Fields& given, std::string_view status,
                   FuzzedDataProvider& input) {
  const std::string method = input.PickValueInArray({"GET", "HEAD", "POST"});
  const int minor = input.ConsumeIntegralInRange(0, 1);
  const bool keep_alive = input.ConsumeBool();
  const BodyFraming framing = head.framing(method, minor);
  std::string text = "before";
  head.append_to(text, framing, minor, keep_alive, date);
  promise(text.starts_with("before"), "what was written before stays");
  text.erase(0, 6);
  const Written written = read(text);
  promise(written.status_line == "HTTP/1.1 " + std::string(status), "the status line has the status", text);
  promise(written.fields == expected(head, given, framing, minor, keep_alive), "the head has exactly these fields",
          text);

  const std::size_t lengths = count(written.fields, "content-length"),
                    codings = count(written.fields, "transfer-encoding");
  promise(lengths + codings <= 1, "the end of a body is told one way", text);
  promise(codings == 0 || minor == 1, "chunks are for HTTP/1.1", text);
  const bool never_has_body = method == "HEAD" || head.code() == 204 || head.code() == 304;
  promise((framing == BodyFraming::none) == never_has_body, "some answers never have a body", text);
  promise(head.code() != 204 || lengths + codings == 0, "204 tells of no body", text);
  promise(framing != BodyFraming::length || lengths == 1, "a length is told", text);
}

void check_early_hints(const Fields& given, const std::vector<HeaderField>& fields, bool are_fit) {
  std::string text = "before";
  if (const auto written = http::append_early_hints(text, fields); !written) {
    promise(!are_fit, "fields that are fit for an answer are fit for hints", written.error().text());
    promise(text == "before", "after an error nothing is written");
    return;
  }
  const Written hints = read(text.substr(6));
  Fields kept;
  for (const auto& field : given)
    if (!is_hop_by_hop(field.first) && lower(field.first) != "content-length") kept.push_back(field);
  promise(hints.status_line == "HTTP/1.1 103 Early Hints" && hints.fields == kept, "hints are exactly these fields",
          text);
}

void check(FuzzedDataProvider& input) {
  http::ResponseHead head;
  // Twice: the second head is the one of the next answer on the same connection, in the same memory.
  for (int answer = 0; answer < 2; ++answer) {
    const std::string status = input.ConsumeRandomLengthString(40);
    Fields given(input.ConsumeIntegralInRange<std::size_t>(0, 6));
    std::vector<HeaderField> fields;
    for (auto& [name, value] : given) {
      name = input.ConsumeBool() ? input.PickValueInArray({"Content-Length", "Date", "Server", "Transfer-Encoding",
                                                           "Connection", "X-A", "Set-Cookie", "Keep-Alive"})
                                 : input.ConsumeRandomLengthString(24);
      value = input.ConsumeRandomLengthString(64);
      fields.push_back({name, value});
    }
    const bool was_set = head.is_set();
    const std::string before(head.lines());
    const auto set = head.set(status, fields);
    check_early_hints(given, fields, set.has_value());
    if (!set) {
      promise(!set.error().text().empty(), "an error is a sentence");
      promise(set.error().text().find_first_of("\r\n") == std::string::npos, "an error is one line",
              set.error().text());
      promise(head.is_set() == was_set && head.lines() == before, "after an error the head is as it was");
      continue;
    }
    promise(head.is_set() && head.code() >= 200 && head.code() <= 999, "a status is final");
    promise(head.status() == status, "the status is the application's");
    std::size_t hop_by_hop = 0;
    for (const auto& field : given) hop_by_hop += is_hop_by_hop(field.first) ? 1 : 0;
    promise(head.dropped_hop_by_hop() == hop_by_hop, "hop-by-hop fields are counted");
    if (input.ConsumeBool()) head.set_length(input.ConsumeIntegral<std::uint64_t>());
    check_written(head, given, status, input);
  }
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  stint::fuzz::check(input);
  return 0;
}
