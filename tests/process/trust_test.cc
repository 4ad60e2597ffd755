// Stories of [proxy]: what a trusted proxy says about its client counts, what anybody else says does not, and what is
// known of a connection goes with it to another worker.
#include "tests/process/story.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <csignal>

namespace stint::test {
namespace {

namespace json = boost::json;

json::object environ_of(const HttpResponse& response) { return json::parse(response.body).as_object(); }

std::string text(const json::object& environ, std::string_view key) {
  const json::value* value = environ.if_contains(key);
  return value == nullptr ? "(none)" : std::string(value->as_string());
}

const HttpFields said_by_a_proxy = {{"X-Forwarded-For", "203.0.113.9, 198.51.100.7:4711"},
                                    {"X-Forwarded-Proto", "https"},
                                    {"X-Forwarded-Host", "shop.example"},
                                    {"X-Forwarded-Prefix", "/caf%C3%A9"},
                                    {"X-Request-ID", "trace-0123456789abcdef-0123456789"},
                                    {"X-Remote-User", "ann"}};

ServerOptions with_proxy(const std::string& trusted) {
  ServerOptions options;
  options.set = {{"proxy.trusted", trusted},
                 {"proxy.headers", R"(["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix",
                                      "X-Request-ID"])"},
                 {"proxy.user_header", "\"X-Remote-User\""},
                 {"log.access", "\"-\""},
                 {"log.format", "\"%a %{c}a %u %L %U %>s\""}};
  return options;
}

TEST_CASE("what a trusted proxy says of its client is what the application and the log are told", "[process]") {
  ServerOptions options = with_proxy(R"(["127.0.0.0/8", "unix"])");
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  ServerProcess server(options);
  server.wait_until_ready();

  for (const std::size_t listener : {0u, 1u}) {
    const json::object environ =
        environ_of(HttpClient(server.address(listener)).request("GET", "/environ", said_by_a_proxy));
    CHECK(text(environ, "REMOTE_ADDR") == "198.51.100.7");
    CHECK(text(environ, "REMOTE_PORT") == "4711");
    CHECK(text(environ, "wsgi.url_scheme") == "https");
    CHECK(text(environ, "HTTPS") == "on");
    CHECK(text(environ, "HTTP_HOST") == "shop.example");
    CHECK(text(environ, "SERVER_PORT") == "443");
    CHECK(text(environ, "SCRIPT_NAME") == "/caf\u00c3\u00a9");
    CHECK(text(environ, "PATH_INFO") == "/environ");
    CHECK(text(environ, "REMOTE_USER") == "ann");
    CHECK(text(environ, "stint.request_id") == "trace-0123456789abcdef-0123456789");
  }
  CHECK(eventually([&] {
    return server.output().find("198.51.100.7 127.0.0.1 ann trace-0123456789abcdef-0123456789 /environ 200\n") !=
           std::string::npos;
  }));

  HttpFields contradiction = said_by_a_proxy;
  contradiction.emplace_back("X-Forwarded-Proto", "http");
  const HttpResponse refused = HttpClient(server.address()).request("GET", "/environ", contradiction);
  CHECK(refused.status == 400);
  CHECK(refused.announces_close());
  CHECK(server.status().at("pool").at("totals").at("refused").at("forwarded_schemes_disagree") == 1);
  server.expect_clean_exit();
}

TEST_CASE("from anybody else forwarded fields change nothing, and do not reach the application", "[process]") {
  ServerProcess server(with_proxy(R"(["192.0.2.1"])"));
  server.wait_until_ready();
  const json::object environ = environ_of(HttpClient(server.address()).request("GET", "/environ", said_by_a_proxy));
  CHECK(text(environ, "REMOTE_ADDR") == "127.0.0.1");
  CHECK(text(environ, "wsgi.url_scheme") == "http");
  CHECK(text(environ, "HTTPS") == "(none)");
  CHECK(text(environ, "HTTP_HOST") != "shop.example");
  CHECK(text(environ, "SCRIPT_NAME").empty());
  CHECK(text(environ, "REMOTE_USER") == "(none)");
  CHECK(text(environ, "stint.request_id").size() == 16);
  for (const char* key : {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REMOTE_USER"})
    CHECK(text(environ, key) == "(none)");
  server.expect_clean_exit();
}

// --- PROXY protocol -------------------------------------------------------------------------------------------------

constexpr std::string_view header_v1 = "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n";

std::string header_v2() {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header += '\x21';
  header += '\x21';                    // PROXY, TCP over IPv6
  header += std::string("\0\x2c", 2);  // 36 bytes of addresses and a TLV of 8
  header += std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
  header += std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
  header += std::string("\xdc\x04\x01\xbb", 4);        // 56324 and 443
  header += std::string("\x20\0\x05\x01\0\0\0\0", 8);  // PP2_TYPE_SSL: the client came by TLS
  return header;
}

ServerOptions with_proxy_protocol(const std::string& trusted, unsigned workers = 1) {
  ServerOptions options = with_workers(workers);
  options.set = {{"proxy.trusted", trusted}, {"proxy.protocol", "true"}};
  return options;
}

TEST_CASE("a PROXY protocol header says who the client is, for all requests of its connection", "[process]") {
  ServerProcess server(with_proxy_protocol(R"(["127.0.0.1"])"));
  server.wait_until_ready();

  HttpClient first(server.address());
  first.send(header_v1);
  for (int i = 0; i < 2; ++i) {
    const json::object environ = environ_of(first.get("/environ"));
    CHECK(text(environ, "REMOTE_ADDR") == "203.0.113.9");
    CHECK(text(environ, "REMOTE_PORT") == "56324");
    CHECK(text(environ, "SERVER_PORT") == "443");
    CHECK(text(environ, "wsgi.url_scheme") == "http");  // a port is no proof of TLS
  }
  HttpClient second(server.address());
  second.send(header_v2() + "GET /environ HTTP/1.1\r\nHost: a\r\n\r\n");
  const json::object environ = environ_of(second.receive());
  CHECK(text(environ, "REMOTE_ADDR") == "2001:db8::9");
  CHECK(text(environ, "wsgi.url_scheme") == "https");

  HttpClient bytewise(server.address());
  for (const char byte : header_v2()) bytewise.send({&byte, 1});
  CHECK(text(environ_of(bytewise.get("/environ")), "REMOTE_ADDR") == "2001:db8::9");
  server.expect_clean_exit();
}

TEST_CASE("a connection without a PROXY protocol header, or of a stranger, is closed without an answer", "[process]") {
  {
    ServerProcess server(with_proxy_protocol(R"(["127.0.0.1"])"));
    server.wait_until_ready();
    for (const std::string_view bytes :
         {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n", "\x16\x03\x01"}) {
      HttpClient client(server.address());
      client.send(bytes);
      CHECK(client.is_closed_within(std::chrono::seconds(20)));
    }
    HttpClient good(server.address());
    good.send(header_v1);
    CHECK(good.get("/").status == 200);
    server.expect_clean_exit();
  }
  ServerProcess server(with_proxy_protocol(R"(["192.0.2.1"])"));
  server.wait_until_serving();
  HttpClient stranger(server.address());
  stranger.send(std::string(header_v1) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(stranger.is_closed_within(std::chrono::seconds(20)));
  CHECK(server.status().at("pool").at("totals").at("refused").at("proxy_untrusted") == 1);
  server.expect_clean_exit();
}

TEST_CASE("what a PROXY protocol header said goes with the connection when its worker retires or dies", "[process]") {
  ServerProcess server(with_proxy_protocol(R"(["127.0.0.1"])", 2));
  server.wait_until_ready();
  HttpClient idle(server.address()), half_a_header(server.address()), half_a_request(server.address());
  idle.send(header_v1);
  CHECK(text(environ_of(idle.get("/environ")), "REMOTE_ADDR") == "203.0.113.9");
  half_a_header.send(header_v1.substr(0, 20));
  half_a_request.send(std::string(header_v1) + "GET /environ HT");
  CHECK(eventually([&] { return server.status().at("pool").at("workers").as_array().size() == 2; }));

  const auto expect_all_to_go_on = [&] {
    CHECK(text(environ_of(idle.get("/environ")), "REMOTE_ADDR") == "203.0.113.9");
    CHECK(text(environ_of(half_a_header.get("/environ")), "REMOTE_ADDR") == "203.0.113.9");
    CHECK(text(environ_of(half_a_request.get("/environ")), "REMOTE_ADDR") == "203.0.113.9");
  };
  const auto before = server.ready_workers();
  REQUIRE(server.command({"recycle"}).exit_code == 0);
  REQUIRE(eventually([&] {
    const auto now = server.ready_workers();
    return now.size() == 2 && std::find_first_of(now.begin(), now.end(), before.begin(), before.end()) == now.end();
  }));
  half_a_header.send(header_v1.substr(20));
  half_a_request.send("TP/1.1\r\nHost: a\r\n\r\n");
  CHECK(text(environ_of(half_a_request.receive()), "REMOTE_ADDR") == "203.0.113.9");
  expect_all_to_go_on();

  for (const pid_t worker : server.ready_workers()) ::kill(worker, SIGKILL);
  expect_all_to_go_on();
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
