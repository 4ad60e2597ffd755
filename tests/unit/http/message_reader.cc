#include "tests/unit/http/message_reader.h"

#include "server/http/body_decoder.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

namespace stint::http {
namespace {

std::string visible(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      text += "\\\\";
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += digits[byte >> 4];
      text += digits[byte & 15];
    }
  }
  return text;
}

Message refused(const Refusal& refusal) {
  return {Message::Verdict::refused, refusal.status, std::string(text_of(refusal.reason)), "", 0};
}

}  // namespace

std::string describe(const RequestHead& head) {
  std::string text;
  const auto line = [&text](std::string_view name, std::string_view value) {
    text.append(name).append(": [").append(visible(value)).append("]\n");
  };
  line("method", head.method);
  line("target", head.target);
  line("path", head.path);
  line("query", head.query);
  line("host", head.host);
  line("version", head.version_minor == 0 ? "1.0" : "1.1");
  line("keep-alive", head.wants_keep_alive ? "yes" : "no");
  line("continue", head.expects_continue ? "yes" : "no");
  line("dropped underscore fields", std::to_string(head.dropped_underscore_fields));
  for (const HeaderField& field : head.fields) line("field " + visible(field.name), field.value);
  line("body", head.body == BodyKind::none      ? "none"
               : head.body == BodyKind::chunked ? "chunked"
                                                : "length " + std::to_string(head.length));
  return text;
}

std::string describe_body(std::string_view body) {
  const std::string shown = body.size() <= 100 ? "[" + visible(body) + "]" : "";
  return "body bytes: " + std::to_string(body.size()) + " " + shown + "\n";
}

Message read_message(const std::vector<std::string_view>& pieces, const HeadLimits& limits) {
  RequestParser parser(limits);
  BodyDecoder decoder;
  bool has_head = false;
  std::string description, body, arrived;
  std::size_t body_at = 0;
  for (const std::string_view piece : pieces) {
    arrived += piece;
    // Exactly the bytes there are, at a new address each time: a sanitizer sees every look beyond or behind.
    const auto memory = std::make_unique<char[]>(arrived.size());
    std::memcpy(memory.get(), arrived.data(), arrived.size());
    const std::string_view unread(memory.get(), arrived.size());
    if (!has_head) {
      const auto verdict = parser.parse(unread);
      if (verdict == RequestParser::Verdict::refused) return refused(parser.refusal());
      if (verdict == RequestParser::Verdict::incomplete) continue;
      has_head = true;
      description = describe(parser.head());
      body_at = parser.head_size();
      decoder = BodyDecoder(parser.head(), limits.max_body);
    }
    for (;;) {
      const BodyDecoder::Step step = decoder.decode(unread.substr(body_at));
      body += step.data;
      body_at += step.consumed;
      if (step.verdict == BodyDecoder::Verdict::refused) return refused(decoder.refusal());
      if (step.verdict == BodyDecoder::Verdict::complete) {
        return {Message::Verdict::complete, 0, "", description + describe_body(body), body_at};
      }
      if (step.consumed == 0) break;
    }
  }
  return {};
}

std::vector<std::string_view> cut_at(std::string_view bytes, std::size_t position) {
  return {bytes.substr(0, position), bytes.substr(position)};
}

std::vector<std::string_view> cut_everywhere(std::string_view bytes) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
  return pieces;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace stint::http
