#include "server/http/proxy_header.h"

#include "tests/support/catch.h"

#include <string>
#include <utility>
#include <vector>

namespace stint::http {
namespace {

using Verdict = ProxyHeader::Verdict;

const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string big_endian(std::uint64_t number, unsigned bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(number >> bytes * 8 & 0xff);
  return text;
}

std::string v2(unsigned version_and_command, unsigned family_and_transport, const std::string& rest) {
  return signature + big_endian(version_and_command, 1) + big_endian(family_and_transport, 1) +
         big_endian(rest.size(), 2) + rest;
}

std::string tlv(unsigned type, const std::string& value) {
  return big_endian(type, 1) + big_endian(value.size(), 2) + value;
}

std::string ssl(unsigned client, const std::string& inner = {}) {
  return tlv(0x20, big_endian(client, 1) + big_endian(0, 4) + inner);
}

// 192.0.2.7:56324 to 198.51.100.1:443, and 2001:db8::7 to 2001:db8::1 with the same ports.
const std::string ports = big_endian(56324, 2) + big_endian(443, 2);
const std::string inet = big_endian(0xc0000207, 4) + big_endian(0xc6336401, 4) + ports;
const std::string inet6 =
    big_endian(0x20010db800000000, 8) + big_endian(7, 8) + big_endian(0x20010db800000000, 8) + big_endian(1, 8) + ports;
const std::string unix_paths(216, 'x');

// `rest` with a checksum behind it that is right, but for `spoilt` in it.
std::string with_sum(unsigned family_and_transport, const std::string& rest, std::uint32_t spoilt = 0) {
  const std::string zeroed = v2(0x21, family_and_transport, rest + tlv(0x03, big_endian(0, 4)) + tlv(0x04, "x"));
  const std::string sum = big_endian(crc32c(zeroed) ^ spoilt, 4);
  return v2(0x21, family_and_transport, rest + tlv(0x03, sum) + tlv(0x04, "x"));
}

// "complete 52: 192.0.2.7:56324 > 198.51.100.1:443 tls", "complete 15: own", "refused proxy_line", "incomplete".
std::string text_of(const ProxyHeader& header) {
  if (header.verdict == Verdict::incomplete) return "incomplete";
  if (header.verdict == Verdict::refused) return "refused " + std::string(stint::text_of(header.reason));
  const ProxiedEnds& ends = header.ends;
  std::string text = "complete " + std::to_string(header.size) + ": ";
  if (ends.has_addresses) {
    text += std::string(ends.client.text().view()) + ":" + std::to_string(ends.client_port) + " > " +
            std::string(ends.server.text().view()) + ":" + std::to_string(ends.server_port);
  } else {
    CHECK(ends.client == IpAddress{});
    CHECK(ends.client_port == 0);
    text += "own";
  }
  return text + (ends.is_tls ? " tls" : "");
}

// The verdict on all the bytes; it must be the same for every way to cut them, and stay when more follow.
std::string verdict_on(const std::string& bytes) {
  const std::string whole = text_of(read_proxy_header(bytes));
  bool is_decided = false;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::string so_far = text_of(read_proxy_header(std::string_view(bytes).substr(0, size)));
    if (so_far == "incomplete" && !is_decided) continue;
    is_decided = true;
    if (so_far != whole) return "after " + std::to_string(size) + " bytes " + so_far + ", in the end " + whole;
  }
  for (const std::string_view more : {"x", "GET / HTTP/1.1\r\n\r\n", "\r\n", "\n"}) {
    if (is_decided) CHECK(text_of(read_proxy_header(bytes + std::string(more))) == whole);
  }
  return whole;
}

using Table = std::vector<std::pair<std::string, std::string>>;

void check(const Table& table) {
  for (const auto& [bytes, verdict] : table) {
    CAPTURE(bytes);
    CHECK(verdict_on(bytes) == verdict);
  }
}

}  // namespace

TEST_CASE("a header of version 1 says who the client is", "[http]") {
  check({
      {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "complete 45: 192.0.2.7:56324 > 198.51.100.1:443"},
      {"PROXY TCP6 2001:db8::7 2001:DB8::1 1 65535\r\n", "complete 44: 2001:db8::7:1 > 2001:db8::1:65535"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::1 0 80\r\n", "complete 38: 192.0.2.7:0 > ::1:80"},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       "complete 104: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:65535 > ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:65535"},
      {"PROXY UNKNOWN\r\n", "complete 15: own"},
      {"PROXY UNKNOWN whatever  stands here\r\n", "complete 37: own"},
      {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       "complete 107: own"},
  });
}

TEST_CASE("a line of version 1 that is not strictly formed is refused", "[http]") {
  const auto line = [](const std::string& text) { return "PROXY " + text + "\r\n"; };
  for (const std::string& text : {line(""),
                                  line("TCP4"),
                                  line("tcp4 1.2.3.4 1.2.3.4 1 1"),
                                  line("TCP5 1.2.3.4 1.2.3.4 1 1"),
                                  line("UDP4 1.2.3.4 1.2.3.4 1 1"),
                                  line(" TCP4 1.2.3.4 1.2.3.4 1 1"),
                                  line("TCP4  1.2.3.4 1.2.3.4 1 1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 1 "),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 1 1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1"),
                                  line("TCP4\t1.2.3.4 1.2.3.4 1 1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 01 1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 65536"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 +1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 -1"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 "),
                                  line("TCP4 1.2.3.4 1.2.3.4 00 1"),
                                  line("TCP4 01.2.3.4 1.2.3.4 1 1"),
                                  line("TCP4 1.2.3 1.2.3.4 1 1"),
                                  line("TCP4 ::1 ::1 1 1"),
                                  line("TCP6 1.2.3.4 1.2.3.4 1 1"),
                                  line("TCP6 ::1 1.2.3.4 1 1"),
                                  line("TCP6 [::1] ::1 1 1"),
                                  line("TCP6 ::1%lo ::1 1 1"),
                                  line("UNKNOWNX"),
                                  line("UNKNOWN\t"),
                                  line("UNKNOWN \x7f"),
                                  line("UNKNOWN \xff"),
                                  line(std::string("UNKNOWN \0", 9)),
                                  line("UNKNOWN \r"),
                                  line("TCP4 1.2.3.4 1.2.3.4 1 1\r"),
                                  std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"),
                                  std::string("PROXY UNKNOWN\n"),
                                  std::string("PROXY UNKNOWN x\n"),
                                  std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 443\n"),
                                  std::string("PROXY \n")}) {
    CAPTURE(text);
    CHECK(verdict_on(text) == "refused proxy_line");
  }
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'a') + "\r\n";
  const std::string too_long = "PROXY UNKNOWN " + std::string(92, 'a') + "\r\n";
  CHECK(verdict_on(longest) == "complete 107: own");
  CHECK(verdict_on(too_long) == "refused proxy_line_too_long");
  CHECK(verdict_on("PROXY UNKNOWN " + std::string(5000, 'a')) == "refused proxy_line_too_long");
}

TEST_CASE("what is no PROXY header is refused at the byte that shows it", "[http]") {
  check({
      {"GET / HTTP/1.1\r\n", "refused no_proxy_header"},
      {"PRI * HTTP/2.0\r\n", "refused no_proxy_header"},
      {"PROXY\tTCP4", "refused no_proxy_header"},
      {"proxy ", "refused no_proxy_header"},
      {" PROXY ", "refused no_proxy_header"},
      {"\r\nPROXY ", "refused no_proxy_header"},
      {std::string("\0", 1), "refused no_proxy_header"},
      {"\x16\x03\x01", "refused no_proxy_header"},
      {"\r\n\r\nGET / HTTP/1.1\r\n", "refused no_proxy_header"},
  });
  CHECK(text_of(read_proxy_header("")) == "incomplete");
  CHECK(text_of(read_proxy_header("G")) == "refused no_proxy_header");
  CHECK(text_of(read_proxy_header("PROXX")) == "refused no_proxy_header");
}

TEST_CASE("a header of version 2 says who the client is", "[http]") {
  check({
      {v2(0x21, 0x11, inet), "complete 28: 192.0.2.7:56324 > 198.51.100.1:443"},
      {v2(0x21, 0x12, inet), "complete 28: 192.0.2.7:56324 > 198.51.100.1:443"},
      {v2(0x21, 0x21, inet6), "complete 52: 2001:db8::7:56324 > 2001:db8::1:443"},
      {v2(0x21, 0x22, inet6), "complete 52: 2001:db8::7:56324 > 2001:db8::1:443"},
      {v2(0x21, 0x21, big_endian(0, 8) + big_endian(0xffffc0000207, 8) + std::string(16, '\0') + ports),
       "complete 52: 192.0.2.7:56324 > :::443"},
      // families and transports without addresses that mean anything here
      {v2(0x21, 0x31, unix_paths), "complete 232: own"},
      {v2(0x21, 0x32, unix_paths), "complete 232: own"},
      {v2(0x21, 0x00, ""), "complete 16: own"},
      {v2(0x21, 0x00, "what nobody knows"), "complete 33: own"},
      {v2(0x21, 0x01, inet), "complete 28: own"},
      {v2(0x21, 0x10, inet), "complete 28: own"},
  });
}

TEST_CASE("a proxy that speaks for itself is passed over, whatever else it says", "[http]") {
  check({
      {v2(0x20, 0x00, ""), "complete 16: own"},
      {v2(0x20, 0x11, inet), "complete 28: own"},
      {v2(0x20, 0x11, ""), "complete 16: own"},
      {v2(0x20, 0xff, "xxx"), "complete 19: own"},
      {v2(0x20, 0x11, inet + ssl(1)), "complete 36: own"},
  });
}

TEST_CASE("versions, commands and families that do not exist are refused", "[http]") {
  check({
      {v2(0x11, 0x11, inet), "refused proxy_version"},
      {v2(0x31, 0x11, inet), "refused proxy_version"},
      {v2(0x01, 0x11, inet), "refused proxy_version"},
      {v2(0x22, 0x11, inet), "refused proxy_command"},
      {v2(0x2f, 0x11, inet), "refused proxy_command"},
      {v2(0x21, 0x41, inet), "refused proxy_family"},
      {v2(0x21, 0x13, inet), "refused proxy_family"},
      {v2(0x21, 0x0f, inet), "refused proxy_family"},
      {v2(0x21, 0xf1, inet), "refused proxy_family"},
  });
}

TEST_CASE("lengths of version 2 have to hold the addresses and stay below a bound", "[http]") {
  check({
      {v2(0x21, 0x11, ""), "refused proxy_addresses"},
      {v2(0x21, 0x11, inet.substr(1)), "refused proxy_addresses"},
      {v2(0x21, 0x21, inet), "refused proxy_addresses"},
      {v2(0x21, 0x31, unix_paths.substr(1)), "refused proxy_addresses"},
      {v2(0x21, 0x11, inet + tlv(0x04, std::string(2048 - 12 - 3, 'x'))),
       "complete 2064: 192.0.2.7:56324 > 198.51.100.1:443"},
      {v2(0x21, 0x11, inet + tlv(0x04, std::string(2049 - 12 - 3, 'x'))), "refused proxy_header_too_long"},
      {v2(0x20, 0x00, std::string(2049, 'x')), "refused proxy_header_too_long"},
      {v2(0x21, 0x11, std::string(65535, 'x')), "refused proxy_header_too_long"},
  });
  CHECK(text_of(read_proxy_header(v2(0x21, 0x11, inet).substr(0, 27))) == "incomplete");
}

TEST_CASE("a client that came by TLS is known by the proxy's word", "[http]") {
  const std::string ends = "192.0.2.7:56324 > 198.51.100.1:443";
  check({
      {v2(0x21, 0x11, inet + ssl(0x01)), "complete 36: " + ends + " tls"},
      {v2(0x21, 0x11, inet + ssl(0x07)), "complete 36: " + ends + " tls"},
      {v2(0x21, 0x11, inet + ssl(0x00)), "complete 36: " + ends},
      {v2(0x21, 0x11, inet + ssl(0x06)), "complete 36: " + ends},
      {v2(0x21, 0x11, inet + tlv(0x02, "a.example") + ssl(0x01, tlv(0x21, "TLSv1.3")) + tlv(0xee, "")),
       "complete 61: " + ends + " tls"},
      {v2(0x21, 0x31, unix_paths + ssl(0x01)), "complete 240: own tls"},
      // inside of another TLV it says nothing
      {v2(0x21, 0x11, inet + tlv(0x04, ssl(0x01))), "complete 39: " + ends},
  });
}

TEST_CASE("TLVs whose lengths do not add up are refused", "[http]") {
  const auto with = [](const std::string& tlvs) { return v2(0x21, 0x11, inet + tlvs); };
  for (const std::string& bytes :
       {with("x"), with("xx"), with(big_endian(0x040001, 3)), with(tlv(0x04, "abc").substr(0, 5)),
        with(tlv(0x04, "") + big_endian(0x04ffff, 3)), with(tlv(0x20, "")), with(tlv(0x20, "\x01")),
        with(tlv(0x20, std::string("\x01\0\0\0", 4))), with(ssl(1, "x")), with(ssl(1, tlv(0x21, "abc").substr(0, 5))),
        with(ssl(1) + ssl(1)), with(ssl(1) + ssl(0)), with(tlv(0x03, "abc")), with(tlv(0x03, "abcde")),
        with(tlv(0x03, "abcd") + tlv(0x03, "abcd"))}) {
    CAPTURE(bytes);
    CHECK(verdict_on(bytes) == "refused proxy_tlvs");
  }
}

TEST_CASE("a checksum, where there is one, has to be right", "[http]") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283);            // the check value of CRC-32C
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720 appendix B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);

  check({
      {with_sum(0x11, inet), "complete 39: 192.0.2.7:56324 > 198.51.100.1:443"},
      {with_sum(0x11, inet + ssl(1)), "complete 47: 192.0.2.7:56324 > 198.51.100.1:443 tls"},
      {with_sum(0x31, unix_paths), "complete 243: own"},
      {with_sum(0x11, inet, 1), "refused proxy_checksum"},
      {with_sum(0x21, inet6, 0x80000000), "refused proxy_checksum"},
      {v2(0x21, 0x11, inet + tlv(0x03, std::string(4, '\0'))), "refused proxy_checksum"},
  });
  std::string changed = with_sum(0x11, inet);
  changed[16] ^= 1;  // of the client's address
  CHECK(verdict_on(changed) == "refused proxy_checksum");
}

}  // namespace stint::http
