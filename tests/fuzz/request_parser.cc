// One request, head and body, as its bytes come in. Promises:
// - verdict, refusal, head, body and end are the same however the bytes were cut and wherever they lay in memory;
// - nothing is read before or behind the bytes (AddressSanitizer: message_reader.cc gives exactly those there are);
// - an accepted head keeps every rule when they are checked the slow way (head_rules.h), and its views are of its
// bytes;
// - what stands behind a head changes nothing in it, and no part of it is a head or a refusal;
// - a verdict stays: whatever else arrives, the parser says the same until it is reset, and the same after it.
#include "tests/fuzz/cuts.h"
#include "tests/fuzz/head_rules.h"
#include "tests/fuzz/promise.h"
#include "tests/unit/http/message_reader.h"

#include <cstdint>
#include <string>

namespace stint::fuzz {
namespace {

using http::Message;
using http::read_message;
using http::RequestParser;
using http::small_limits;

void check_cuts(std::string_view bytes) {
  Cuts cuts(bytes);
  const Message whole = read_message({bytes});
  promise(whole == read_message(cuts.pieces(bytes, 6)), "a message in pieces is the same");
  // Each piece is copied with all before it: quadratic, so byte by byte is for the short ones.
  if (bytes.size() <= 200)
    promise(whole == read_message(http::cut_everywhere(bytes)), "a message byte by byte is the same");
  if (whole.verdict == Message::Verdict::incomplete) return;
  const std::string more = std::string(bytes) + "\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: next\r\n\r\n";
  promise(whole == read_message({more}), "what comes behind a message changes nothing in it");
}

std::string text_of(const RequestParser& parser, RequestParser::Verdict verdict) {
  if (verdict == RequestParser::Verdict::incomplete) return "incomplete";
  if (verdict == RequestParser::Verdict::complete) return http::describe(parser.head());
  return std::to_string(parser.refusal().status) + " " + std::string(stint::text_of(parser.refusal().reason));
}

void check_head(std::string_view bytes) {
  RequestParser parser(small_limits);
  const auto verdict = parser.parse(bytes);
  const std::string text = text_of(parser, verdict);
  if (verdict == RequestParser::Verdict::complete) {
    const std::string_view head = bytes.substr(0, parser.head_size());
    const std::string broken = broken_rule(head, parser.head(), small_limits);
    promise(broken.empty(), "an accepted head keeps the rules", broken);
    promise(text_of(parser, parser.parse(bytes)) == text, "a head stays complete");
    for (std::size_t size : {head.size() - 1, Cuts(bytes).up_to(head.size() - 1)}) {
      RequestParser second(small_limits);
      promise(second.parse(head.substr(0, size)) == RequestParser::Verdict::incomplete, "a part of a head is no head");
    }
  } else if (verdict == RequestParser::Verdict::refused) {
    promise(parser.refusal().status >= 400 && parser.refusal().status < 600, "a refusal has an error's status");
    promise(parser.refusal().reason != RefusalReason::second_reading, "llhttp has nothing to add to our rules");
    promise(text_of(parser, parser.parse(std::string(bytes) + "\r\n\r\n")) == text, "a refusal stays");
  }
  parser.reset();
  promise(text_of(parser, parser.parse(bytes)) == text, "a parser that was reset is as good as new");
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  stint::fuzz::check_cuts(bytes);
  stint::fuzz::check_head(bytes);
  return 0;
}
