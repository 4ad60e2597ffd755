#include "server/http/body_decoder.h"

#include "tests/support/catch.h"

#include <string>

namespace stint::http {
namespace {

using Verdict = BodyDecoder::Verdict;

RequestHead head_with(BodyKind kind, std::uint64_t length = 0) {
  RequestHead head;
  head.body = kind;
  head.length = length;
  return head;
}

struct Decoded {
  std::string data;
  std::size_t consumed = 0;
  Verdict verdict = Verdict::incomplete;
};

Decoded decode_all(BodyDecoder& decoder, std::string_view input) {
  Decoded all;
  for (;;) {
    const BodyDecoder::Step step = decoder.decode(input.substr(all.consumed));
    all.data += step.data;
    all.consumed += step.consumed;
    all.verdict = step.verdict;
    if (step.consumed == 0 || step.verdict != Verdict::incomplete) return all;
  }
}

TEST_CASE("a request without a body is complete without a byte", "[http]") {
  BodyDecoder decoder;
  CHECK(decoder.decode("GET").verdict == Verdict::complete);
  CHECK(decoder.decode("GET").consumed == 0);
  BodyDecoder empty(head_with(BodyKind::length, 0), Bytes{10});
  CHECK(empty.decode("").verdict == Verdict::complete);
}

TEST_CASE("a body of declared length ends at that length", "[http]") {
  BodyDecoder decoder(head_with(BodyKind::length, 5), Bytes{10});
  auto step = decoder.decode("");
  CHECK(step.verdict == Verdict::incomplete);
  step = decoder.decode("he");
  CHECK((step.data == "he" && step.consumed == 2 && step.verdict == Verdict::incomplete));
  step = decoder.decode("lloGET");
  CHECK((step.data == "llo" && step.consumed == 3 && step.verdict == Verdict::complete));
  step = decoder.decode("GET");
  CHECK((step.data.empty() && step.consumed == 0 && step.verdict == Verdict::complete));
}

TEST_CASE("a declared length beyond the limit is refused before a byte is read", "[http]") {
  BodyDecoder decoder(head_with(BodyKind::length, 11), Bytes{10});
  const auto step = decoder.decode("hello world");
  CHECK((step.data.empty() && step.consumed == 0 && step.verdict == Verdict::refused));
  CHECK(decoder.refusal().status == 413);
}

TEST_CASE("chunks decode to the same data however they are cut in three", "[http]") {
  const std::string body = "5;x=\"y\"\r\nhello\r\n00B\r\n, new world\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n";
  const std::string input = body + "GET / HTTP/1.1";
  for (std::size_t first = 0; first <= input.size(); ++first) {
    for (std::size_t second = first; second <= input.size(); ++second) {
      BodyDecoder decoder(head_with(BodyKind::chunked), Bytes{100});
      std::string data;
      std::size_t at = 0;
      Verdict verdict = Verdict::incomplete;
      for (const std::size_t end : {first, second, input.size()}) {
        const Decoded part = decode_all(decoder, std::string_view(input).substr(at, end - at));
        data += part.data;
        at += part.consumed;
        verdict = part.verdict;
      }
      if (data != "hello, new world" || at != body.size() || verdict != Verdict::complete) {
        FAIL_CHECK("cut at " << first << " and " << second);
      }
    }
  }
}

TEST_CASE("a chunked body that stops anywhere is never complete", "[http]") {
  const std::string body = "5\r\nhello\r\n0\r\nX: y\r\n\r\n";
  for (std::size_t size = 0; size < body.size(); ++size) {
    BodyDecoder decoder(head_with(BodyKind::chunked), Bytes{100});
    INFO(size);
    CHECK(decode_all(decoder, std::string_view(body).substr(0, size)).verdict == Verdict::incomplete);
  }
}

TEST_CASE("decoded bytes beyond the limit are refused before they are delivered", "[http]") {
  BodyDecoder decoder(head_with(BodyKind::chunked), Bytes{7});
  const Decoded all = decode_all(decoder, "5\r\nhello\r\n2\r\n, \r\n1\r\nx\r\n0\r\n\r\n");
  CHECK(all.data == "hello, ");
  CHECK(all.verdict == Verdict::refused);
  CHECK(decoder.refusal().status == 413);
  CHECK(decoder.decode("x").verdict == Verdict::refused);
}

TEST_CASE("chunk extensions are bounded one by one and together", "[http]") {
  const auto chunk = [](std::size_t extension) { return "1;" + std::string(extension, 'x') + "\r\na\r\n"; };
  std::string most;
  for (int i = 0; i < 64; ++i) most += chunk(256);  // 16 KiB
  BodyDecoder good(head_with(BodyKind::chunked), Bytes{1000});
  CHECK(decode_all(good, most + "0\r\n\r\n").verdict == Verdict::complete);
  BodyDecoder one_more(head_with(BodyKind::chunked), Bytes{1000});
  CHECK(decode_all(one_more, most + chunk(1)).verdict == Verdict::refused);
  CHECK(text_of(one_more.refusal().reason) == "chunk_extension_too_long");
}

}  // namespace
}  // namespace stint::http
