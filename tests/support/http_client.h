// A blocking client for single exchanges: what a story sends is exactly what it wrote, what it gets is what came.
// Every wait has a limit; a broken answer throws, and so fails the test with what was wrong.
#pragma once

#include "stint/unique_fd.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stint::test {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpResponse {
  int version_minor = 1;
  int status = 0;
  std::string reason;
  HttpFields fields;
  std::string body;  // chunks joined

  std::optional<std::string> field(std::string_view name) const;  // the first of that name, case ignored
  bool announces_close() const;
};

class HttpClient {
 public:
  // Connected, or throws. `receive_buffer`: SO_RCVBUF; 0: the kernel's, which grows to megabytes.
  explicit HttpClient(const std::string& address, int receive_buffer = 0);

  void send(std::string_view bytes);
  // One answer with its body; an interim answer (1xx) is an answer of its own. `method` says whether a body can be.
  HttpResponse receive(std::string_view method = "GET");
  HttpResponse request(std::string_view method, std::string_view target, const HttpFields& fields = {},
                       std::string_view body = {});
  HttpResponse get(std::string_view target) { return request("GET", target); }

  std::string receive_up_to(std::string_view text);  // all bytes up to the first `text`, with it
  std::string receive_exactly(std::size_t size);
  std::string receive_until_close();  // all bytes up to the end; closes this side too
  bool is_readable_within(std::chrono::milliseconds limit);
  // The server has closed and nothing was unread; throws when bytes came instead. A reset is an end too.
  bool is_closed_within(std::chrono::milliseconds limit);
  void shut_down_writing();
  void reset();  // leaves with RST instead of FIN
  // Of a unix socket, whose sender is told: the server has read all that was sent. Busy waiting, for short waits.
  bool is_all_taken_within(std::chrono::milliseconds limit);

 private:
  bool fill(std::chrono::milliseconds limit);  // false: end of the stream
  std::string take_line();
  std::string take(std::size_t size);

  UniqueFd socket_;
  std::string unread_;
};

// One request on a connection of its own.
HttpResponse fetch(const std::string& address, std::string_view target, const HttpFields& fields = {});

}  // namespace stint::test
