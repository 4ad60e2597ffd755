#include "server/http/forwarded.h"

#include "tests/support/catch.h"

#include <string>
#include <utility>
#include <vector>

namespace stint::http {
namespace {

using Fields = std::vector<HeaderField>;

// Every field counts, and whoever is in 10.0.0.0/8, 2001:db8:aaaa::/48 or on a unix socket is a proxy.
ProxySettings everything() {
  ProxySettings settings;
  for (const std::string_view trusted : {"10.0.0.0/8", "2001:db8:aaaa::/48", "unix"}) {
    settings.trusted.push_back(*Network::parse(trusted));
  }
  for (std::size_t i = 0; i < std::size(forwarded_field_names); ++i) {
    settings.headers.push_back(static_cast<ForwardedField>(i));
  }
  settings.user_header = "X-Remote-User";
  return settings;
}

// What counts of the fields of a trusted peer, as one line: "for=192.0.2.7 scheme=https server_port=443".
std::string said(const Fields& fields, const ProxySettings& settings = everything()) {
  const auto reading = ForwardedRules(settings).read(fields);
  if (const auto* refusal = std::get_if<Refusal>(&reading)) {
    return std::to_string(refusal->status) + " " + std::string(text_of(refusal->reason));
  }
  const Forwarded& forwarded = std::get<Forwarded>(reading);
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) text += std::string(text.empty() ? "" : " ") + std::string(name) + "=" + std::string(value);
  };
  add("for", forwarded.client_address.view());
  add("port", forwarded.client_port);
  add("scheme", forwarded.scheme);
  add("host", forwarded.host);
  add("server_port", forwarded.server_port);
  add("prefix", forwarded.prefix);
  add("id", forwarded.request_id);
  add("user", forwarded.user);
  return text;
}

constexpr std::string_view disagree = "400 forwarded_schemes_disagree";

struct Said {
  Fields fields;
  std::string_view counts;
};

void check(const std::vector<Said>& table) {
  for (const Said& row : table) {
    for (const HeaderField& field : row.fields) UNSCOPED_INFO(field.name << ": " << field.value);
    CHECK(said(row.fields) == row.counts);
  }
}

// One line of X-Forwarded-For.
void check_for(const std::vector<std::pair<std::string_view, std::string_view>>& table) {
  for (const auto& [value, counts] : table) {
    CAPTURE(value);
    CHECK(said({{"X-Forwarded-For", value}}) == counts);
  }
}

void check_forwarded(const std::vector<std::pair<std::string_view, std::string_view>>& table) {
  for (const auto& [value, counts] : table) {
    CAPTURE(value);
    CHECK(said({{"Forwarded", value}}) == counts);
  }
}

std::string repeated(std::string_view text, unsigned count) {
  std::string whole;
  for (unsigned i = 0; i < count; ++i) whole += text;
  return whole;
}

}  // namespace

TEST_CASE("only peers of proxy.trusted may speak for others", "[http]") {
  const ForwardedRules rules(everything());
  CHECK(rules.trusts(IpAddress::parse("10.1.2.3")));
  CHECK(rules.trusts(IpAddress::parse("::ffff:10.1.2.3")));
  CHECK(rules.trusts(IpAddress::parse("2001:db8:aaaa::1")));
  CHECK(rules.trusts(std::nullopt));  // on a unix socket
  CHECK_FALSE(rules.trusts(IpAddress::parse("11.1.2.3")));
  CHECK_FALSE(rules.trusts(IpAddress::parse("2001:db8:aaab::1")));

  ProxySettings without_unix = everything();
  without_unix.trusted.pop_back();
  CHECK_FALSE(ForwardedRules(without_unix).trusts(std::nullopt));

  const ForwardedRules nobody{ProxySettings{}};
  CHECK_FALSE(nobody.trusts(std::nullopt));
  CHECK_FALSE(nobody.trusts(IpAddress::parse("127.0.0.1")));
  CHECK_FALSE(nobody.trusts(IpAddress::parse("::")));
}

TEST_CASE("a request without any such field says nothing", "[http]") {
  CHECK(said({}).empty());
  CHECK(said({{"Host", "a"}, {"X-Forwarded", "1.2.3.4"}, {"X-Forwarded-Fox", "1.2.3.4"}, {"", ""}}).empty());
}

TEST_CASE("a field counts only when it is among the headers that count", "[http]") {
  const Fields all = {{"Forwarded", "for=192.0.2.1;proto=https;host=f.example"},
                      {"X-Forwarded-For", "192.0.2.2"},
                      {"X-Forwarded-Proto", "https"},
                      {"X-Forwarded-Host", "x.example"},
                      {"X-Forwarded-Port", "8443"},
                      {"X-Forwarded-Prefix", "/app"},
                      {"X-Request-ID", "abc"},
                      {"X-Remote-User", "eve"}};
  const auto [header, counts] = GENERATE(table<ForwardedField, std::string>({
      {ForwardedField::forwarded, "for=192.0.2.1 scheme=https host=f.example server_port=443"},
      {ForwardedField::x_forwarded_for, "for=192.0.2.2"},
      {ForwardedField::x_forwarded_proto, "scheme=https server_port=443"},
      {ForwardedField::x_forwarded_host, "host=x.example"},
      {ForwardedField::x_forwarded_port, "server_port=8443"},
      {ForwardedField::x_forwarded_prefix, "prefix=/app"},
      {ForwardedField::x_request_id, "id=abc"},
  }));
  ProxySettings settings;
  settings.headers = {header};
  CHECK(said(all, settings) == counts);

  settings.headers.clear();
  CHECK(said(all, settings).empty());
  settings.user_header = "x-remote-USER";
  CHECK(said(all, settings) == "user=eve");
}

TEST_CASE("names of fields count in any case", "[http]") {
  CHECK(said({{"x-forwarded-for", "192.0.2.7"}, {"X-FORWARDED-PROTO", "https"}, {"x-remote-user", "ann"}}) ==
        "for=192.0.2.7 scheme=https server_port=443 user=ann");
}

TEST_CASE("the walk over addresses stops at the first one from the right that is not trusted", "[http]") {
  check_for({
      {"192.0.2.7", "for=192.0.2.7"},
      {"192.0.2.7, 10.0.0.1", "for=192.0.2.7"},
      {"192.0.2.7,10.0.0.1 ,\t2001:db8:aaaa::5", "for=192.0.2.7"},
      {"127.0.0.1, 192.0.2.7, 10.0.0.1", "for=192.0.2.7"},
      {"10.0.0.9, 192.0.2.7", "for=192.0.2.7"},
      {"192.0.2.7, ::ffff:10.0.0.1", "for=192.0.2.7"},
      // all are trusted: the leftmost
      {"10.0.0.1", "for=10.0.0.1"},
      {"10.0.0.2, 10.0.0.1", "for=10.0.0.2"},
  });
}

TEST_CASE("lines of one field are one list", "[http]") {
  check({
      {{{"X-Forwarded-For", "192.0.2.6"}, {"X-Forwarded-For", "192.0.2.7"}}, "for=192.0.2.7"},
      {{{"X-Forwarded-For", "192.0.2.6"},
        {"A", "b"},
        {"X-Forwarded-Fox", "192.0.2.5"},
        {"x-forwarded-for", "10.0.0.1"}},
       "for=192.0.2.6"},
      {{{"X-Forwarded-For", "192.0.2.6, 10.0.0.2"}, {"X-Forwarded-For", "10.0.0.1"}}, "for=192.0.2.6"},
      {{{"X-Forwarded-For", "192.0.2.6"}, {"X-Forwarded-For", ""}, {"X-Forwarded-For", "10.0.0.1"}}, "for=10.0.0.1"},
      {{{"Forwarded", "for=192.0.2.6;proto=https"}, {"Forwarded", "for=10.0.0.1;proto=http"}},
       "for=192.0.2.6 scheme=https server_port=443"},
  });
}

TEST_CASE("an element that is no address stops the walk at the address behind it", "[http]") {
  for (const std::string_view junk : {"unknown",
                                      "_hidden",
                                      "",
                                      " ",
                                      "garbage",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "01.2.3.4",
                                      "1.2.3.4:",
                                      "1.2.3.4:0",
                                      "1.2.3.4:65536",
                                      "1.2.3.4:080",
                                      "1.2.3.4:x",
                                      "1.2.3.4:_x",
                                      "1.2.3.4:80:80",
                                      "[1.2.3.4]",
                                      "[::1",
                                      "::1]",
                                      "[::1]x",
                                      "[::1]:",
                                      "[::1]:99999",
                                      "[::1]80",
                                      "[]",
                                      "[]:80",
                                      "[",
                                      "::1%eth0",
                                      "\"1.2.3.4\"",
                                      "1.2.3.4 5.6.7.8",
                                      "for=1.2.3.4",
                                      "unix:",
                                      "localhost",
                                      "1.2.3.4;80",
                                      "\xff"}) {
    CAPTURE(junk);
    const std::string alone(junk), behind = "192.0.2.7, " + alone, between = "192.0.2.7, " + alone + ", 10.0.0.1";
    CHECK(said({{"X-Forwarded-For", alone}}).empty());
    CHECK(said({{"X-Forwarded-For", behind}}).empty());
    CHECK(said({{"X-Forwarded-For", between}}) == "for=10.0.0.1");
  }
}

TEST_CASE("what is left of the client is not looked at", "[http]") {
  check_for({
      {"unknown, 192.0.2.7, 10.0.0.1", "for=192.0.2.7"},
      {",,,\", 192.0.2.7", "for=192.0.2.7"},
  });
  check_forwarded({
      {"for=\", for=192.0.2.7", "for=192.0.2.7"},
      {"for=6.6.6.6;x=\", for=\"192.0.2.7:80\"", "for=192.0.2.7 port=80"},
      {"for=6.6.6.6;x=\"a\\\", for=192.0.2.7;proto=https", "for=192.0.2.7 scheme=https server_port=443"},
      {";;=,\\\", for=192.0.2.7", "for=192.0.2.7"},
  });
}

TEST_CASE("addresses come with ports, with brackets or bare", "[http]") {
  check_for({
      {"192.0.2.7:5678", "for=192.0.2.7 port=5678"},
      {"192.0.2.7:1", "for=192.0.2.7 port=1"},
      {"192.0.2.7:65535", "for=192.0.2.7 port=65535"},
      {"[2001:db8::7]", "for=2001:db8::7"},
      {"[2001:DB8:0::7]:5678", "for=2001:db8::7 port=5678"},
      {"2001:db8::7", "for=2001:db8::7"},
      {"[::ffff:192.0.2.7]:80", "for=192.0.2.7 port=80"},
      {"::ffff:192.0.2.7", "for=192.0.2.7"},
      {"192.0.2.7:80, 10.0.0.1:4711", "for=192.0.2.7 port=80"},
      {"192.0.2.7, 10.0.0.1:4711", "for=192.0.2.7"},
  });
}

TEST_CASE("at most max_hops elements are looked at", "[http]") {
  const std::string_view one = ", 10.0.0.1";
  const std::string all = "192.0.2.7" + repeated(one, ForwardedRules::max_hops - 1);
  const std::string too_many = "192.0.2.7" + repeated(one, ForwardedRules::max_hops);
  CHECK(said({{"X-Forwarded-For", all}}) == "for=192.0.2.7");
  CHECK(said({{"X-Forwarded-For", too_many}}) == "for=10.0.0.1");

  const std::string schemes = "https" + repeated(", http", ForwardedRules::max_hops - 1);
  CHECK(said({{"X-Forwarded-For", all}, {"X-Forwarded-Proto", schemes}}) ==
        "for=192.0.2.7 scheme=https server_port=443");
}

TEST_CASE("Forwarded is read as RFC 7239 has it", "[http]") {
  check_forwarded({
      {"for=192.0.2.7", "for=192.0.2.7"},
      {"For=\"192.0.2.7:47011\"", "for=192.0.2.7 port=47011"},
      {"FOR=\"[2001:db8:cafe::17]:4711\"", "for=2001:db8:cafe::17 port=4711"},
      {"for=\"[2001:db8:cafe::17]\"", "for=2001:db8:cafe::17"},
      {"for=192.0.2.7;by=203.0.113.43;proto=http", "for=192.0.2.7 scheme=http server_port=80"},
      {"for=192.0.2.7;proto=HTTPS;host=example.org", "for=192.0.2.7 scheme=https host=example.org server_port=443"},
      {"proto=\"https\" ; for=192.0.2.7 ;host=\"example.org:8443\"",
       "for=192.0.2.7 scheme=https host=example.org:8443 server_port=8443"},
      {"for=192.0.2.7;proto=wss", "for=192.0.2.7"},
      {"for=192.0.2.7;host=\"a/b\"", "for=192.0.2.7"},
      {"for=192.0.2.7;secret=\"a, b; c=\\\"d\\\\\"", "for=192.0.2.7"},
      {";for=192.0.2.7;;", "for=192.0.2.7"},
      // colons and brackets without quotes are borne
      {"for=192.0.2.7:80;host=example.org:81", "for=192.0.2.7 port=80 host=example.org:81 server_port=81"},
      {"for=[2001:db8::7]:80", "for=2001:db8::7 port=80"},
      // hidden ports
      {"for=\"192.0.2.7:_a1\"", "for=192.0.2.7"},
      {"for=\"192.0.2.7:_\"", ""},
      // quotes that hold commas do not part elements
      {"for=192.0.2.7;x=\", for=6.6.6.6\"", "for=192.0.2.7"},
      {"for=192.0.2.7, for=10.0.0.1;x=\"\\\", for=6.6.6.6\"", "for=192.0.2.7"},
  });
}

TEST_CASE("an element of Forwarded that is malformed or hides its client stops the walk", "[http]") {
  for (const std::string_view junk : {"for=unknown",
                                      "for=_hidden",
                                      "for=\"_hidden\"",
                                      "for=",
                                      "for",
                                      "=1.2.3.4",
                                      "for =1.2.3.4",
                                      "for= 1.2.3.4",
                                      "for=\"1.2.3.4",
                                      "for=\"1.2.3.4\"x",
                                      "for=1.2.3.4 proto=https",
                                      "for=1.2.3.4;for=1.2.3.4",
                                      "for=\"\"",
                                      "for=\"1\\.2.3.4\"",
                                      "for=1.2.3.4;proto",
                                      "1.2.3.4",
                                      "for=1.2.3.4;;;=",
                                      "for=\"[1.2.3.4]\"",
                                      "for=1.2.3.4;x=(y)",
                                      "for=1.2.3.4;for=\"\"",
                                      ""}) {
    CAPTURE(junk);
    const std::string alone(junk), between = "for=192.0.2.7, " + alone + ", for=10.0.0.1";
    CHECK(said({{"Forwarded", alone}}).empty());
    CHECK(said({{"Forwarded", between}}) == "for=10.0.0.1");
  }
  // Who hides the client may still tell the scheme and the host.
  CHECK(said({{"Forwarded", "for=_hidden;proto=https;host=example.org"}}) ==
        "scheme=https host=example.org server_port=443");
}

TEST_CASE("scheme and host of Forwarded are those of the client's hop", "[http]") {
  check_forwarded({
      {"for=192.0.2.7;proto=https;host=a.example, for=10.0.0.1;proto=http;host=b.example",
       "for=192.0.2.7 scheme=https host=a.example server_port=443"},
      {"for=192.0.2.7, for=10.0.0.1;proto=https;host=b.example", "for=192.0.2.7"},
      {"for=6.6.6.6;proto=https, for=192.0.2.7;proto=http", "for=192.0.2.7 scheme=http server_port=80"},
      {"for=10.0.0.2;proto=https, for=10.0.0.1;proto=http", "for=10.0.0.2 scheme=https server_port=443"},
  });
}

TEST_CASE("schemes are http and https, and another one says nothing", "[http]") {
  for (const auto& [value, counts] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"https", "scheme=https server_port=443"},
                                                                  {"HTTPS", "scheme=https server_port=443"},
                                                                  {"Http", "scheme=http server_port=80"},
                                                                  {"wss", ""},
                                                                  {"on", ""},
                                                                  {"https:", ""},
                                                                  {"\"https\"", ""},
                                                                  {"httpsx", ""},
                                                                  {"", ""}}) {
    CAPTURE(value);
    CHECK(said({{"X-Forwarded-Proto", value}}) == counts);
  }
}

TEST_CASE("of a list of schemes that runs beside the addresses, the client's hop counts", "[http]") {
  const auto with_for = [](std::string_view addresses, std::string_view schemes) {
    return said({{"X-Forwarded-For", addresses}, {"X-Forwarded-Proto", schemes}});
  };
  // One proxy, which adds: what the client sent stands left of it.
  CHECK(with_for("6.6.6.6, 192.0.2.7", "https, http") == "for=192.0.2.7 scheme=http server_port=80");
  // Two proxies, both add; TLS ends at the outer one.
  CHECK(with_for("192.0.2.7, 10.0.0.1", "https, http") == "for=192.0.2.7 scheme=https server_port=443");
  CHECK(with_for("6.6.6.6, 192.0.2.7, 10.0.0.1", "http, https, http") == "for=192.0.2.7 scheme=https server_port=443");
  // Three, of which the outer two add or replace: the list is shorter, and its left end is nearest to the client.
  CHECK(with_for("192.0.2.7, 10.0.0.2, 10.0.0.1", "https, http") == "for=192.0.2.7 scheme=https server_port=443");
  CHECK(with_for("192.0.2.7, 10.0.0.1", "https") == "for=192.0.2.7 scheme=https server_port=443");
  // The hop where the walk stopped for want of an address.
  CHECK(with_for("unknown, 10.0.0.1", "https, http") == "for=10.0.0.1 scheme=https server_port=443");
  CHECK(with_for("unknown", "https, http") == "scheme=http server_port=80");
  // All trusted: the leftmost address's hop.
  CHECK(with_for("10.0.0.2, 10.0.0.1", "http, https, http") == "for=10.0.0.2 scheme=https server_port=443");
  // Without addresses, what the peer itself said.
  CHECK(said({{"X-Forwarded-Proto", "https, http"}}) == "scheme=http server_port=80");
  // Beside Forwarded alone, its hop.
  CHECK(said({{"Forwarded", "for=192.0.2.7, for=10.0.0.1"}, {"X-Forwarded-Proto", "https, http"}}) ==
        "for=192.0.2.7 scheme=https server_port=443");
  // An element of that hop that is no scheme says nothing, whatever the others are.
  CHECK(with_for("192.0.2.7", "https, wss") == "for=192.0.2.7");
}

TEST_CASE("schemes that disagree are refused", "[http]") {
  check({
      {{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "http"}}, disagree},
      {{{"X-Forwarded-Proto", "https"}, {"A", "b"}, {"x-forwarded-proto", "HTTPS"}, {"X-Forwarded-Proto", "http"}},
       disagree},
      {{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "junk"}}, disagree},
      {{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", ""}}, disagree},
      {{{"Forwarded", "for=192.0.2.7;proto=https"}, {"X-Forwarded-Proto", "http"}}, disagree},
      {{{"Forwarded", "for=192.0.2.7;proto=http"}, {"X-Forwarded-Proto", "https"}}, disagree},
      // those that agree, or of which one says nothing, are not
      {{{"X-Forwarded-Proto", "https"}, {"A", "b"}, {"x-forwarded-proto", "HTTPS"}}, "scheme=https server_port=443"},
      {{{"Forwarded", "proto=https"}, {"X-Forwarded-Proto", "https"}}, "scheme=https server_port=443"},
      {{{"Forwarded", "proto=https"}, {"X-Forwarded-Proto", "wss"}}, "scheme=https server_port=443"},
      {{{"Forwarded", "proto=wss"}, {"X-Forwarded-Proto", "https"}}, "scheme=https server_port=443"},
  });
}

TEST_CASE("Forwarded has the word where X-Forwarded fields are there as well", "[http]") {
  check({
      {{{"X-Forwarded-For", "192.0.2.2"}, {"Forwarded", "for=192.0.2.1"}}, "for=192.0.2.1"},
      {{{"X-Forwarded-For", "192.0.2.2"}, {"Forwarded", "for=unknown"}}, ""},
      {{{"X-Forwarded-Host", "x.example"}, {"Forwarded", "host=f.example"}}, "host=f.example"},
      {{{"X-Forwarded-Host", "x.example"}, {"Forwarded", "for=192.0.2.1"}}, "for=192.0.2.1 host=x.example"},
      // the lists beside X-Forwarded-For keep its hop
      {{{"X-Forwarded-For", "192.0.2.2, 10.0.0.1"},
        {"X-Forwarded-Host", "a.example, b.example"},
        {"Forwarded", "for=192.0.2.1"}},
       "for=192.0.2.1 host=a.example"},
  });
}

TEST_CASE("a host has to be an authority", "[http]") {
  check({
      {{{"X-Forwarded-Host", "example.org"}}, "host=example.org"},
      {{{"X-Forwarded-Host", "[2001:db8::1]:8443"}}, "host=[2001:db8::1]:8443 server_port=8443"},
      {{{"X-Forwarded-Host", "example.org/path"}}, ""},
      {{{"X-Forwarded-Host", "user@example.org"}}, ""},
      {{{"X-Forwarded-Host", "example.org:99999"}}, ""},
      {{{"X-Forwarded-Host", ""}}, ""},
      {{{"X-Forwarded-Host", "evil.example, example.org"}}, "host=example.org"},
      {{{"X-Forwarded-For", "192.0.2.7, 10.0.0.1"}, {"X-Forwarded-Host", "evil.example, a.example, b.example"}},
       "for=192.0.2.7 host=a.example"},
  });
}

TEST_CASE("the server's port is told, or follows from host or scheme", "[http]") {
  check({
      {{{"X-Forwarded-Port", "8443"}}, "server_port=8443"},
      {{{"X-Forwarded-Port", "1"}}, "server_port=1"},
      {{{"X-Forwarded-Port", "0"}}, ""},
      {{{"X-Forwarded-Port", "65536"}}, ""},
      {{{"X-Forwarded-Port", "0443"}}, ""},
      {{{"X-Forwarded-Port", "+443"}}, ""},
      {{{"X-Forwarded-Port", "443x"}}, ""},
      {{{"X-Forwarded-Port", ""}}, ""},
      {{{"X-Forwarded-For", "192.0.2.7, 10.0.0.1"}, {"X-Forwarded-Port", "443, 80"}}, "for=192.0.2.7 server_port=443"},
      {{{"X-Forwarded-Port", "8443"}, {"X-Forwarded-Host", "a:81"}, {"X-Forwarded-Proto", "https"}},
       "scheme=https host=a:81 server_port=8443"},
      {{{"X-Forwarded-Port", "x"}, {"X-Forwarded-Host", "a:81"}, {"X-Forwarded-Proto", "https"}},
       "scheme=https host=a:81 server_port=81"},
      {{{"X-Forwarded-Host", "[::1]"}, {"X-Forwarded-Proto", "https"}}, "scheme=https host=[::1] server_port=443"},
  });
}

TEST_CASE("a prefix is a plain path, decoded once, without a slash at its end", "[http]") {
  for (const auto& [value, prefix] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"/app", "/app"},
                                                                  {"/app/", "/app"},
                                                                  {"/a/b/c", "/a/b/c"},
                                                                  {"/a%20b%2541%2C", "/a b%41,"},
                                                                  {"/..a/b..", "/..a/b.."},
                                                                  {"/a%C3%A9", "/a\xc3\xa9"},
                                                                  {"/", ""},
                                                                  {"", ""},
                                                                  {"app", ""},
                                                                  {"//app", ""},
                                                                  {"/app//", ""},
                                                                  {"/a//b", ""},
                                                                  {"/a/%2Fb", ""},
                                                                  {"/../a", ""},
                                                                  {"/a/..", ""},
                                                                  {"/a/../", ""},
                                                                  {"/a/./b", ""},
                                                                  {"/%2e%2E/a", ""},
                                                                  {"/a?b", ""},
                                                                  {"/a#b", ""},
                                                                  {"/a b", ""},
                                                                  {"/\xc3\xa9", ""},
                                                                  {"/%", ""},
                                                                  {"/%zz", ""},
                                                                  {"/%00", ""},
                                                                  {"http://a/b", ""}}) {
    CAPTURE(value);
    CHECK(said({{"X-Forwarded-Prefix", value}}) == (prefix.empty() ? "" : "prefix=" + std::string(prefix)));
  }
  CHECK(said({{"X-Forwarded-For", "192.0.2.7, 10.0.0.1"}, {"X-Forwarded-Prefix", "/evil, /a, /b"}}) ==
        "for=192.0.2.7 prefix=/a");
}

TEST_CASE("a request id is one short word", "[http]") {
  const std::string longest(64, 'a'), too_long(65, 'a');
  CHECK(said({{"X-Request-ID", "f00-BA.r:1=/+"}}) == "id=f00-BA.r:1=/+");
  CHECK(said({{"X-Request-ID", longest}}) == "id=" + longest);
  for (const std::string_view value :
       {std::string_view(too_long), std::string_view(""), std::string_view("a b"), std::string_view("a\"b"),
        std::string_view("a'b"), std::string_view("a\\b"), std::string_view("a\tb"), std::string_view("\xc3\xa9")}) {
    CAPTURE(value);
    CHECK(said({{"X-Request-ID", value}}).empty());
  }
  CHECK(said({{"X-Request-ID", "a"}, {"X-Request-ID", "a"}}).empty());
}

TEST_CASE("a user comes in one line, or not at all", "[http]") {
  check({
      {{{"X-Remote-User", "ann"}}, "user=ann"},
      {{{"X-Remote-User", "CN=Ann, O=Example"}}, "user=CN=Ann, O=Example"},
      {{{"X-Remote-User", ""}}, ""},
      {{{"X-Remote-User", "eve"}, {"X-Remote-User", "ann"}}, ""},
      {{{"X-Remote-User", "ann"}, {"X-Remote-User", ""}}, ""},
      {{{"X-Remote-Use", "ann"}, {"X-Remote-Users", "ann"}}, ""},
  });
}

TEST_CASE("fields that only proxies may send are known by their names", "[http]") {
  ProxySettings settings = everything();
  const ForwardedRules all(settings);
  for (const std::string_view name : {"Forwarded", "x-forwarded-for", "X-Forwarded-Proto", "X-Forwarded-Host",
                                      "X-Forwarded-Port", "X-Forwarded-Prefix", "X-REMOTE-USER"}) {
    CAPTURE(name);
    CHECK(all.is_for_proxies_only(name));
  }
  // Everybody may name a request.
  for (const std::string_view name : {"X-Request-ID", "Host", "X-Forwarded-Fox", "X-Forwarded", ""}) {
    CAPTURE(name);
    CHECK_FALSE(all.is_for_proxies_only(name));
  }
  settings.headers = {ForwardedField::x_forwarded_for};
  settings.user_header.clear();
  const ForwardedRules one(settings);
  CHECK(one.is_for_proxies_only("X-Forwarded-For"));
  CHECK_FALSE(one.is_for_proxies_only("X-Forwarded-Proto"));
  CHECK_FALSE(one.is_for_proxies_only("X-Remote-User"));
}

}  // namespace stint::http
