// A body behind a head that was accepted. The input: one byte that says which framing and limit, then the body's bytes.
// Promises:
// - verdict, refusal, data and end are the same however the bytes were cut;
// - data is a part of the input, at most what the limit allows, and no more bytes are used than there are;
// - a decoder that another process resumes in the middle (progress(), resume()) goes on as if nothing had happened;
// - chunks are read as a second reader finds them who looks at the whole text (read_chunked below);
// - any bytes at all as progress of another process do no harm.
#include "server/http/body_decoder.h"

#include "tests/fuzz/cuts.h"
#include "tests/fuzz/promise.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace stint::fuzz {
namespace {

using http::BodyDecoder;
using Verdict = http::BodyDecoder::Verdict;

struct Reading {
  Verdict verdict = Verdict::incomplete;
  std::string refusal;
  std::string data;
  std::size_t used = 0;
  bool operator==(const Reading&) const = default;
};

// Gives the decoder the unread bytes again and again, as a connection does. With `is_handed_over`, another decoder goes
// on after each piece.
Reading read(BodyDecoder decoder, const std::vector<std::string_view>& pieces, bool is_handed_over) {
  Reading reading;
  std::string unread;
  for (const std::string_view piece : pieces) {
    unread += piece;
    while (true) {
      const auto memory = std::make_unique<char[]>(unread.size());
      std::memcpy(memory.get(), unread.data(), unread.size());
      const BodyDecoder::Step step = decoder.decode({memory.get(), unread.size()});
      promise(step.consumed <= unread.size(), "no more is used than there is");
      promise(step.data.empty() || (step.data.data() >= memory.get() &&
                                    step.data.data() + step.data.size() <= memory.get() + step.consumed),
              "data is a part of what was used");
      reading.data += step.data;
      reading.used += step.consumed;
      reading.verdict = step.verdict;
      unread.erase(0, step.consumed);
      if (step.verdict == Verdict::refused) {
        reading.refusal =
            std::to_string(decoder.refusal().status) + " " + std::string(stint::text_of(decoder.refusal().reason));
        promise(!decoder.progress(), "a refused body is not handed over");
        return reading;
      }
      if (step.verdict == Verdict::complete) {
        promise(decoder.decode(unread).consumed == 0, "what stands behind a body is left alone");
        return reading;
      }
      if (step.consumed == 0) break;
    }
    if (!is_handed_over) continue;
    if (const auto progress = decoder.progress()) {
      auto resumed = BodyDecoder::resume(*progress);
      promise(resumed.has_value(), "what a decoder says of itself can be resumed");
      decoder = *std::move(resumed);
    }
  }
  return reading;
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != '\x7f'); }

// What RFC 9112 §7.1 and our limits make of the text, read by another hand; knows nothing of reasons and of which
// trailers are forbidden.
Reading read_chunked(std::string_view text, std::uint64_t max_body) {
  constexpr Verdict incomplete = Verdict::incomplete, refused = Verdict::refused;
  Reading reading;
  std::size_t at = 0, extensions = 0;
  const auto stop = [&reading](Verdict verdict) {
    reading.verdict = verdict;
    return reading;
  };
  // Whether `wanted` stands here: yes, not yet, no.
  const auto expect = [&](std::string_view wanted) {
    for (const char c : wanted) {
      if (at == text.size()) return incomplete;
      if (text[at++] != c) return refused;
    }
    return Verdict::complete;
  };
  while (true) {
    const std::size_t begin = at;
    while (at < text.size() && is_hex(text[at])) ++at;
    if (at - begin > 15) return stop(refused);
    if (at == text.size()) return stop(incomplete);
    if (at == begin) return stop(refused);
    const std::uint64_t size = std::stoull(std::string(text.substr(begin, at - begin)), nullptr, 16);
    if (text[at] == ';') {
      const std::size_t extension = ++at;
      while (at < text.size() && is_text(text[at])) ++at;
      extensions += at - extension;
      if (at - extension > 256 || extensions > 16 * 1024) return stop(refused);
    }
    if (const Verdict line = expect("\r\n"); line != Verdict::complete) return stop(line);
    if (size == 0) break;
    if (reading.data.size() + size > max_body) return stop(refused);
    const std::string_view data = text.substr(at, size);
    reading.data += data;
    at += data.size();
    if (data.size() < size) return stop(incomplete);
    if (const Verdict line = expect("\r\n"); line != Verdict::complete) return stop(line);
  }
  // Trailers are the business of the decoder alone; here only the body without them is known.
  const Verdict end = expect("\r\n");
  reading.used = at;
  return stop(end);
}

void check(const http::RequestHead& head, Bytes max_body, std::string_view bytes) {
  const BodyDecoder decoder(head, max_body);
  const Reading whole = read(decoder, {bytes}, false);
  Cuts cuts(bytes);
  promise(read(decoder, cuts.pieces(bytes, 8), false) == whole, "a body in pieces is the same");
  promise(read(decoder, cuts.pieces(bytes, 8), true) == whole, "a body handed over in between is the same");
  if (bytes.size() <= 200) {
    std::vector<std::string_view> each;
    for (std::size_t i = 0; i < bytes.size(); ++i) each.push_back(bytes.substr(i, 1));
    if (each.empty()) each.push_back(bytes);
    promise(read(decoder, each, false) == whole, "a body byte by byte is the same");
    promise(read(decoder, each, true) == whole, "a body handed over after each byte is the same");
  }
  promise(whole.data.size() <= max_body.count, "a body has a largest size");

  if (head.body == http::BodyKind::length && head.length <= max_body.count) {
    promise(whole.data == bytes.substr(0, head.length), "a body of a length is that many bytes");
    promise((whole.verdict == Verdict::complete) == (bytes.size() >= head.length), "a body ends with its length");
  }
  if (head.body != http::BodyKind::chunked) return;
  const Reading second = read_chunked(bytes, max_body.count);
  if (second.verdict == Verdict::complete) {
    promise(whole.verdict == Verdict::complete && whole.data == second.data && whole.used == second.used,
            "chunks without trailers are read as another reader does");
  } else {
    promise(second.data == whole.data, "two readers find the same data");
    if (second.verdict == Verdict::incomplete)
      promise(whole.verdict == Verdict::incomplete, "what only lacks its end is incomplete");
  }
}

void check_any_progress(std::string_view bytes) {
  http::BodyProgress progress;
  if (bytes.size() < sizeof progress) return;
  std::memcpy(&progress, bytes.data(), sizeof progress);
  bytes.remove_prefix(sizeof progress);
  progress.state %= 16;
  if (auto decoder = BodyDecoder::resume(progress)) read(*std::move(decoder), {bytes}, true);
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stint;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  http::RequestHead head;
  const Bytes limits[] = {Bytes{0}, Bytes{16}, Bytes{1000}, Bytes{1u << 30}};
  const Bytes max_body = limits[data[0] / 4 % 4];
  switch (data[0] % 4) {
    case 0:
    case 1:
      head.body = http::BodyKind::chunked;
      break;
    case 2:
      head.body = http::BodyKind::length;
      head.length = data[0] / 16;
      break;
    case 3:
      fuzz::check_any_progress(bytes);
      return 0;
  }
  fuzz::check(head, max_body, bytes);
  return 0;
}
