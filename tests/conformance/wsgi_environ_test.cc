// Statements 1 to 17, environ, as an application behind the real server sees it.
#include "tests/conformance/wsgi_server.h"

#include <boost/json/parse.hpp>

#include <algorithm>

namespace stint::test {
namespace {

std::string plain_or_validated() { return GENERATE("application", "validated"); }

TEST_CASE("WSGI 1: environ is a dict of its own for each request", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  for (int i = 0; i < 3; ++i) CHECK(client.get("/environ_facts").body == "[True, True, True, True, True]");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 2: all keys that PEP 3333 requires are there", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ();
  CHECK(shown(environ, "REQUEST_METHOD") == "GET");
  CHECK(shown(environ, "SCRIPT_NAME") == "");
  CHECK(shown(environ, "PATH_INFO") == "/environ_as_json");
  CHECK(shown(environ, "QUERY_STRING") == "");
  CHECK(shown(environ, "SERVER_NAME") == "127.0.0.1");
  CHECK(shown(environ, "SERVER_PORT") == server.address().substr(server.address().rfind(':') + 1));
  CHECK(environ.at("SERVER_PORT").is_string());
  CHECK(shown(environ, "SERVER_PROTOCOL") == "HTTP/1.1");
  CHECK(shown(environ, "wsgi.version") == "(1, 0)");
  CHECK(shown(environ, "wsgi.url_scheme") == "http");
  for (const char* key : {"wsgi.input", "wsgi.errors"}) CHECK(environ.contains(key));
  for (const char* key : {"wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"}) CHECK(environ.at(key).is_bool());
  server.expect_clean_exit();
}

TEST_CASE("WSGI 3: strings hold the bytes as latin-1", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({{"X-Name", "caf\xe9 \xc3\xa9"}}, "/%C3%A9");
  CHECK(shown(environ, "PATH_INFO") == "/environ_as_json/\xc3\x83\xc2\xa9");
  CHECK(shown(environ, "HTTP_X_NAME") == "caf\xc3\xa9 \xc3\x83\xc2\xa9");
  CHECK(server.text("/raw_path/%C3%A9%ff%0a") == "/raw_path/\xc3\xa9\xff\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 4: PATH_INFO is decoded once, QUERY_STRING never, '+' stays", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({}, "/%2541+%20?a=%41+%2541&b=+");
  CHECK(shown(environ, "PATH_INFO") == "/environ_as_json/%41+ ");
  CHECK(shown(environ, "QUERY_STRING") == "a=%41+%2541&b=+");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 5: SCRIPT_NAME and PATH_INFO together are the path", "[conformance]") {
  WsgiServer server(plain_or_validated());
  for (const char* behind : {"", "/", "//", "/../a/"}) {
    const boost::json::object environ = server.environ({}, behind);
    CHECK(shown(environ, "SCRIPT_NAME") == "");
    CHECK(shown(environ, "PATH_INFO") == std::string("/environ_as_json") + behind);
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 5: below app.mount that is the SCRIPT_NAME, and what is beside it is not this application's",
          "[conformance]") {
  ServerOptions options;
  options.set = {{"app.mount", "\"/x\""}};
  WsgiServer server("mounted", options);
  const std::pair<const char*, const char*> below[] = {{"/x", ""},           {"/x/", "/"},         {"/x//", "//"},
                                                       {"/x/a%20b", "/a b"}, {"/x/../x", "/../x"}, {"/%78/y", "/y"}};
  for (const auto& [target, path_info] : below) {
    INFO(target);
    const boost::json::object environ = boost::json::parse(server.text(std::string(target) + "?q")).as_object();
    CHECK(shown(environ, "SCRIPT_NAME") == "/x");
    CHECK(shown(environ, "PATH_INFO") == path_info);
    CHECK(shown(environ, "QUERY_STRING") == "q");
    CHECK(shown(environ, "REQUEST_URI") == std::string(target) + "?q");
  }
  for (const char* target : {"/", "/xy", "/X", "/y/x", "//x"}) {
    INFO(target);
    CHECK(fetch(server.address(), target).status == 404);
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 6: CONTENT_TYPE and CONTENT_LENGTH are there when the client sent them, and have no twin",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  const auto environ_of = [&](const std::string& fields) {
    HttpClient client(server.address());
    client.send("POST /environ_as_json HTTP/1.1\r\nHost: a\r\n" + fields);
    return boost::json::parse(client.receive().body).as_object();
  };
  const boost::json::object with = environ_of("content-TYPE: text/x\r\ncontent-LENGTH: 003\r\n\r\nabc");
  CHECK(shown(with, "CONTENT_TYPE") == "text/x");
  CHECK(shown(with, "CONTENT_LENGTH") == "3");
  const boost::json::object without = environ_of("\r\n"), empty = environ_of("Content-Type:\r\n\r\n");
  for (const char* key : {"CONTENT_TYPE", "CONTENT_LENGTH"}) CHECK(shown(without, key) == "-");
  CHECK(shown(empty, "CONTENT_TYPE") == "");
  for (const boost::json::object& environ : {with, without, empty}) {
    for (const char* key : {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}) CHECK_FALSE(environ.contains(key));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 7: fields become HTTP_ keys, repeats are joined, bytes are kept", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({{"x-MiXed-Case", "a"},
                                                      {"X-Two", "1"},
                                                      {"Cookie", "a=1"},
                                                      {"x-two", "2"},
                                                      {"cookie", "b=2"},
                                                      {"X-Bytes", "\x80\xff"}});
  CHECK(shown(environ, "HTTP_X_MIXED_CASE") == "a");
  CHECK(shown(environ, "HTTP_X_TWO") == "1, 2");
  CHECK(shown(environ, "HTTP_COOKIE") == "a=1; b=2");
  CHECK(shown(environ, "HTTP_X_BYTES") == "\xc2\x80\xc3\xbf");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 8: no key comes from a field but HTTP_*, CONTENT_TYPE and CONTENT_LENGTH", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object usual = server.environ();
  HttpClient client(server.address());
  client.send(
      "POST /environ_as_json HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nProxy: http://evil\r\n"
      "Remote-User: root\r\nREMOTE_USER: root\r\nScript-Name: /evil\r\nHttps: on\r\nWsgi.Input: x\r\n"
      "Content_Length: 9\r\nContent_Type: x\r\nHttp-Proxy: x\r\n\r\n0\r\n\r\n");
  const boost::json::object environ = boost::json::parse(client.receive().body).as_object();
  for (const auto& [key, value] : environ) {
    INFO(key);
    CHECK((usual.contains(key) || key == "CONTENT_LENGTH" || key.starts_with("HTTP_")));
  }
  for (const char* key : {"HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"}) {
    CHECK_FALSE(environ.contains(key));
  }
  CHECK(shown(environ, "SCRIPT_NAME") == "");
  CHECK(shown(environ, "CONTENT_LENGTH") == "0");
  CHECK(shown(environ, "HTTP_REMOTE_USER") == "root");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 9: the server's environment variables are not in environ", "[conformance]") {
  ServerOptions options;
  options.environment = {"SERVERS_OWN_VARIABLE=secret"};
  options.set = {{"app.env", "{ APPS_OWN_VARIABLE = \"secret\" }"}};
  WsgiServer server(plain_or_validated(), options);
  const boost::json::object environ = server.environ();
  for (const char* key : {"SERVERS_OWN_VARIABLE", "APPS_OWN_VARIABLE", "PATH", "HOME", "PYTHONDONTWRITEBYTECODE"}) {
    CHECK_FALSE(environ.contains(key));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 10: SERVER_PROTOCOL is the client's version", "[conformance]") {
  WsgiServer server(plain_or_validated());
  for (const std::string version : {"HTTP/1.0", "HTTP/1.1"}) {
    HttpClient client(server.address());
    client.send("GET /environ_as_json " + version + "\r\nHost: a\r\n\r\n");
    CHECK(shown(boost::json::parse(client.receive().body).as_object(), "SERVER_PROTOCOL") == version);
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 11: SERVER_NAME and SERVER_PORT are never empty, and the URL can be rebuilt", "[conformance]") {
  ServerOptions options;
  options.listen = {"127.0.0.1:0", "[::1]:0", "unix:site.sock"};
  WsgiServer server(plain_or_validated(), options);
  // Without Host the URL comes from SERVER_NAME and SERVER_PORT.
  for (std::size_t listener = 0; listener < 3; ++listener) {
    INFO(server.address(listener));
    HttpClient client(server.address(listener));
    client.send("GET /url HTTP/1.0\r\n\r\n");
    const std::string authority = listener == 2 ? "localhost" : server.address(listener);
    CHECK(client.receive().body == "http://" + authority + "/url");
  }
  for (std::size_t listener = 0; listener < 3; ++listener) {
    for (const std::string host : {"www.example.com", "www.example.com:8000", "[2001:db8::1]:81", "localhost"}) {
      for (const std::string target : {"/url/", "/url/a%20b/%C3%A9/%2541?q=%41+b&c=/?", "/url/;p=1,2/=?a"}) {
        HttpClient client(server.address(listener));
        client.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        CHECK(client.receive().body == "http://" + host + target);
      }
    }
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 12: the scheme is http, whatever an untrusted client says", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({{"X-Forwarded-Proto", "https"},
                                                      {"X-Forwarded-Ssl", "on"},
                                                      {"X-Forwarded-Port", "443"},
                                                      {"Forwarded", "proto=https"},
                                                      {"X-Url-Scheme", "https"}});
  CHECK(shown(environ, "wsgi.url_scheme") == "http");
  CHECK_FALSE(environ.contains("HTTPS"));
  server.expect_clean_exit();
}

// Every field of a trusted proxy counts; the peers are 127.0.0.1 and a unix socket.
ServerOptions behind_a_proxy(const std::string& trusted = "[\"127.0.0.1\", \"unix\"]") {
  ServerOptions options;
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  options.set = {{"proxy.trusted", trusted},
                 {"proxy.headers",
                  "[\"X-Forwarded-For\", \"X-Forwarded-Proto\", \"X-Forwarded-Host\", \"X-Forwarded-Port\", "
                  "\"X-Forwarded-Prefix\", \"X-Request-ID\"]"},
                 {"proxy.user_header", "\"X-Remote-User\""}};
  return options;
}

const HttpFields said_by_a_proxy = {{"X-Forwarded-For", "203.0.113.9, 192.0.2.7"},
                                    {"X-Forwarded-Proto", "https"},
                                    {"X-Forwarded-Host", "www.example.com"},
                                    {"X-Forwarded-Prefix", "/shop"},
                                    {"X-Request-ID", "of-the-proxy"},
                                    {"X-Remote-User", "alice"}};

TEST_CASE("WSGI 11: behind a trusted proxy the URL is the one that its client asked for", "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy());
  for (std::size_t listener = 0; listener < 2; ++listener) {
    CHECK(server.text("/url/a%20b?q", said_by_a_proxy, listener) == "https://www.example.com/shop/url/a%20b?q");
    CHECK(server.text("/url", {{"X-Forwarded-Host", "www.example.com:8443"}, {"X-Forwarded-Proto", "https"}},
                      listener) == "https://www.example.com:8443/url");
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 12: a trusted proxy says https, and then HTTPS is on", "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy());
  const boost::json::object environ = server.environ({{"X-Forwarded-Proto", "https"}});
  CHECK(shown(environ, "wsgi.url_scheme") == "https");
  CHECK(shown(environ, "HTTPS") == "on");
  CHECK(shown(environ, "SERVER_PORT") == "443");
  const boost::json::object other = server.environ({{"X-Forwarded-Proto", "http"}});
  CHECK(shown(other, "wsgi.url_scheme") == "http");
  CHECK_FALSE(other.contains("HTTPS"));
  const HttpResponse refused =
      fetch(server.address(), "/environ_as_json", {{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "http"}});
  CHECK(refused.status == 400);
  CHECK(refused.announces_close());
  server.expect_clean_exit();
}

TEST_CASE("WSGI 12, 13, 14: of a stranger beside trusted proxies no word counts, nor reaches the application",
          "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy("[\"192.0.2.1\"]"));
  const boost::json::object environ = server.environ(said_by_a_proxy);
  CHECK(shown(environ, "wsgi.url_scheme") == "http");
  CHECK(shown(environ, "REMOTE_ADDR") == "127.0.0.1");
  CHECK(shown(environ, "HTTP_HOST") == "localhost");
  CHECK(shown(environ, "SCRIPT_NAME") == "");
  CHECK(shown(environ, "stint.request_id") != "of-the-proxy");
  for (const char* key : {"HTTPS", "REMOTE_USER", "AUTH_TYPE", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_FOR",
                          "HTTP_X_FORWARDED_HOST", "HTTP_X_REMOTE_USER"}) {
    INFO(key);
    CHECK_FALSE(environ.contains(key));
  }
  server.expect_clean_exit();
}

TEST_CASE(
    "WSGI 13: REMOTE_ADDR is the client's that a trusted proxy names, the first from the right that is not trusted",
    "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy("[\"127.0.0.0/8\", \"unix\", \"2001:db8::/32\"]"));
  const std::pair<const char*, const char*> walks[] = {
      {"192.0.2.7", "192.0.2.7"},
      {"198.51.100.1, 192.0.2.7", "192.0.2.7"},
      {"192.0.2.7, 127.0.0.9", "192.0.2.7"},
      {"192.0.2.7, 2001:db8::1", "192.0.2.7"},
      {"192.0.2.7, junk, 127.0.0.9", "127.0.0.9"},
      {"2001:DB9::0:1", "2001:db9::1"},
  };
  for (std::size_t listener = 0; listener < 2; ++listener) {
    for (const auto& [said, address] : walks) {
      INFO(said);
      const std::string text = server.text("/environ_as_json", {{"X-Forwarded-For", said}}, listener);
      const boost::json::object environ = boost::json::parse(text).as_object();
      CHECK(shown(environ, "REMOTE_ADDR") == address);
      CHECK(environ.at("REMOTE_PORT").is_string());
    }
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 14: REMOTE_USER is whom a trusted proxy names in the field of the settings", "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy());
  const boost::json::object environ = server.environ({{"X-Remote-User", "alice"}, {"Authorization", "Basic eA=="}});
  CHECK(shown(environ, "REMOTE_USER") == "alice");
  CHECK(shown(environ, "HTTP_AUTHORIZATION") == "Basic eA==");
  CHECK_FALSE(server.environ({{"Remote-User", "alice"}}).contains("REMOTE_USER"));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 17: stint.request_id is the one that a trusted proxy gives", "[conformance]") {
  WsgiServer server(plain_or_validated(), behind_a_proxy());
  CHECK(shown(server.environ({{"X-Request-ID", "of-the-proxy"}}), "stint.request_id") == "of-the-proxy");
  CHECK(shown(server.environ(), "stint.request_id").size() == 16);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 13: REMOTE_ADDR is an address, REMOTE_PORT digits, both empty for a unix socket", "[conformance]") {
  ServerOptions options;
  options.listen = {"127.0.0.1:0", "[::1]:0", "unix:site.sock"};
  WsgiServer server(plain_or_validated(), options);
  const char* const addresses[] = {"127.0.0.1", "::1", ""};
  for (std::size_t listener = 0; listener < 3; ++listener) {
    const std::string text = server.text("/environ_as_json", {{"X-Forwarded-For", "192.0.2.1"}}, listener);
    const boost::json::object environ = boost::json::parse(text).as_object();
    CHECK(shown(environ, "REMOTE_ADDR") == addresses[listener]);
    REQUIRE(environ.contains("REMOTE_PORT"));
    CHECK(environ.at("REMOTE_PORT").is_string());
    const std::string port = shown(environ, "REMOTE_PORT");
    CHECK(port.empty() == (listener == 2));
    CHECK(std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 14: no client names REMOTE_USER, and Authorization is passed on", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({{"Authorization", "Basic dXNlcjpwYXNz"},
                                                      {"Remote-User", "root"},
                                                      {"X-Remote-User", "root"},
                                                      {"Auth-Type", "Basic"}});
  CHECK(shown(environ, "HTTP_AUTHORIZATION") == "Basic dXNlcjpwYXNz");
  for (const char* key : {"REMOTE_USER", "AUTH_TYPE"}) CHECK_FALSE(environ.contains(key));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 15: wsgi.multiprocess is true, also of one worker, which another replaces while it runs",
          "[conformance]") {
  const unsigned workers = GENERATE(1u, 2u);
  WsgiServer server("application", with_workers(workers));
  const boost::json::object environ = server.environ();
  CHECK(shown(environ, "wsgi.multithread") == (threads_of_a_worker() > 1 ? "true" : "false"));
  CHECK(shown(environ, "wsgi.multiprocess") == "true");
  CHECK(shown(environ, "wsgi.run_once") == "false");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 16: wsgi.errors takes any text, in any locale, and writes it with app, pid and request",
          "[conformance]") {
  ServerOptions options;
  options.environment = {"LANG=C", "LC_ALL=C"};
  WsgiServer server("application", options);
  CHECK(server.text("/errors_written") == "ok");
  const std::string until = server.file("until");
  const std::string id = server.text("/errors_late?until=" + until);
  const std::string worker = std::to_string(server.ready_workers().at(0));
  server.folder().write("until", "");
  CHECK(eventually([&] { return server.log_count("written late") == 1; }));
  server.expect_clean_exit();

  const std::string log = server.log();
  INFO(log);
  for (const char* text : {"one", "two", "partial", "ab", "left over"}) CHECK(count_of(log, text) >= 1);
  CHECK(count_of(log, "\xe2\x82\xac") == 1);  // EURO SIGN as UTF-8, as the log is
  const std::string line = log.substr(log.rfind('\n', log.find("written late")) + 1);
  CHECK(line.find("wsgi/1[" + worker + "]") < line.find('\n'));
  CHECK(line.find("request=" + id) < line.find('\n'));
}

TEST_CASE("WSGI 17: environ has the extra keys, the server's own with its prefix", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const boost::json::object environ = server.environ({}, "/%41?b=%42");
  for (const char* key : {"REQUEST_URI", "RAW_URI"}) CHECK(shown(environ, key) == "/environ_as_json/%41?b=%42");
  CHECK(shown(environ, "SERVER_SOFTWARE").starts_with("stint/"));
  CHECK(shown(environ, "wsgi.input_terminated") == "true");
  CHECK(environ.contains("wsgi.file_wrapper"));
  CHECK("stint/" + shown(environ, "stint.version") == shown(environ, "SERVER_SOFTWARE"));
  CHECK(shown(environ, "stint.worker") == "1");
  CHECK(shown(environ, "stint.request_id").size() == 16);
  for (const auto& [key, value] : environ) {
    INFO(key);
    CHECK((key.find('.') == key.npos || key.starts_with("wsgi.") || key.starts_with("stint.")));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 17: early hints go out at once to clients of HTTP/1.1, and not at all to those of HTTP/1.0",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string raised =
      "['TypeError', 'TypeError', 'ValueError', 'ValueError', 'TypeError', 'ValueError', 'TypeError'] RuntimeError";
  const std::string until = server.file("until");
  HttpClient client(server.address());
  client.send("GET /hints?until=" + until + " HTTP/1.1\r\nHost: a\r\n\r\n");
  const HttpResponse first = client.receive(), second = client.receive();
  CHECK(first.status == 103);
  CHECK(first.fields ==
        HttpFields{{"Link", "</style.css>; rel=preload; as=style"}, {"Link", "</two.js>; rel=preload"}});
  CHECK(second.fields == HttpFields{{"Link", "</late.css>; rel=preload"}});
  CHECK_FALSE(client.is_readable_within(50ms));
  server.folder().write("until", "");
  CHECK(client.receive().body == raised);
  CHECK(client.get("/hello").status == 200);

  HttpClient old_client(server.address());
  old_client.send("GET /hints HTTP/1.0\r\n\r\n");
  const HttpResponse only = old_client.receive();
  CHECK(only.status == 200);
  CHECK(only.body == raised);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
