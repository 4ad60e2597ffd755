// What stands before the first byte of a client behind a load balancer. Promises:
// - the verdict is the same however the bytes were cut: as long as bytes are missing it is "incomplete", and from the
// one
//   on that decides it stays, whatever follows;
// - at most max_proxy_header bytes are looked at, and never one that is not there;
// - a second reader, who knows the whole header and takes it apart with other means, finds the same ends;
// - what was understood, written as a header of either version, is understood again;
// - a checksum is believed when it is right, and only then.
#include "server/http/proxy_header.h"

#include "tests/fuzz/cuts.h"
#include "tests/fuzz/promise.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace stint::fuzz {
namespace {

using http::ProxyHeader;
using http::read_proxy_header;
using Verdict = http::ProxyHeader::Verdict;

constexpr std::string_view v2_begin("\r\n\r\n\0\r\nQUIT\n", 12);

std::string text_of(const ProxyHeader& header) {
  std::ostringstream text;
  if (header.verdict == Verdict::incomplete) return "incomplete";
  if (header.verdict == Verdict::refused) return "refused: " + std::string(stint::text_of(header.reason));
  const ProxiedEnds& ends = header.ends;
  text << header.size << " bytes";
  if (ends.has_addresses) {
    text << " client " << ends.client.text().view() << " " << ends.client_port << " server "
         << ends.server.text().view() << " " << ends.server_port;
  }
  if (ends.is_tls) text << " tls";
  return text.str();
}

// Exactly these bytes, at an address of their own.
ProxyHeader read(std::string_view bytes) {
  const auto memory = std::make_unique<char[]>(bytes.size());
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  return read_proxy_header({memory.get(), bytes.size()});
}

std::string_view strip(std::string_view& bytes, std::size_t size) {
  const std::string_view front = bytes.substr(0, size);
  bytes.remove_prefix(front.size());
  return front;
}

unsigned number(std::string_view bytes) {
  unsigned value = 0;
  for (const char c : bytes) value = value * 256 + static_cast<unsigned char>(c);
  return value;
}

std::optional<unsigned> decimal_port(const std::string& word) {
  if (word.empty() || word.size() > 5 || word.find_first_not_of("0123456789") != word.npos) return std::nullopt;
  const unsigned value = static_cast<unsigned>(std::stoul(word));
  if (value > 65535 || std::to_string(value) != word) return std::nullopt;
  return value;
}

// A line of version 1 without its CR LF, word by word. Nothing: no such line.
std::optional<ProxiedEnds> read_line(const std::string& line) {
  std::string_view rest = line;
  if (strip(rest, 6) != "PROXY ") return std::nullopt;
  for (const char c : rest)
    if (c < ' ' || c > '~') return std::nullopt;
  if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return ProxiedEnds{};
  std::vector<std::string> words(1);
  for (const char c : rest) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.size() != 5 || (words[0] != "TCP4" && words[0] != "TCP6")) return std::nullopt;
  for (const std::string& address : {words[1], words[2]})
    if ((address.find(':') != address.npos) != (words[0] == "TCP6")) return std::nullopt;
  const auto client = IpAddress::parse(words[1]), server = IpAddress::parse(words[2]);
  const auto client_port = decimal_port(words[3]), server_port = decimal_port(words[4]);
  if (!client || !server || !client_port || !server_port) return std::nullopt;
  return ProxiedEnds{
      *client, *server, static_cast<std::uint16_t>(*client_port), static_cast<std::uint16_t>(*server_port),
      true,    false};
}

// CRC-32C bit by bit.
std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t state = ~0u;
  for (const char c : bytes) {
    state ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~state;
}

std::string big_endian(std::uint32_t value, int size) {
  std::string bytes;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// A whole header of version 2 with command PROXY, by copies. Nothing: it is refused. `checksum_at`: where its checksum
// stands, if it has one.
std::optional<ProxiedEnds> read_binary(const std::string& header, std::optional<std::size_t>& checksum_at) {
  const unsigned family = static_cast<unsigned char>(header[13]) >> 4, transport = header[13] & 15;
  if (family == 0 || transport == 0) return ProxiedEnds{};
  std::string_view rest = std::string_view(header).substr(16);
  ProxiedEnds ends;
  const std::size_t size = family == 1 ? 4 : family == 2 ? 16 : 108;
  if (rest.size() < 2 * size + (family == 3 ? 0 : 4)) return std::nullopt;
  const std::string client(strip(rest, size)), server(strip(rest, size));
  if (family != 3) {
    const auto address = [family](const std::string& bytes) {
      std::uint8_t raw[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
      std::memcpy(family == 1 ? raw + 12 : raw, bytes.data(), bytes.size());
      return IpAddress::from_ipv6(raw);
    };
    ends.client = address(client), ends.server = address(server);
    ends.client_port = static_cast<std::uint16_t>(number(strip(rest, 2)));
    ends.server_port = static_cast<std::uint16_t>(number(strip(rest, 2)));
    ends.has_addresses = true;
  }
  bool has_tls = false;
  while (!rest.empty()) {
    if (rest.size() < 3) return std::nullopt;
    const unsigned type = number(strip(rest, 1)), length = number(strip(rest, 2));
    if (rest.size() < length) return std::nullopt;
    std::string_view value = strip(rest, length);
    if (type == 0x03) {
      if (length != 4 || checksum_at) return std::nullopt;
      checksum_at = static_cast<std::size_t>(value.data() - header.data());
    }
    if (type == 0x20) {
      if (length < 5 || has_tls) return std::nullopt;
      has_tls = true;
      ends.is_tls = (value[0] & 1) != 0;
      for (value.remove_prefix(5); !value.empty();) {
        if (value.size() < 3) return std::nullopt;
        strip(value, 1);
        const unsigned inner = number(strip(value, 2));
        if (value.size() < inner) return std::nullopt;
        strip(value, inner);
      }
    }
  }
  return ends;
}

std::string with_sum(std::string header, std::size_t at) {
  header.replace(at, 4, std::string(4, '\0'));
  return header.replace(at, 4, big_endian(slow_crc32c(header), 4));
}

// A checksum is beyond what mutations find: each header that has one is tried with the right one, and with a wrong one.
void check_checksum(const std::string& header, std::size_t at, const ProxiedEnds& ends) {
  std::string right = with_sum(header, at);
  promise(read(right).verdict == Verdict::complete && read(right).ends == ends, "a right checksum is believed");
  promise((header == right) == (read(header).verdict == Verdict::complete), "only a right checksum is believed");
  Cuts cuts(header);
  const std::size_t byte = 16 + cuts.up_to(11);  // of an address: any other might be what says that there is a sum
  right[byte] = static_cast<char>(right[byte] ^ (1 << cuts.up_to(7)));
  promise(read(right).verdict == Verdict::refused, "a changed byte makes a checksum wrong");
}

void check_second_reading(std::string_view bytes, const ProxyHeader& found) {
  if (bytes.starts_with(v2_begin)) {
    if (bytes.size() < 16) return;
    const unsigned size = number(bytes.substr(14, 2));
    const unsigned kind = static_cast<unsigned char>(bytes[12]);
    if (bytes.size() < 16 + size || 16 + size > http::max_proxy_header_v2 || (kind != 0x20 && kind != 0x21)) return;
    const std::string header(bytes.substr(0, 16 + size));
    const unsigned family = static_cast<unsigned char>(header[13]) >> 4, transport = header[13] & 15;
    if (kind == 0x20) {
      promise(found.verdict == Verdict::complete && found.size == header.size() && found.ends == ProxiedEnds{},
              "LOCAL says nothing of a client", text_of(found));
      return;
    }
    if (family > 3 || transport > 2) {
      promise(found.verdict == Verdict::refused, "an unknown family is refused", text_of(found));
      return;
    }
    std::optional<std::size_t> checksum_at;
    const auto ends = read_binary(header, checksum_at);
    if (ends && checksum_at) return check_checksum(header, *checksum_at, *ends);
    promise(ends.has_value() == (found.verdict == Verdict::complete), "two readers take the same headers",
            text_of(found));
    if (ends) promise(found.ends == *ends && found.size == header.size(), "two readers find the same", text_of(found));
    return;
  }
  const std::size_t end = bytes.substr(0, http::max_proxy_header_v1).find("\r\n");
  if (end == bytes.npos || bytes.substr(0, end).find('\n') != bytes.npos) {
    promise(found.verdict != Verdict::complete, "a header has an end", text_of(found));
    return;
  }
  const auto ends = read_line(std::string(bytes.substr(0, end)));
  promise(ends.has_value() == (found.verdict == Verdict::complete), "two readers take the same lines", text_of(found));
  if (ends) promise(found.ends == *ends && found.size == end + 2, "two readers find the same", text_of(found));
}

void check_written_again(const ProxiedEnds& ends) {
  if (!ends.has_addresses) return;
  const bool is_ipv4 = ends.client.is_ipv4() && ends.server.is_ipv4();
  if (is_ipv4 || (!ends.client.is_ipv4() && !ends.server.is_ipv4())) {
    std::ostringstream line;
    line << "PROXY " << (is_ipv4 ? "TCP4 " : "TCP6 ") << ends.client.text().view() << " " << ends.server.text().view()
         << " " << ends.client_port << " " << ends.server_port << "\r\n";
    ProxiedEnds expected = ends;
    expected.is_tls = false;  // version 1 cannot tell
    promise(read(line.str()).verdict == Verdict::complete && read(line.str()).ends == expected,
            "what was understood can be written as a line", line.str());
  }
  std::string rest;
  for (const IpAddress& address : {ends.client, ends.server})
    rest.append(reinterpret_cast<const char*>(address.bytes().data()), 16);
  rest += big_endian(ends.client_port, 2) + big_endian(ends.server_port, 2);
  if (ends.is_tls) rest += std::string("\x20\x00\x05\x01\x00\x00\x00\x00", 8);
  const std::string header =
      std::string(v2_begin) + "\x21\x21" + big_endian(static_cast<std::uint32_t>(rest.size()), 2) + rest;
  promise(read(header).verdict == Verdict::complete && read(header).ends == ends,
          "what was understood can be written in binary", text_of(read(header)));
}

void check(std::string_view bytes) {
  const ProxyHeader found = read(bytes);
  const std::string text = text_of(found);
  Cuts cuts(bytes);
  for (int i = 0; i < 4; ++i) {
    const ProxyHeader sooner = read(bytes.substr(0, cuts.up_to(bytes.size())));
    promise(sooner.verdict == Verdict::incomplete || text_of(sooner) == text, "a verdict stays",
            text_of(sooner) + "\n" + text);
  }
  if (found.verdict == Verdict::incomplete) {
    promise(bytes.size() < http::max_proxy_header, "a header has a largest size");
    return;
  }
  promise(text_of(read(std::string(bytes) + "GET / HTTP/1.1\r\n")) == text, "what follows a header changes nothing");
  check_second_reading(bytes, found);
  if (found.verdict == Verdict::refused) return;
  promise(found.size <= bytes.size() && found.size <= http::max_proxy_header, "a header is a part of the bytes");
  promise(text_of(read(bytes.substr(0, found.size))) == text, "a header needs no byte behind it");
  promise(read(bytes.substr(0, found.size - 1)).verdict == Verdict::incomplete, "a header needs its last byte");
  check_written_again(found.ends);
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stint::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
