// Reads requests the way a connection does: bytes arrive in pieces, the buffer may move with each, the head is parsed
// first and the body decoded behind it.
#pragma once

#include "server/http/request_parser.h"

#include <string>
#include <string_view>
#include <vector>

namespace stint::http {

// Small, so that the corpus can go beyond them in small files.
inline constexpr HeadLimits small_limits{Bytes{256}, 20, Bytes{2048}, Bytes{10000}};

struct Message {
  enum class Verdict { incomplete, complete, refused };
  Verdict verdict = Verdict::incomplete;
  int status = 0;        // refused
  std::string reason;    // refused
  std::string text;      // complete: all that was understood, for a person and for comparing
  std::size_t size = 0;  // complete: bytes of head and body
  bool operator==(const Message&) const = default;
};

Message read_message(const std::vector<std::string_view>& pieces, const HeadLimits& limits = small_limits);
// All that was understood of a head, and of a body.
std::string describe(const RequestHead& head);
std::string describe_body(std::string_view body);

std::vector<std::string_view> cut_at(std::string_view bytes, std::size_t position);
std::vector<std::string_view> cut_everywhere(std::string_view bytes);

std::string read_file(const std::string& path);

}  // namespace stint::http
