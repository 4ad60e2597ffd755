#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;

TEST_CASE("wsgi.input has read, readline, readlines and iteration, and ends with b\"\" (WSGI 18, 19)") {
  bool in_file = GENERATE(false, true);
  std::string body = "abcd\nefgh\nijkl\nmn\nop\nqr\nst";
  CHECK(body_of("input_by_methods", TestRequest{.body = body, .body_in_file = in_file}) ==
        "[b'ab', b'cd\\n', b'ef', b'gh\\n', [b'ijkl\\n'], b'mn\\n', [b'op\\n', b'qr\\n', b'st'], b'', b'', b'', [], "
        "b'']");
}

TEST_CASE("a request without a body has an empty input (WSGI 20)") { CHECK(body_of("input_echo").empty()); }

TEST_CASE("wsgi.input refuses arguments that are no sizes") {
  CHECK(body_of("input_wrong_arguments", TestRequest{.body = "abc"}) ==
        "['TypeError', 'TypeError', 'TypeError', b'abc']");
}

TEST_CASE("a large body in a file arrives byte for byte") {
  std::string body(5 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 4096);
  CHECK(body_of("input_echo", TestRequest{.body = body, .body_in_file = true}) == body);
}

TEST_CASE("lines longer than the piece that is looked at come whole") {
  bool in_file = GENERATE(false, true);
  std::string body = std::string(8191, 'a') + "\n" + std::string(8192, 'b') + "\n" + std::string(100000, 'c') + "\n" +
                     std::string(1'000'000, 'd') + "\ne";
  CHECK(body_of("input_lines", TestRequest{.body = body, .body_in_file = in_file}) ==
        "[8192, 8193, 100001, 1000001, 1]");
}

TEST_CASE("two threads of a request may read its input (WSGI 25)") {
  std::string body(8 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i % 251);
  std::uint64_t sum = 0;
  for (unsigned char byte : body) sum += byte;
  CHECK(body_of("input_from_threads", TestRequest{.body = body, .body_in_file = true}) ==
        std::string("(").append(std::to_string(body.size())).append(", ").append(std::to_string(sum)).append(")"));
}

TEST_CASE("an input kept beyond its request raises and never reads another body (WSGI 25)") {
  bool in_file = GENERATE(false, true);
  auto application = python().load("input_kept");
  REQUIRE(application);
  FakeSink first, second;
  TestRequest request{.body = "secret of the first", .body_in_file = in_file};
  REQUIRE(!call(*application, request, first));
  REQUIRE(!call(*application, TestRequest{.body = "second", .body_in_file = in_file}, second));
  CHECK(second.body == "['ValueError', 'ValueError', 'ValueError', 'ValueError']");
}

TEST_CASE("the end of a request waits for a thread that reads its file, which then raises (WSGI 25)") {
  auto application = python().load("input_read_after_the_request");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE(!call(*application, TestRequest{.body = std::string(64 << 20, 'x'), .body_in_file = true}, sink));
  // The file is closed by now: what the thread got was this file's bytes or ValueError, never another error.
  std::string end = body_of("join_thread");
  CHECK((end == "['ValueError']" || end == "['end']"));
}
