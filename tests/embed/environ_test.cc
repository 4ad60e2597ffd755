#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

#include <string>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// What environ_as_json shows of one key: `"KEY": ` and the value as JSON.
std::string shown(const std::string& key, const std::string& json) {
  return std::string("\"").append(key).append("\": ").append(json);
}

auto has(const std::string& key, const std::string& text) { return ContainsSubstring(shown(key, "\"" + text + "\"")); }

std::string environ_of(const TestRequest& request) { return body_of("environ_as_json", request); }

}  // namespace

TEST_CASE("environ is an exact dict of latin-1 strings, new for each request (WSGI 1, 3)") {
  auto application = python().load("environ_facts");
  REQUIRE(application);
  for (int i = 0; i < 3; ++i) {
    FakeSink sink;
    REQUIRE(!call(*application, TestRequest{.target = "/x?y", .fields = {{"X-A", "\xe9"}}, .body = "abc"}, sink));
    CHECK(sink.body == "[True, True, True, True, True]");
  }
  CHECK_THAT(environ_of({}), has("SCRIPT_NAME", ""));
}

TEST_CASE("environ has all that PEP 3333 requires, and what Stint adds (WSGI 2, 10, 13, 15, 17)") {
  auto text = environ_of({.method = "POST", .target = "/a%20b?c=%41+d", .path = "/a b"});
  CHECK_THAT(text, has("REQUEST_METHOD", "POST"));
  CHECK_THAT(text, has("SCRIPT_NAME", ""));
  CHECK_THAT(text, has("PATH_INFO", "/a b"));
  CHECK_THAT(text, has("QUERY_STRING", "c=%41+d"));
  CHECK_THAT(text, has("REQUEST_URI", "/a%20b?c=%41+d"));
  CHECK_THAT(text, has("RAW_URI", "/a%20b?c=%41+d"));
  CHECK_THAT(text, has("SERVER_NAME", "127.0.0.1"));
  CHECK_THAT(text, has("SERVER_PORT", "8000"));
  CHECK_THAT(text, has("SERVER_PROTOCOL", "HTTP/1.1"));
  CHECK_THAT(text, has("SERVER_SOFTWARE", "stint/" STINT_VERSION));
  CHECK_THAT(text, has("REMOTE_ADDR", "192.0.2.7"));
  CHECK_THAT(text, has("REMOTE_PORT", "51234"));
  CHECK_THAT(text, has("wsgi.version", "(1, 0)"));
  CHECK_THAT(text, has("wsgi.url_scheme", "http"));
  CHECK_THAT(text, ContainsSubstring(shown("wsgi.multithread", "false")));
  CHECK_THAT(text, ContainsSubstring(shown("wsgi.multiprocess", "true")));
  CHECK_THAT(text, ContainsSubstring(shown("wsgi.run_once", "false")));
  CHECK_THAT(text, ContainsSubstring(shown("wsgi.input_terminated", "true")));
  CHECK_THAT(text, ContainsSubstring("\"wsgi.input\": "));
  CHECK_THAT(text, ContainsSubstring("\"wsgi.errors\": "));
  CHECK_THAT(text, ContainsSubstring("\"wsgi.file_wrapper\": "));
  CHECK_THAT(text, has("stint.version", STINT_VERSION));
  CHECK_THAT(text, ContainsSubstring(shown("stint.worker", "3")));
  CHECK_THAT(text, ContainsSubstring(shown("stint.generation", "7")));
  CHECK_THAT(text, has("stint.request_id", "request-1"));
  CHECK_THAT(environ_of({.version_minor = 0}), has("SERVER_PROTOCOL", "HTTP/1.0"));
  CHECK_THAT(environ_of({.target = "/"}), has("QUERY_STRING", ""));
}

TEST_CASE("environ says whether a worker died at this request before (issue 4)") {
  for (const bool was_interrupted : {true, false, true}) {  // none remembers the one before
    const auto text = environ_of({.was_interrupted = was_interrupted});
    CHECK_THAT(text, ContainsSubstring(shown("stint.retried", was_interrupted ? "true" : "false")));
  }
}

TEST_CASE("bytes above ASCII reach environ as latin-1 (WSGI 3, 7)") {
  auto text = environ_of({.target = "/%C3%A9", .path = "/\xc3\xa9", .fields = {{"X-Name", "caf\xe9"}}});
  CHECK_THAT(text, has("PATH_INFO", "/\\u00c3\\u00a9"));
  CHECK_THAT(text, has("HTTP_X_NAME", "caf\\u00e9"));
}

TEST_CASE("CONTENT_TYPE and CONTENT_LENGTH have no HTTP_ twin and are absent when there is none (WSGI 6)") {
  auto with = environ_of({.fields = {{"Content-Type", "text/x"}, {"content-length", "3"}}, .body = "abc"});
  CHECK_THAT(with, has("CONTENT_TYPE", "text/x"));
  CHECK_THAT(with, has("CONTENT_LENGTH", "3"));
  CHECK_THAT(with, !ContainsSubstring("HTTP_CONTENT"));
  auto without = environ_of({});
  CHECK_THAT(without, !ContainsSubstring("CONTENT_TYPE"));
  CHECK_THAT(without, !ContainsSubstring("CONTENT_LENGTH"));
}

TEST_CASE("a chunked body comes with the length it has when decoded (WSGI 21)") {
  auto text = environ_of({.fields = {{"Transfer-Encoding", "chunked"}}, .body = "12345"});
  CHECK_THAT(text, has("CONTENT_LENGTH", "5"));
  CHECK_THAT(text, !ContainsSubstring("TRANSFER_ENCODING"));
}

TEST_CASE("fields become HTTP_ keys, and repeated ones are joined (WSGI 7)") {
  auto text = environ_of({.host = "a.test",
                          .fields = {{"Host", "a.test"},
                                     {"X-Two", "1"},
                                     {"x-two", "2"},
                                     {"X-Two", "1"},
                                     {"X-Same", "s"},
                                     {"X-Same", "s"},
                                     {"Cookie", "a=1"},
                                     {"cookie", "b=2"},
                                     {"Authorization", "Basic x"},
                                     {"X-Empty", ""}}});
  CHECK_THAT(text, has("HTTP_HOST", "a.test"));
  CHECK_THAT(text, has("HTTP_X_TWO", "1, 2, 1"));
  CHECK_THAT(text, has("HTTP_X_SAME", "s, s"));
  CHECK_THAT(text, has("HTTP_COOKIE", "a=1; b=2"));
  CHECK_THAT(text, has("HTTP_AUTHORIZATION", "Basic x"));
  CHECK_THAT(text, has("HTTP_X_EMPTY", ""));
}

TEST_CASE("no field becomes a key that is the server's (WSGI 8)") {
  auto text = environ_of({.fields = {{"Proxy", "http://evil"},
                                     {"Content_Type", "x"},
                                     {"Content_Length", "9"},
                                     {"X_Forwarded_For", "evil"},
                                     {"Remote-User", "root"},
                                     {"Script-Name", "/evil"}}});
  for (const char* key : {"HTTP_PROXY", "CONTENT_TYPE", "CONTENT_LENGTH", "X_FORWARDED_FOR", "\"REMOTE_USER"}) {
    CHECK_THAT(text, !ContainsSubstring(key));
  }
  CHECK_THAT(text, has("HTTP_REMOTE_USER", "root"));
  CHECK_THAT(text, has("SCRIPT_NAME", ""));
}

TEST_CASE("the server's environment variables are not in environ (WSGI 9)") {
  ::setenv("STINT_TEST_SECRET", "secret", 1);
  CHECK_THAT(environ_of({}), !ContainsSubstring("STINT_TEST_SECRET"));
}

TEST_CASE("an IPv6 SERVER_NAME stands in brackets (WSGI 11)") {
  auto text = environ_of({.endpoints = {"2001:db8::1", "1", "::1", "80"}});
  CHECK_THAT(text, has("SERVER_NAME", "[::1]"));
  CHECK_THAT(text, has("REMOTE_ADDR", "2001:db8::1"));
  CHECK_THAT(environ_of({.endpoints = {"", "", "localhost", "80"}}), has("REMOTE_ADDR", ""));
}

TEST_CASE("the host of an absolute target counts when there is no Host field (WSGI 11)") {
  CHECK_THAT(environ_of({.host = "target.test", .version_minor = 0}), has("HTTP_HOST", "target.test"));
  CHECK_THAT(environ_of({.host = "field.test", .fields = {{"host", "field.test"}}}), has("HTTP_HOST", "field.test"));
  CHECK_THAT(environ_of({.version_minor = 0}), !ContainsSubstring("HTTP_HOST"));
}

TEST_CASE("https comes with HTTPS=on, and only then (WSGI 12)") {
  auto secure = environ_of({.scheme = "https"});
  CHECK_THAT(secure, has("wsgi.url_scheme", "https"));
  CHECK_THAT(secure, has("HTTPS", "on"));
  CHECK_THAT(environ_of({}), !ContainsSubstring("\"HTTPS\""));
}

TEST_CASE("what is remembered of one request never shows in the next") {
  auto application = python().load("environ_as_json");
  REQUIRE(application);
  for (const std::string value : {"one", "two", "two", "three"}) {
    FakeSink sink;
    REQUIRE(!call(*application,
                  TestRequest{.method = value,
                              .target = "/" + value,
                              .fields = {{"User-Agent", value}, {"X-" + value == "X-one" ? "X-One" : "X-Other", value}},
                              .endpoints = {value, value, value, value}},
                  sink));
    for (const char* key : {"REQUEST_METHOD", "HTTP_USER_AGENT", "REMOTE_ADDR", "SERVER_PORT", "SERVER_NAME"}) {
      CHECK_THAT(sink.body, has(key, value));
    }
    CHECK_THAT(sink.body, value == "one" ? !ContainsSubstring("HTTP_X_OTHER") : !ContainsSubstring("HTTP_X_ONE"));
  }
}

TEST_CASE("fields with more names than are remembered are passed on all the same") {
  auto application = python().load("environ_as_json");
  REQUIRE(application);
  for (int i = 0; i < 700; ++i) {
    std::string name = "X-Invented-" + std::to_string(i);
    FakeSink sink;
    REQUIRE(
        !call(*application, TestRequest{.fields = {{name, "a"}, {name, "b"}, {std::string(100, 'x'), "long"}}}, sink));
    CHECK_THAT(sink.body, has("HTTP_X_INVENTED_" + std::to_string(i), "a, b"));
    CHECK_THAT(sink.body, has("HTTP_" + std::string(100, 'X'), "long"));
  }
}

TEST_CASE("names beyond those that are remembered are not interned, so that clients cannot fill the memory") {
  std::vector<std::string> names;
  for (int i = 0; i < 700; ++i) names.push_back("X-Uninterned-" + std::to_string(i));
  names.emplace_back(100, 'y');
  TestRequest request;
  for (const std::string& name : names) request.fields.push_back({name, "a"});
  auto application = python().load("interned_keys");
  REQUIRE(application);
  for (int i = 0; i < 2; ++i) {
    FakeSink sink;
    REQUIRE(!call(*application, request, sink));
    CHECK_THAT(sink.body, ContainsSubstring("HTTP_X_UNINTERNED_0 "));
    CHECK_THAT(sink.body, !ContainsSubstring("HTTP_X_UNINTERNED_699 "));
    CHECK_THAT(sink.body, !ContainsSubstring("HTTP_YYY"));
  }
}
