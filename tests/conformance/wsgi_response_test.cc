// Statements 26 to 48: start_response, write() and the iterable, as a client sees them.
#include "tests/conformance/wsgi_server.h"

#include <signal.h>

#include <algorithm>

namespace stint::test {
namespace {

std::string plain_or_validated() { return GENERATE("application", "validated"); }

std::string get(const std::string& target, const std::string& version = "HTTP/1.1") {
  return "GET " + target + " " + version + "\r\nHost: a\r\n\r\n";
}

// Bytes as digits, for what a query cannot say.
std::string hex(std::string_view bytes) {
  std::string digits;
  for (const char c : bytes) {
    for (const int nibble : {c >> 4 & 15, c & 15}) digits += "0123456789abcdef"[nibble];
  }
  return digits;
}

// 500 with the request's id and nothing of the error; the connection and the worker go on.
void expect_failure(WsgiServer& server, const std::string& target, const std::string& logged) {
  INFO(target);
  HttpClient client(server.address());
  const HttpResponse response = client.get(target);
  CHECK(response.status == 500);
  CHECK(response.reason == "Internal Server Error");
  const std::string prefix = "500 Internal Server Error (request ";
  REQUIRE(response.body.starts_with(prefix));
  const std::string id = response.body.substr(prefix.size(), 16);
  CHECK(response.body == prefix + id + ")\n");
  CHECK(client.get("/hello").body == "hello\n");
  const std::string log = server.log();
  INFO(log);
  const std::size_t line = log.find("request=" + id);
  REQUIRE(line != log.npos);
  CHECK(log.find(logged, log.rfind('\n', line) + 1) != log.npos);
}

// What the client can tell from an answer that has failed after its first byte.
void expect_cut(WsgiServer& server, const std::string& target, const std::string& begins) {
  INFO(target);
  HttpClient client(server.address());
  client.send(get(target));
  const std::string bytes = client.receive_until_close();
  CHECK(bytes.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(bytes.find(begins) != bytes.npos);
  CHECK_FALSE(bytes.ends_with("\r\n0\r\n\r\n"));
  CHECK(server.text("/hello") == "hello\n");
}

TEST_CASE("WSGI 26: start_response is called by position, exc_info also by name", "[conformance]") {
  WsgiServer plain("application");
  for (const char* way : {"two", "three", "keyword"}) {
    CHECK(plain.text("/start_response_variants?" + std::string(way)) == "ok");
  }
  plain.expect_clean_exit();
  WsgiServer validated("validated");
  for (const char* way : {"two", "three"}) CHECK(validated.text("/start_by_position?" + std::string(way)) == "ok");
  validated.expect_clean_exit();
}

TEST_CASE("WSGI 27: write() sends before it returns, and before what the iterable gives", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  const std::string until = server.file("until");
  client.send(get("/write_then_wait?until=" + until));
  CHECK(client.receive_up_to("written\n").find("returned") == std::string::npos);
  server.folder().write("until", "");
  CHECK(client.receive_up_to("\r\n0\r\n\r\n").find("returned\n") != std::string::npos);
  CHECK(client.get("/written_then_returned").body == "one two three");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 27: write() takes bytes only", "[conformance]") {
  WsgiServer server("application");
  expect_failure(server, "/write_str", "TypeError: write() takes bytes, not str");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 28: a status is a str of three digits, a space and a reason, or the call raises", "[conformance]") {
  WsgiServer server("application");
  using namespace std::string_view_literals;
  for (const std::string_view status :
       {""sv, "200"sv, "20 OK"sv, "2000 OK"sv, "OK 200"sv, "200OK"sv, "200\r\nX"sv, "200 a\r\nX: y"sv, "200 a\nX: y"sv,
        "200 a\0"sv, "200 a\x7f"sv, "200 a\t"sv, "200 \xe2\x82\xac"sv}) {
    INFO(status);
    const HttpResponse response = fetch(server.address(), "/start_with_status?status=" + hex(status));
    CHECK(response.status == 500);
    CHECK(response.reason == "Told");
    CHECK(response.body.starts_with("ValueError: start_response: "));
    CHECK_FALSE(response.field("X").has_value());
  }
  CHECK(fetch(server.address(), "/start_response_wrong?status-bytes").body.starts_with("TypeError"));
  const HttpResponse named = fetch(server.address(), "/start_with_status?status=" + hex("299 My  own Reason\xc3\xa9"));
  CHECK(named.status == 299);
  CHECK(named.reason == "My  own Reason\xe9");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 29: headers are a list of pairs of str, names tokens, values without controls, or the call raises",
          "[conformance]") {
  using namespace std::string_view_literals;
  WsgiServer server("application");
  for (const char* what : {"headers-tuple", "item-list", "item-three", "value-int", "value-bytes"}) {
    const HttpResponse response = fetch(server.address(), "/start_response_wrong?" + std::string(what));
    INFO(what);
    CHECK(response.reason == "Told");
    CHECK(response.body.starts_with("TypeError: start_response: headers"));
  }
  CHECK(fetch(server.address(), "/start_response_wrong?value-wide").body.starts_with("ValueError"));
  for (const std::string_view value : {"a\r\nSet-Cookie: b"sv, "a\nb"sv, "a\rb"sv, "\0"sv, "a\x1f"sv, "a\x7f"sv}) {
    const HttpResponse response =
        fetch(server.address(), "/start_with_header?name=" + hex("X-A") + "&value=" + hex(value));
    INFO(value);
    CHECK(response.body.starts_with("ValueError: start_response: header value"));
    for (const char* name : {"X-A", "Set-Cookie"}) CHECK_FALSE(response.field(name).has_value());
  }
  for (const std::string_view name : {""sv, "X A"sv, "X:A"sv, "X\rA"sv, "X\0"sv, "\xc3\xa9"sv, "X(A)"sv}) {
    const HttpResponse response = fetch(server.address(), "/start_with_header?value=&name=" + hex(name));
    INFO(name);
    CHECK(response.body.starts_with("ValueError: start_response: header name"));
  }
  const std::string target = "/start_with_header?name=" + hex("X-A") + "&value=";
  CHECK(fetch(server.address(), target + hex("caf\xc3\xa9 \xc2\x80\tx")).field("X-A") == "caf\xe9 \x80\tx");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 29: the list is the server's from the call on", "[conformance]") {
  WsgiServer server("application");
  const HttpResponse response = fetch(server.address(), "/keeps_and_changes_headers");
  CHECK(response.field("X-One") == "1");
  CHECK_FALSE(response.field("X-Two").has_value());
  server.expect_clean_exit();
}

TEST_CASE("WSGI 30: a second call without exc_info raises", "[conformance]") {
  WsgiServer server("application");
  CHECK(server.text("/start_response_wrong?twice") ==
        "RuntimeError: start_response() called a second time without exc_info");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 31: exc_info before any byte replaces status and all headers", "[conformance]") {
  WsgiServer server("application");
  const HttpResponse response = fetch(server.address(), "/replaced_head");
  CHECK(response.status == 500);
  CHECK(response.reason == "Replaced");
  CHECK(response.field("X-Second") == "2");
  CHECK_FALSE(response.field("X-First").has_value());
  CHECK(response.body == "error page");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 32: exc_info after the head went out raises again, and the client can tell", "[conformance]") {
  WsgiServer server("application");
  for (const char* target : {"/too_late_exc_info", "/too_late_exc_info_swallowed"}) {
    expect_cut(server, target, "\r\nbegun\r\n");
  }
  CHECK(server.log_count("KeyError: 'too late'") >= 1);
  CHECK(server.log_count("in too_late_exc_info") >= 1);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 33: no head goes out before the first byte, so that it may still be replaced", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string file = server.file("begun"), until = server.file("until");
  HttpClient client(server.address());
  client.send(get("/head_waits?file=" + file + "&until=" + until));
  REQUIRE(eventually([&] { return std::filesystem::exists(file); }));
  CHECK_FALSE(client.is_readable_within(100ms));
  server.folder().write("until", "");
  const HttpResponse response = client.receive();
  CHECK(response.reason == "Replaced");
  CHECK(response.field("X-Second") == "2");
  CHECK_FALSE(response.field("X-First").has_value());
  CHECK(response.body == "error page");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 34: start_response may be called with the first item", "[conformance]") {
  WsgiServer server(plain_or_validated());
  CHECK(server.text("/lazy_start") == "onetwo");
  CHECK(server.text("/class_application") == "from a class");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 35: no start_response by the first byte or the end is 500 and a line in the log", "[conformance]") {
  WsgiServer server("application");
  for (const char* target : {"/no_start_response", "/no_start_response_at_all", "/items_without_start"}) {
    expect_failure(server, target, "without having called start_response");
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 36: an item that is not bytes is 500", "[conformance]") {
  WsgiServer server("application");
  for (const std::string kind : {"str", "bytearray", "memoryview", "int"}) {
    expect_failure(server, "/not_bytes?" + kind, "TypeError: the application's iterable gave " + kind);
  }
  expect_failure(server, "/list_with_str", "TypeError: the application's iterable gave str");
  expect_failure(server, "/returns_bytes", "TypeError: the application returned bytes");
  expect_failure(server, "/returns_none", "TypeError: the application returned NoneType");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 37: each item is with the client before the next is asked for", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string go = server.file("go");
  HttpClient client(server.address());
  client.send(get("/steps?go=" + go));
  for (int k = 0; k < 4; ++k) {
    const std::string number = std::to_string(k);
    const std::string next = "item " + std::to_string(k + 1);
    REQUIRE(client.receive_up_to("item " + number + "\n").find(next) == std::string::npos);
    server.folder().write("go" + number, "");
  }
  client.receive_up_to("\r\n0\r\n\r\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 37: a slow client holds the iterator up, and memory stays bounded", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string asked = server.file("asked");
  const pid_t worker = server.ready_workers().at(0);
  HttpClient client(server.address());
  client.send(get("/flood?mib=300&file=" + asked));
  client.receive_up_to("\r\n\r\n");
  // As much as fits between server and client, and no more: then the count stands still.
  std::size_t count = 0;
  REQUIRE(eventually([&] {
    const std::size_t before = std::exchange(count, read_file(asked).size());
    std::this_thread::sleep_for(100ms);
    return count > 0 && count == before;
  }));
  CHECK(count < 100);
  CHECK((memory_kib(worker, "RssAnon") < 64 * 1024 || !has_honest_memory));
  for (int mib = 0; mib < 300; ++mib) {
    CHECK(client.receive_exactly(8) == "100000\r\n");
    const std::string item = client.receive_exactly(1 << 20);
    REQUIRE((item == std::string(1 << 20, static_cast<char>(mib % 251))));
    CHECK(client.receive_exactly(2) == "\r\n");
  }
  CHECK(client.receive_exactly(5) == "0\r\n\r\n");
  CHECK(read_file(asked).size() == 300);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 38: any iterable is taken, and one item alone gives the length, unless the application did or wrote",
          "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  for (const char* target : {"/nothing_kept", "/tuple_of_one"}) {
    const HttpResponse response = client.get(target);
    CHECK(response.field("Content-Length") == std::to_string(response.body.size()));
  }
  CHECK(client.get("/list_of_two").body == "onetwo");
  CHECK(client.get("/old_sequence").body == "abc");
  CHECK(client.get("/stream").body == "one two");
  CHECK(client.get("/items_three").body == "onetwothree");
  CHECK(client.get("/empty_generator").body == "");
  CHECK(client.get("/with_own_length?6").field("Content-Length") == "6");
  CHECK_FALSE(client.get("/written_then_returned").field("Content-Length").has_value());
  CHECK_FALSE(client.get("/written_alone").field("Content-Length").has_value());
  server.expect_clean_exit();
}

TEST_CASE("WSGI 39: close() of the iterable is called once, however the answer ends", "[conformance]") {
  ServerOptions options;
  options.set = {{"http.write_timeout", "\"1s\""}};
  WsgiServer server("application", options);
  int number = 0;
  const auto target = [&](const std::string& kind) {
    return "/closing?kind=" + kind + "&file=" + server.file("closed" + std::to_string(++number));
  };
  const auto expect_closed_once = [&](const std::string& what) {
    INFO(what);
    const std::string file = server.file("closed" + std::to_string(number));
    REQUIRE(eventually([&] { return !read_file(file).empty(); }));
    CHECK(server.text("/hello") == "hello\n");
    CHECK(read_file(file) == "closed\n");
  };
  for (const char* kind : {"whole", "empty", "long", "str", "no_start"}) {
    fetch(server.address(), target(kind));
    expect_closed_once(kind);
  }
  for (const char* kind : {"fails", "short"}) {
    HttpClient client(server.address());
    client.send(get(target(kind)));
    client.receive_until_close();
    expect_closed_once(kind);
  }
  for (const char* status : {"304+Not+Modified", "204+No+Content"}) {
    fetch(server.address(), target("whole") + "&status=" + status);
    expect_closed_once(status);
  }
  HttpClient(server.address()).request("HEAD", target("whole"));
  expect_closed_once("HEAD");
  {
    HttpClient client(server.address());
    client.send(get(target("endless")));
    client.receive_up_to("\r\n\r\n");
  }
  expect_closed_once("a client that leaves");
  HttpClient sleeping(server.address());
  sleeping.send(get(target("endless")));
  expect_closed_once("a client that does not read, for write_timeout");

  const std::string until = server.file("until");
  HttpClient client(server.address());
  client.send(get(target("waits") + "&until=" + until));
  REQUIRE(
      eventually([&] { return std::filesystem::exists(server.file("closed" + std::to_string(number) + ".begun")); }));
  const pid_t worker = server.ready_workers().at(0);
  REQUIRE(server.command({"recycle"}).exit_code == 0);
  server.folder().write("until", "");
  CHECK(client.receive().body == "one two");
  CHECK(eventually([&] { return !is_running(worker); }));
  expect_closed_once("a worker that retires");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 39: what close() raises is logged, and the answer is whole", "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  CHECK(client.get("/raises_in_close").body == "whole");
  CHECK(client.get("/hello").body == "hello\n");
  CHECK(server.log_count("ZeroDivisionError: in close") >= 1);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 40: no more than Content-Length is sent or asked for, and less closes the connection",
          "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  CHECK(client.get("/items_with_length").body == "onetwo");
  CHECK(client.get("/show_events").body == "item 1, item 2, close");
  CHECK(client.get("/with_own_length?3").body == "123");
  CHECK(client.get("/hello").body == "hello\n");
  CHECK(server.log_count("answer cut: the application gave more than its Content-Length") == 1);

  client.send(get("/with_own_length?10") + get("/hello"));
  const std::string bytes = client.receive_until_close();
  CHECK(bytes.find("Content-Length: 10\r\n") != bytes.npos);
  CHECK(bytes.ends_with("\r\n\r\n123456"));
  CHECK(server.log_count("answer short: the application gave less than its Content-Length") == 1);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 41: without a length chunks for HTTP/1.1 and the connection's end for HTTP/1.0", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  const HttpResponse chunked = client.get("/stream");
  CHECK(chunked.field("Transfer-Encoding") == "chunked");
  CHECK_FALSE(chunked.field("Content-Length").has_value());
  CHECK(chunked.body == "one two");

  HttpClient old_client(server.address());
  old_client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string bytes = old_client.receive_until_close();
  CHECK(bytes.ends_with("\r\n\r\none two"));
  for (const char* name : {"Transfer-Encoding", "Content-Length", "keep-alive"}) CHECK(bytes.find(name) == bytes.npos);

  CHECK_FALSE(client.get("/with_own_length?6").field("Transfer-Encoding").has_value());
  CHECK_FALSE(client.request("HEAD", "/stream").field("Transfer-Encoding").has_value());
  for (const char* target : {"/with_status?204", "/with_status?304"}) {
    CHECK_FALSE(client.get(target).field("Transfer-Encoding").has_value());
  }
  CHECK(client.get("/hello").body == "hello\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 42: HEAD keeps the length and has no body, 204 has neither, 304 may have a length", "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  CHECK(client.request("HEAD", "/with_own_length?6").field("Content-Length") == "6");
  CHECK(client.request("HEAD", "/stream").status == 200);
  const HttpResponse none = client.get("/with_status?204,length,body");
  CHECK(none.status == 204);
  CHECK_FALSE(none.field("Content-Length").has_value());
  const HttpResponse unchanged = client.get("/with_status?304,length,body");
  CHECK(unchanged.status == 304);
  CHECK(unchanged.field("Content-Length") == "6");
  CHECK_FALSE(client.get("/with_status?304,body").field("Content-Length").has_value());
  CHECK(client.get("/hello").body == "hello\n");  // no byte of a body lay between
  server.expect_clean_exit();
}

TEST_CASE("WSGI 43: 1xx is no final status: 500", "[conformance]") {
  WsgiServer server("application");
  for (const char* status : {"100", "101", "103", "199", "000"}) {
    expect_failure(server, "/with_status?" + std::string(status), "is not final");
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 44: hop-by-hop fields of the application are dropped, with a warning", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  const HttpResponse response = client.get("/hop_by_hop");
  CHECK(response.body == "ok");
  for (const auto& [name, value] : response.fields) CHECK(value != "x");
  CHECK(response.field("X-Kept") == "y");
  CHECK(client.get("/hello").status == 200);
  CHECK(server.log_count("hop-by-hop header fields of the application dropped") == 1);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 45: Date and Server only where the application gave none, and repeats are lines of their own, in order",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  const auto repeats_of = [](const HttpResponse& response) {
    std::string text;
    for (const auto& [name, value] : response.fields) {
      if (name == "Set-Cookie" || name == "X-Again" || name == "x-again") text += name + "=" + value + " ";
    }
    return text;
  };
  const auto count = [](const HttpResponse& response, const std::string& name) {
    return std::count_if(response.fields.begin(), response.fields.end(),
                         [&](const auto& f) { return f.first == name; });
  };
  for (const char* whose : {"", "own"}) {
    const HttpResponse response = client.get("/own_fields?" + std::string(whose));
    CHECK(repeats_of(response) == "Set-Cookie=b=2 X-Again=1 Set-Cookie=a=1 x-again=2 Set-Cookie=b=2 ");
    CHECK(count(response, "Date") == 1);
    CHECK(count(response, "Server") == 1);
    CHECK((response.field("Server") == "mine") == (std::string(whose) == "own"));
    CHECK((response.field("Date") == "Thu, 01 Jan 1970 00:00:00 GMT") == (std::string(whose) == "own"));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 46: no exception of the application ends the worker, SystemExit neither", "[conformance]") {
  WsgiServer server("application");
  const pid_t worker = server.ready_workers().at(0);
  const std::pair<const char*, const char*> raised[] = {{"exit", "SystemExit: 3"},
                                                        {"interrupt", "KeyboardInterrupt"},
                                                        {"generator", "GeneratorExit"},
                                                        {"base", "BaseException: base"}};
  for (const auto& [kind, logged] : raised) expect_failure(server, "/raises?" + std::string(kind), logged);
  CHECK(server.log_count("Traceback (most recent call last)") == 4);
  CHECK(server.ready_workers() == std::vector<pid_t>{worker});
  server.expect_clean_exit();
}

TEST_CASE("WSGI 47: an exception is 500 with the request's id, or after the first byte a cut answer", "[conformance]") {
  WsgiServer server("application");
  expect_failure(server, "/raises?zero", "ZeroDivisionError: division by zero");
  CHECK(server.log_count("in raises") == 1);
  for (const char* how : {"", "length"}) {
    expect_cut(server, "/fails_after_first_byte?" + std::string(how), "the beginning");
  }
  CHECK(server.log_count("ZeroDivisionError: after the first byte") >= 2);
  CHECK(server.text("/exc_info_now") == "(None, None, None)");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 48: the application is any callable", "[conformance]") {
  const std::pair<const char*, const char*> callables[] = {{"wsgi:class_itself", "from a class"},
                                                           {"wsgi:an_object", "from an object"},
                                                           {"wsgi:a_partial", "from a partial"},
                                                           {"wsgi:of_c", "hello\n"}};
  for (const auto& [callable, body] : callables) {
    WsgiServer server(callable);
    CHECK(server.text("/") == body);
    server.expect_clean_exit();
  }
}

}  // namespace
}  // namespace stint::test
