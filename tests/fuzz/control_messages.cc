// What our own processes and an operator's client send each other. Promises:
// - any packet is a message or an error, never an exception;
// - a message that was understood is sent on and understood again without change, and fits a packet;
// - texts of any origin come through wire_text() as UTF-8 without control bytes, near its limit;
// - a command from the operator's socket likewise.
#include "server/control/command.h"
#include "server/control/connection_table.h"
#include "server/control/message.h"
#include "server/control/wire_text.h"

#include "tests/fuzz/promise.h"

#include <cstdint>
#include <string>

namespace stint::fuzz {
namespace {

constexpr std::size_t packet = 200 * 1024;  // what a channel holds
constexpr std::size_t uncut = 1000;         // texts up to here are sent as they are

// Length of the UTF-8 character that begins here; 0: none does (Unicode, table 3-7).
std::size_t character(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto is_in = [&byte](std::size_t i, unsigned low, unsigned high) { return byte(i) >= low && byte(i) <= high; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return is_in(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
    return is_in(1, low, high) && is_in(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
    return is_in(1, low, high) && is_in(2, 0x80, 0xbf) && is_in(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

void check_wire_text(std::string_view bytes) {
  for (const std::size_t limit : {std::size_t{16}, std::size_t{100}, bytes.size()}) {
    const std::string text = control::wire_text(bytes, limit);
    promise(text.size() <= limit + 64, "a text stays near its limit");
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t size = character(rest);
      promise(size > 0, "a text is UTF-8");
      const auto byte = static_cast<unsigned char>(rest[0]);
      promise((byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\t', "a text has no control bytes");
      rest.remove_prefix(size);
    }
    promise(control::wire_text(text, text.size()) == text, "a text that is fit to send stays as it is");
  }
}

// All texts of a message from the same bytes, and each message.
void check_messages_of(std::string_view bytes) {
  const std::string text(bytes), half(bytes.substr(bytes.size() / 2));
  const auto took = std::chrono::microseconds(bytes.empty() ? 0 : bytes[0] * 1'000'000'000'000);
  for (const control::Message& message :
       {control::Message(control::Ready{{{text, took}, {half, took}}, half}),
        control::Message(control::StartFailed{{half, half, text}}), control::Message(control::RecycleWanted{text}),
        control::Message(control::Retire{text, bytes.size() % 2 == 0})}) {
    const std::string sent = control::encode(message);
    promise(sent.size() <= packet, "a message fits a packet");
    const auto received = control::decode(sent);
    promise(received.has_value(), "a message is understood", sent);
    promise(received->index() == message.index(), "a message stays what it is", sent);
    promise(bytes.size() > uncut || control::encode(*received) == sent, "a message says the same the second time",
            sent);
  }
}

void check_packet(std::string_view bytes) {
  if (const auto message = control::decode(bytes)) {
    const std::string sent = control::encode(*message);
    promise(sent.size() <= packet, "a message that was understood fits a packet");
    const auto again = control::decode(sent);
    promise(again.has_value() && again->index() == message->index(), "a message is understood again", sent);
    promise(bytes.size() > uncut || control::encode(*again) == sent, "a message says the same the second time", sent);
  } else {
    promise(!message.error().text().empty(), "a broken packet is told as such");
  }
  if (const auto command = control::decode_command(bytes)) {
    const auto again = control::decode_command(control::encode_command(*command));
    promise(again.has_value() && again->index() == command->index(), "a command is understood again");
  } else {
    promise(!command.error().text().empty(), "a command that is none is told as such");
  }
}

// What `stint status` shows of the bytes a stuck request began with.
void check_request_line(std::string_view bytes) {
  const control::RequestLine line = control::request_line_of(bytes);
  for (const std::string_view part : {line.method, line.target}) {
    promise(part.empty() || (part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size()),
            "what is shown of a request is a part of it");
  }
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  stint::fuzz::check_packet(bytes);
  stint::fuzz::check_wire_text(bytes);
  stint::fuzz::check_messages_of(bytes);
  stint::fuzz::check_request_line(bytes);
  return 0;
}
