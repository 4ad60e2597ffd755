// One line for each answered request: Apache LogFormat strings verbatim, "combined", "common" or "json". Every value
// that came from a client is escaped, so that a line is a line.
#pragma once

#include "stint/request.h"
#include "stint/result.h"

#include <chrono>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stint::http {

struct AccessEntry {
  Endpoints endpoints;            // remote: the client, whom a trusted proxy may have told
  std::string_view peer_address;  // who is connected: the client, or that proxy
  std::string_view method;        // empty with `target` when the request was refused before it could be read
  std::string_view target;
  int version_minor = 1;
  std::span<const HeaderField> fields;
  std::string_view response_lines;  // ResponseHead::lines()
  int status = 0;
  std::uint64_t body_bytes = 0;  // sent, without head and chunk framing
  std::time_t began{};           // wall clock
  std::chrono::microseconds took{};
  std::string_view user;  // whom a trusted proxy has authenticated
  std::string_view id;
  unsigned worker = 0;       // slot
  bool was_complete = true;  // false: %X is "X", the client left or the answer was cut
};

class AccessLogFormat {
 public:
  // An error names the directive that is unknown and where it stands.
  static Result<AccessLogFormat> compile(std::string_view format);
  AccessLogFormat(AccessLogFormat&&) noexcept;
  AccessLogFormat& operator=(AccessLogFormat&&) noexcept;
  ~AccessLogFormat();

  void append_line(std::string& out, const AccessEntry& entry) const;  // with its "\n"

 private:
  struct Part;
  explicit AccessLogFormat(std::vector<Part> parts);
  std::vector<Part> parts_;
};

}  // namespace stint::http
