// A connection: messages one after the other, one parser that is reset between them, bytes that arrive in pieces and
// are taken away in front when they are used. Promises:
// - each message is understood as if it had come alone, with a new parser;
// - the first refused one is the last: nothing behind it is looked at;
// - no byte is used twice or left out between two messages.
#include "server/http/body_decoder.h"
#include "tests/fuzz/cuts.h"
#include "tests/fuzz/promise.h"
#include "tests/unit/http/message_reader.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace stint::fuzz {
namespace {

using http::BodyDecoder;
using http::Message;
using http::RequestParser;
using http::small_limits;

// What was understood of each message; a last one that is incomplete is not in it.
std::vector<std::string> alone(std::string_view bytes) {
  std::vector<std::string> texts;
  while (true) {
    const Message message = http::read_message({bytes});
    if (message.verdict == Message::Verdict::incomplete) return texts;
    if (message.verdict == Message::Verdict::refused) {
      texts.push_back(std::to_string(message.status) + " " + message.reason);
      return texts;
    }
    texts.push_back(message.text);
    bytes.remove_prefix(message.size);
  }
}

class Connection {
 public:
  // False: refused, nothing more is read.
  bool arrive(std::string_view piece) {
    unread_ += piece;
    Turn turn;
    do {
      // Exactly the unread bytes, at a new address each time.
      const auto memory = std::make_unique<char[]>(unread_.size());
      std::memcpy(memory.get(), unread_.data(), unread_.size());
      const std::string_view unread(memory.get(), unread_.size());
      turn = has_head_ ? take_body(unread) : take_head(unread);
    } while (turn == Turn::went_on);
    return turn != Turn::refused;
  }

  const std::vector<std::string>& texts() const { return texts_; }

 private:
  enum class Turn { went_on, needs_more, refused };

  Turn take_head(std::string_view unread) {
    const auto verdict = parser_.parse(unread);
    if (verdict == RequestParser::Verdict::refused) return refuse(parser_.refusal());
    if (verdict == RequestParser::Verdict::incomplete) return Turn::needs_more;
    text_ = http::describe(parser_.head());
    decoder_ = BodyDecoder(parser_.head(), small_limits.max_body);
    body_.clear();
    has_head_ = true;
    unread_.erase(0, parser_.head_size());
    return Turn::went_on;
  }

  Turn take_body(std::string_view unread) {
    const BodyDecoder::Step step = decoder_.decode(unread);
    body_ += step.data;
    unread_.erase(0, step.consumed);
    if (step.verdict == BodyDecoder::Verdict::refused) return refuse(decoder_.refusal());
    if (step.verdict == BodyDecoder::Verdict::incomplete) return step.consumed > 0 ? Turn::went_on : Turn::needs_more;
    texts_.push_back(text_ + http::describe_body(body_));
    parser_.reset();
    has_head_ = false;
    return Turn::went_on;
  }

  Turn refuse(const http::Refusal& refusal) {
    texts_.push_back(std::to_string(refusal.status) + " " + std::string(stint::text_of(refusal.reason)));
    return Turn::refused;
  }

  RequestParser parser_{small_limits};
  BodyDecoder decoder_;
  bool has_head_ = false;
  std::string unread_, text_, body_;
  std::vector<std::string> texts_;
};

std::string joined(const std::vector<std::string>& texts) {
  std::string text;
  for (const std::string& one : texts) text += one + "\n";
  return text;
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stint::fuzz;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string expected = joined(alone(bytes));
  Connection connection;
  for (const std::string_view piece : Cuts(bytes).pieces(bytes, 8)) {
    if (!connection.arrive(piece)) break;
  }
  promise(joined(connection.texts()) == expected, "messages in a row are those that each would be alone",
          "in a row:\n" + joined(connection.texts()) + "alone:\n" + expected);
  return 0;
}
