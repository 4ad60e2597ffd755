// `stint serve` with apps/echo.py, one worker, and the limits of the request cases; and the ways a request's bytes can
// come to it.
#pragma once

#include "tests/process/story.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stint::test {

class EchoServer {
 public:
  // The plain application, or the same under wsgiref.validate.
  explicit EchoServer(const std::string& callable = "application");

  const std::vector<std::string>& addresses() const { return addresses_; }  // TCP and "unix:…"
  std::uint64_t calls() const;  // into the application, by whichever worker, of whichever outcome
  // Refused requests by reason, as `stint status` counts them.
  std::map<std::string, std::uint64_t> refused() const;

  pid_t worker() const { return server_.ready_workers().at(0); }
  boost::json::object status() const { return server_.status(); }
  std::size_t log_count(std::string_view text) const { return server_.log_count(text); }
  void recycle() const;  // returns while it is under way
  // And nothing in either log that a terminal or a reader of lines could take for more than text.
  void expect_clean_exit();

 private:
  EchoServer(const std::string& callable, std::unique_ptr<TemporaryFolder> folder);

  std::string calls_file_;
  ServerProcess server_;
  std::vector<std::string> addresses_;
};

inline constexpr std::string_view good_request = "GET /good HTTP/1.1\r\nHost: good.example\r\n\r\n";
inline constexpr std::string_view good_body = "good\n";

enum class Way {
  in_one_segment,
  behind_a_pipelined_one,
  on_a_reused_connection,
};
const char* text_of(Way way);
unsigned requests_before(Way way);  // good ones, which the way sends and whose answers it takes

// Sends `bytes` in that way and `behind` in one piece after it; what is to be received next is the answer to `bytes`.
HttpClient send(const std::string& address, Way way, std::string_view bytes, std::string_view behind);

// A connection for each of `requests`. Each byte is a segment of its own, over a unix socket also read by itself: byte
// n of each goes out before byte n+1 of any, so that the server has them to read while others are sent. (Of the few
// long ones a thousandth part counts as a byte.) `behind` follows.
std::deque<HttpClient> send_byte_by_byte(const std::string& address, const std::vector<std::string_view>& requests,
                                         std::string_view behind);

void expect_good_answer(HttpClient& client);

// What is the same for every refused request: one answer, with nothing in it but the status, that the client can read
// to its end. Nothing comes behind it.
void expect_refusal(HttpClient& client, int status);

}  // namespace stint::test
