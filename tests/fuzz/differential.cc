// Requests in a row, read by Stint and by h11. Smuggling needs two readers that disagree, and Stint is often the
// second. Promises:
// - what Stint accepts h11 accepts, and finds the same method, target, version, fields, framing, body and end in it;
// - what Stint wants more of, h11 has not finished or refused either;
// - what Stint refuses and h11 accepts is refused for a reason on the list below: stricter on purpose.
#include "server/http/body_decoder.h"

#include "tests/fuzz/h11_reader.h"
#include "tests/fuzz/promise.h"
#include "tests/unit/http/message_reader.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace stint::fuzz {
namespace {

using http::BodyDecoder;
using http::RequestParser;
using http::small_limits;

// Reasons for which Stint refuses what h11 lets pass.
struct StricterRule {
  RefusalReason reason;
  std::string_view why;
};
constexpr StricterRule stricter[] = {
    {RefusalReason::bare_lf,
     "h11 takes LF alone as a line end, as RFC 9112 §2.2 allows; proxies that do not see another message"},
    {RefusalReason::body_too_large, "a limit of ours"},
    {RefusalReason::chunk_extension, "h11 lets control bytes stand in an extension"},
    {RefusalReason::chunk_extension_too_long, "a limit of ours"},
    {RefusalReason::chunk_size, "h11 takes 20 digits and blanks behind them, for the sake of old servers"},
    {RefusalReason::chunk_size_line, "h11 lets CR stand in an extension"},
    {RefusalReason::chunked_in_1_0, "RFC 9112 §6.1: such framing is to be taken as faulty"},
    {RefusalReason::connect, "Stint is no proxy"},
    {RefusalReason::expectation, "h11 leaves expectations to its user"},
    {RefusalReason::fields_too_large, "a limit of ours"},
    {RefusalReason::folded_line, "h11 unfolds; RFC 9112 §5.2 lets a server refuse"},
    {RefusalReason::fragment, "h11 does not look into a target"},
    {RefusalReason::host, "h11 counts Host, and does not look into it"},
    {RefusalReason::host_and_target, "h11 does not look into a target"},
    {RefusalReason::length, "h11 takes equal lengths in one field, which RFC 9112 §6.3 allows to repair or to refuse"},
    {RefusalReason::length_and_chunked, "h11 takes the chunks; RFC 9112 §6.1 lets a server refuse"},
    {RefusalReason::method_too_long, "a limit of ours"},
    {RefusalReason::percent, "h11 does not look into a target"},
    {RefusalReason::request_line_too_long, "a limit of ours"},
    {RefusalReason::target_form, "h11 does not look into a target"},
    {RefusalReason::too_many_fields, "a limit of ours"},
    {RefusalReason::trailer, "h11 unfolds, takes LF alone as a line end, and lets control bytes stand in values"},
    {RefusalReason::trailer_forbidden, "h11 hands trailers to its user"},
    {RefusalReason::trailers_too_large, "a limit of ours"},
    {RefusalReason::transfer_coding, "h11 unfolds: the coding may stand in the line below, where Stint does not look"},
    {RefusalReason::two_authorizations, "h11 leaves the meaning of fields to its user"},
    {RefusalReason::two_content_types, "h11 leaves the meaning of fields to its user"},
    {RefusalReason::two_lengths, "h11 takes equal lengths, which RFC 9112 §6.3 allows to repair or to refuse"},
    {RefusalReason::value_byte,
     "h11 lets control bytes but NUL and white space stand in values; RFC 9110 §5.5 does not"},
    {RefusalReason::version_unsupported, "h11 takes any digits"},
};

bool is_stricter_on_purpose(RefusalReason reason) {
  return std::any_of(std::begin(stricter), std::end(stricter),
                     [reason](const StricterRule& rule) { return rule.reason == reason; });
}

struct Reading {
  std::string text;  // of the form of h11_reading()
  std::optional<RefusalReason> refusal;
  std::size_t used = 0;
  std::size_t length_digits = 0;
};

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return made;
}

// In the words of h11_reading.py; `says_keep_alive`: h11 has an opinion.
std::string text_of(const http::RequestHead& head, std::string_view body, std::size_t used, bool says_keep_alive) {
  std::string text = "method " + std::string(head.method) + "\ntarget " + std::string(head.target) + "\nversion 1." +
                     std::to_string(head.version_minor) + "\n";
  if (says_keep_alive) text += std::string("keep-alive ") + (head.wants_keep_alive ? "1" : "0") + "\n";
  for (const HeaderField& field : head.fields) {
    const bool is_coding = lower(field.name) == "transfer-encoding";  // h11 puts it into lower case
    text.append("field ").append(field.name).append(": ");
    text.append(is_coding ? lower(field.value) : std::string(field.value)).append("\n");
  }
  text += "framing ";
  text += head.body == http::BodyKind::chunked  ? "chunked"
          : head.body == http::BodyKind::length ? "length " + std::to_string(head.length)
                                                : "none";
  text += std::string("\ncontinue ") + (head.expects_continue ? "1" : "0");
  return text + "\nused " + std::to_string(used) + "\nbody " + std::string(body);
}

Reading refused(const http::Refusal& refusal) {
  return {"refused: " + std::string(stint::text_of(refusal.reason)), refusal.reason, 0, 0};
}

// `skipped`: bytes in front that h11 does not get.
Reading stint_reading(std::string_view bytes, std::size_t skipped, bool says_keep_alive) {
  RequestParser parser(small_limits);
  const auto verdict = parser.parse(bytes);
  if (verdict == RequestParser::Verdict::refused) return refused(parser.refusal());
  if (verdict == RequestParser::Verdict::incomplete) return {"incomplete", std::nullopt, 0, 0};
  BodyDecoder decoder(parser.head(), small_limits.max_body);
  std::string body;
  std::size_t used = parser.head_size();
  std::size_t digits = 0;
  for (const HeaderField& field : parser.head().fields)
    if (lower(field.name) == "content-length") digits = field.value.size();
  while (true) {
    const BodyDecoder::Step step = decoder.decode(bytes.substr(used));
    body += step.data;
    used += step.consumed;
    if (step.verdict == BodyDecoder::Verdict::refused) return refused(decoder.refusal());
    if (step.verdict == BodyDecoder::Verdict::complete)
      return {text_of(parser.head(), body, used - skipped, says_keep_alive), std::nullopt, used, digits};
    if (step.consumed == 0) return {"incomplete", std::nullopt, 0, digits};
  }
}

// Bytes of the request, or 0: the last one.
std::size_t compare(std::string_view bytes) {
  // RFC 9112 §2.2 has a server ignore an empty line or more before a request; h11 leaves it to its user.
  std::size_t skipped = 0;
  while (skipped < 8 && bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
  const std::string_view request = bytes.substr(skipped);
  if (request.empty() || request == "\r") return 0;

  const std::string other = h11_reading(request);
  // In front of the framing: a body may say anything.
  const bool says_keep_alive = other.substr(0, other.find("\nframing ")).find("\nkeep-alive ") != other.npos;
  const Reading ours = stint_reading(bytes, skipped, says_keep_alive);
  const bool other_refuses = other.starts_with("refused: ");
  const std::string both = "Stint: " + ours.text + "\nh11:   " + other;
  if (ours.refusal) {
    const bool is_argued = other == "incomplete" || other_refuses || is_stricter_on_purpose(*ours.refusal);
    promise(is_argued, "what Stint refuses and h11 accepts is on the list of stricter rules", both);
    return 0;
  }
  // A length may be padded with zeros as far as a field goes; h11 takes 20 digits.
  if (ours.length_digits > 20 && other == "refused: bad Content-Length") return ours.used;
  promise(ours.text == other, "Stint and h11 read the same", both);
  return ours.used;
}

void check(std::string_view bytes) {
  for (std::size_t used = 1; used > 0 && !bytes.empty(); bytes.remove_prefix(used)) used = compare(bytes);
}

}  // namespace
}  // namespace stint::fuzz

// CPython leaves memory to the end of the process (embed is tested for leaks elsewhere).
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stint::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
