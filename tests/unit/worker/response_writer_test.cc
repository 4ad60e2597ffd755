#include "server/worker/response_writer.h"

#include "tests/support/catch.h"

#include <sys/socket.h>

#include <string>
#include <vector>

using stint::HeaderField;
using stint::UniqueFd;
using stint::worker::OutputQueue;
using stint::worker::ResponseHost;
using stint::worker::ResponseWriter;

namespace {

// A writer whose queued bytes can be looked at.
struct Bench : ResponseHost {
  Bench() : writer(queue, *this) {}
  stint::Result<void> wait_until_sent() override { return {}; }
  bool is_client_gone() const override { return false; }
  bool shall_announce_close() override { return drains; }
  void send_interim(std::string_view answer) override { interim += answer; }
  std::string sent() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    const UniqueFd ours(fds[0]), theirs(fds[1]);
    REQUIRE(queue.send(ours.get()).has_value());
    ::shutdown(ours.get(), SHUT_WR);
    std::string got;
    char part[4096];
    for (ssize_t n = 0; (n = ::read(theirs.get(), part, sizeof part)) > 0;)
      got.append(part, static_cast<std::size_t>(n));
    return got;
  }
  void ok(std::vector<HeaderField> fields = {}) { REQUIRE(writer.set_head("200 OK", fields).has_value()); }

  OutputQueue queue;
  bool drains = false;
  std::string interim;
  ResponseWriter writer;
};

std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
using Catch::Matchers::ContainsSubstring;

}  // namespace

TEST_CASE("an answer without a length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  bench.ok();
  bench.writer.write({.bytes = "hello"});
  bench.writer.write({.bytes = std::string_view("0123456789abcdef")});
  bench.writer.finish();
  CHECK(bench.writer.keeps_alive());
  const std::string answer = bench.sent();
  CHECK_THAT(answer, ContainsSubstring("\r\nTransfer-Encoding: chunked\r\n"));
  CHECK(body_of(answer) == "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");

  Bench old;
  old.writer.begin("GET", 0, true);
  old.ok();
  old.writer.write({.bytes = "hello"});
  old.writer.finish();
  CHECK_FALSE(old.writer.keeps_alive());
  const std::string plain = old.sent();
  CHECK_THAT(plain, ContainsSubstring("\r\nConnection: close\r\n"));
  CHECK(body_of(plain) == "hello");
}

TEST_CASE("more than the declared length is cut, less is a broken answer", "[worker]") {
  Bench more;
  more.writer.begin("GET", 1, true);
  more.ok({{"Content-Length", "4"}});
  more.writer.write({.bytes = "abcdef"});
  CHECK(more.writer.is_complete());
  more.writer.finish();
  CHECK(more.writer.was_cut());
  CHECK_FALSE(more.writer.is_broken());
  CHECK_FALSE(more.writer.was_short());
  CHECK(body_of(more.sent()) == "abcd");

  Bench less;
  less.writer.begin("GET", 1, true);
  less.ok({{"Content-Length", "4"}});
  less.writer.write({.bytes = "ab"});
  CHECK_FALSE(less.writer.is_complete());
  less.writer.finish();
  CHECK(less.writer.is_broken());
  CHECK(less.writer.was_short());
  CHECK_FALSE(less.writer.keeps_alive());
}

TEST_CASE("HEAD, 204 and 304 never carry a body", "[worker]") {
  const auto [method, status] = GENERATE(
      table<std::string, std::string>({{"HEAD", "200 OK"}, {"GET", "204 No Content"}, {"GET", "304 Not Modified"}}));
  Bench bench;
  bench.writer.begin(method, 1, true);
  REQUIRE(bench.writer.set_head(status, {}).has_value());
  CHECK(bench.writer.is_complete());
  bench.writer.write({.bytes = "body"});
  bench.writer.finish();
  CHECK(bench.writer.keeps_alive());
  CHECK(body_of(bench.sent()).empty());
}

TEST_CASE("a worker that begins to drain during the call announces the close", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  bench.ok();
  bench.drains = true;
  bench.writer.write({.bytes = "x"});
  bench.writer.finish();
  CHECK_FALSE(bench.writer.keeps_alive());
  CHECK_THAT(bench.sent(), ContainsSubstring("\r\nConnection: close\r\n"));
}

TEST_CASE("an empty answer has the length 0, except to HEAD, where it would be another answer's", "[worker]") {
  Bench get, head;
  get.writer.begin("GET", 1, true);
  get.ok();
  get.writer.finish();
  CHECK_THAT(get.sent(), ContainsSubstring("\r\nContent-Length: 0\r\n"));
  head.writer.begin("HEAD", 1, true);
  head.ok();
  head.writer.finish();
  CHECK_THAT(head.sent(), !ContainsSubstring("Content-Length"));
}

TEST_CASE("an aborted chunked answer has no final chunk", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  bench.ok();
  bench.writer.write({.bytes = "half"});
  bench.writer.abort();
  bench.writer.finish();
  CHECK_FALSE(bench.writer.keeps_alive());
  CHECK(body_of(bench.sent()) == "4\r\nhalf\r\n");
}

TEST_CASE("the server's own answer replaces a head that was not sent", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  bench.ok({{"X-Secret", "1"}});
  bench.writer.answer(500, {}, "sorry");
  bench.writer.finish();
  const std::string answer = bench.sent();
  CHECK(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
  CHECK_THAT(answer, !ContainsSubstring("X-Secret"));
  CHECK(body_of(answer) == "sorry\n");
}

TEST_CASE("early hints go out before the head, to HTTP/1.1 alone, and leave the head as it is", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  bench.ok({{"X-Kept", "yes"}});
  const std::vector<HeaderField> hints = {
      {"Link", "</a.css>; rel=preload"}, {"Connection", "close"}, {"Content-Length", "7"}};
  REQUIRE(bench.writer.send_early_hints(hints).has_value());
  CHECK(bench.interim == "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
  bench.writer.write({.bytes = "hello"});
  bench.writer.finish();
  CHECK_THAT(bench.sent(), ContainsSubstring("\r\nX-Kept: yes\r\n"));

  Bench old;
  old.writer.begin("GET", 0, true);
  REQUIRE(old.writer.send_early_hints(hints).has_value());
  CHECK(old.interim.empty());
}

TEST_CASE("early hints that are no header fields are not sent", "[worker]") {
  Bench bench;
  bench.writer.begin("GET", 1, true);
  const HeaderField split{"Link", "a\r\nSet-Cookie: b"};
  const auto sent = bench.writer.send_early_hints({&split, 1});
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().text() == "header value of 'Link' contains a carriage return");
  CHECK(bench.interim.empty());
}
