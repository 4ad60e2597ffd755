// Statements 18 to 25, wsgi.input, behind the real server.
#include "tests/conformance/wsgi_server.h"

namespace stint::test {
namespace {

std::string plain_or_validated() { return GENERATE("application", "validated"); }

std::string post(const std::string& target, const std::string& body) {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

const std::string lines = "abcd\nefgh\nijkl\nmn\nop\nqr\nst";

TEST_CASE("WSGI 18: wsgi.input reads by size, by line and by iteration, and ends with b\"\" again and again",
          "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  CHECK(client.request("POST", "/input_by_methods", {}, lines).body ==
        "[b'ab', b'cd\\n', b'ef', b'gh\\n', [b'ijkl\\n'], b'mn\\n', [b'op\\n', b'qr\\n', b'st'], b'', b'', b'', [], "
        "b'']");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 18: and so it does under the validator", "[conformance]") {
  WsgiServer server("validated");
  HttpClient client(server.address());
  CHECK(client.request("POST", "/input_by_lines", {}, lines).body ==
        "[b'ab', b'cd\\n', b'ef', [b'gh\\n'], b'ijkl\\n', [b'mn\\n', b'op\\n', b'qr\\n', b'st'], b'', b'', []]");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 19: reading for more than there is leaves the next request as it was", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  client.send(post("/input_greedy", "hello") + post("/input_greedy", "world") +
              "GET /input_greedy HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.receive().body == "[b'hello', b'', b'']");
  CHECK(client.receive().body == "[b'world', b'', b'']");
  CHECK(client.receive().body == "[b'', b'', b'']");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 20: without a body read() is b\"\" at once", "[conformance]") {
  WsgiServer server(plain_or_validated());
  for (const char* version : {"HTTP/1.0", "HTTP/1.1"}) {
    HttpClient client(server.address());
    client.send(std::string("POST /input_all ") + version + "\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    CHECK(client.receive().body == "[None, b'']");
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 21: a chunked body is decoded and has its length", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  client.send("POST /input_all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n");
  client.send("6\r\n world\r\n0\r\nX-Trailer: y\r\n\r\n");
  CHECK(client.receive().body == "[\'11\', b'hello world']");
  client.send("POST /input_all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  CHECK(client.receive().body == "['0', b'']");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 22: a client that closes before its body's end is never a short body", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string calls = server.file("calls"), target = "/count_calls?file=" + calls;
  const std::string whole = post(target, "hello");
  for (std::size_t cut = whole.size() - 5; cut < whole.size(); ++cut) {
    HttpClient client(server.address());
    client.send(whole.substr(0, cut));
    client.shut_down_writing();
    CHECK(client.receive_until_close() == "");
  }
  CHECK_FALSE(std::filesystem::exists(calls));
  HttpClient client(server.address());
  client.send(whole);
  client.shut_down_writing();  // behind a whole one it is no matter
  CHECK(client.receive().body == "hello");
  CHECK(read_file(calls) == "called\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 23: a body left unread does not end the connection, nor become a request", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  const std::string hidden = "GET /raises?zero HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const std::size_t times : {1u, 100u, 20'000u}) {
    std::string body;
    for (std::size_t i = 0; i < times; ++i) body += hidden;
    client.send(post("/unread", body));
    const HttpResponse response = client.receive();
    CHECK(response.body == "left unread");
    CHECK_FALSE(response.announces_close());
  }
  CHECK(client.request("POST", "/input_all", {}, "x").body == "['1', b'x']");
  CHECK(server.log_count("ZeroDivisionError") == 0);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 24: 100 Continue comes before the body, once, and never after the answer", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  for (const char* target : {"/input_all", "/unread"}) {
    client.send(std::string("POST ") + target +
                " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    CHECK(client.receive().status == 100);
    client.send("hel");
    CHECK_FALSE(client.is_readable_within(50ms));
    client.send("lo");
    CHECK(client.receive().status == 200);
    CHECK(client.get("/unread").status == 200);  // nothing lies between
  }
  client.send("POST /input_all HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(client.receive().body == "['5', b'hello']");  // the body was there: nobody waits for 100
  server.expect_clean_exit();
}

TEST_CASE("WSGI 25: an input kept beyond its request raises, and threads of one request may read it", "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  const std::size_t size = GENERATE(100u, 1'000'000u);  // in memory and in a file
  std::string body(size, '\x01');
  CHECK(client.request("POST", "/input_kept", {}, body).body == "[]");
  CHECK(client.request("POST", "/input_kept", {}, std::string(size, '\x02')).body ==
        "['ValueError', 'ValueError', 'ValueError', 'ValueError']");
  CHECK(client.request("POST", "/input_from_threads", {}, body).body ==
        "(" + std::to_string(size) + ", " + std::to_string(size) + ")");
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
