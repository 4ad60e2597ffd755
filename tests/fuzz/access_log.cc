// A line for each request, whatever the client sent and the operator wrote as a format. Promises:
// - a format compiles or the error says where it is wrong;
// - an entry gives one line: printable ASCII and one "\n" at its end, however odd the client's bytes ("\n" in the
//   format itself and strftime's are the operator's own);
// - with "json" it is a JSON object with all its keys, and strings that say the client's bytes as latin-1.
#include "server/http/access_log.h"

#include "tests/fuzz/promise.h"

#include <fuzzer/FuzzedDataProvider.h>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace stint::fuzz {
namespace {

namespace json = boost::json;

std::string as_utf8(std::string_view latin1) {
  std::string text;
  for (const char c : latin1) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xc0 | (byte >> 6));
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return text;
}

// All that an entry's views point to.
struct Sent {
  std::string address, peer, user, method, target, id, response_lines;
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<HeaderField> fields;

  http::AccessEntry entry;

  explicit Sent(FuzzedDataProvider& input)
      : address(input.ConsumeRandomLengthString(20)),
        peer(input.ConsumeRandomLengthString(20)),
        user(input.ConsumeRandomLengthString(12)),
        method(input.ConsumeRandomLengthString(12)),
        target(input.ConsumeRandomLengthString(60)),
        id(input.ConsumeRandomLengthString(16)),
        response_lines(input.ConsumeRandomLengthString(60)),
        texts(input.ConsumeIntegralInRange<std::size_t>(0, 4)) {
    for (auto& [name, value] : texts) {
      name = input.ConsumeBool() ? input.PickValueInArray({"Referer", "User-Agent", "Host", "Cookie", "X-A"})
                                 : input.ConsumeRandomLengthString(12);
      value = input.ConsumeRandomLengthString(40);
      fields.push_back({name, value});
    }
    entry.endpoints = {address, "1234", "192.0.2.1", "80"};
    entry.peer_address = peer;
    entry.user = user;
    entry.method = method;
    entry.target = target;
    entry.version_minor = input.ConsumeIntegralInRange(0, 1);
    entry.fields = fields;
    entry.response_lines = response_lines;
    entry.status = input.ConsumeIntegralInRange(100, 999);
    entry.body_bytes = input.ConsumeIntegral<std::uint64_t>();
    // A clock may be wrong, by centuries; that it is set beyond the year 9999 is nobody's case.
    entry.began = input.ConsumeIntegralInRange<std::time_t>(0, 253'402'300'799);
    entry.took = std::chrono::microseconds(input.ConsumeIntegralInRange<std::int64_t>(0, 1'000'000'000));
    entry.id = id;
    entry.worker = input.ConsumeIntegral<unsigned>();
    entry.was_complete = input.ConsumeBool();
  }
};

void check_line(const std::string& line) {
  promise(line.ends_with("\n"), "a line has its end", line);
  for (const char c : std::string_view(line).substr(0, line.size() - 1))
    promise(c >= 0x20 && c < 0x7f, "a line is printable ASCII", line);
}

void check_json(const std::string& line, const Sent& sent) {
  boost::system::error_code code;
  const json::value value = json::parse(line, code);
  promise(!code.failed() && value.is_object(), "a JSON line is JSON", line);
  const json::object& object = value.get_object();
  const auto is_text = [&object](std::string_view name, std::string_view latin1) {
    const json::value* const member = object.if_contains(name);
    return member != nullptr && member->is_string() && std::string_view(member->get_string()) == as_utf8(latin1);
  };
  promise(is_text("remote", sent.address) && is_text("user", sent.user) && is_text("method", sent.method) &&
              is_text("target", sent.target) && is_text("id", sent.id),
          "a JSON line says what was sent", line);
  promise(object.at("status").to_number<int>() == sent.entry.status, "a JSON line says the status", line);
  promise(object.at("bytes").to_number<std::uint64_t>() == sent.entry.body_bytes, "a JSON line says the size", line);
}

void check(FuzzedDataProvider& input) {
  const bool is_known = input.ConsumeBool();
  const std::string format =
      is_known ? input.PickValueInArray({"json", "combined", "common"}) : input.ConsumeRandomLengthString(80);
  const auto compiled = http::AccessLogFormat::compile(format);
  if (!compiled) {
    promise(!is_known, "the formats with a name compile");
    promise(!compiled.error().text().empty(), "an error says what is wrong");
    return;
  }
  const Sent sent(input);
  std::string line = "before";
  compiled->append_line(line, sent.entry);
  promise(line.starts_with("before"), "what was written before stays");
  line.erase(0, 6);
  // What the operator wrote into the format stands in the line as it is.
  const bool is_plain = std::all_of(format.begin(), format.end(), [](char c) { return c >= 0x20 && c < 0x7f; }) &&
                        format.find("\\") == format.npos && format.find("}t") == format.npos;
  if (is_plain) check_line(line);
  promise(line.ends_with("\n"), "a line has its end", line);
  if (format == "json") check_json(line, sent);
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  stint::fuzz::check(input);
  return 0;
}
