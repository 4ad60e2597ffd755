// Networks and the table [proxy].
#include "stint/network.h"

#include "config/network_text.h"
#include "tests/unit/config/loading.h"

namespace stint::config {
namespace {

using Texts = std::vector<std::string>;

const std::string proxy = "[app]\nmodule = \"site.wsgi:application\"\n[proxy]\n";

IpAddress address_of(std::string_view text) {
  const auto address = IpAddress::parse(text);
  CAPTURE(text);
  REQUIRE(address.has_value());
  return *address;
}

std::string error_of(std::string_view text) {
  const auto network = parse_network(text);
  return network.has_value() ? "no error: " + network->text() : network.error().text();
}

}  // namespace

TEST_CASE("an address prints in its canonical form, and IPv4 mapped into IPv6 is IPv4", "[config]") {
  const auto [written, text, is_ipv4] = GENERATE(table<std::string, std::string, bool>({
      {"192.0.2.7", "192.0.2.7", true},
      {"0.0.0.0", "0.0.0.0", true},
      {"255.255.255.255", "255.255.255.255", true},
      {"::ffff:192.0.2.7", "192.0.2.7", true},
      {"::FFFF:c000:0207", "192.0.2.7", true},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
      {"::", "::", false},
      {"::1", "::1", false},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
  }));
  CAPTURE(written);
  const IpAddress address = address_of(written);
  CHECK(address.text().view() == text);
  CHECK(address.is_ipv4() == is_ipv4);
  CHECK(address_of(text) == address);
}

TEST_CASE("what is no address is none", "[config]") {
  for (const std::string_view text :
       {std::string_view(""), std::string_view(" "), std::string_view("1.2.3"), std::string_view("1.2.3.4.5"),
        std::string_view("01.2.3.4"), std::string_view("256.1.1.1"), std::string_view("1.2.3.4 "),
        std::string_view("0x7f.0.0.1"), std::string_view("2130706433"), std::string_view("1.2.3.4\0", 8),
        std::string_view("1.2.3.4\0x", 9), std::string_view("[::1]"), std::string_view("fe80::1%eth0"),
        std::string_view(":::"), std::string_view("1:2:3:4:5:6:7"), std::string_view("1:2:3:4:5:6:7:8:9"),
        std::string_view("g::1"), std::string_view("localhost"),
        std::string_view("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}) {
    CAPTURE(text);
    CHECK_FALSE(IpAddress::parse(text).has_value());
  }
}

TEST_CASE("a network holds what its prefix says", "[config]") {
  const auto [network, inside, outside] = GENERATE(table<std::string, Texts, Texts>({
      {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, {"9.255.255.255", "11.0.0.0", "a00::"}},
      {"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127", "192.0.3.128"}},
      {"192.0.2.7", {"192.0.2.7", "::ffff:192.0.2.7"}, {"192.0.2.6", "192.0.2.8", "::192.0.2.7"}},
      {"192.0.2.6/31", {"192.0.2.6", "192.0.2.7"}, {"192.0.2.5", "192.0.2.8"}},
      {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "::1"}},
      {"::/0", {"::", "ffff::"}, {"1.2.3.4", "::ffff:1.2.3.4"}},
      {"2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"}, {"2001:db9::", "2001:db7:ffff::"}},
      {"2001:db8::/33", {"2001:db8:7fff::"}, {"2001:db8:8000::"}},
      {"::1", {"::1"}, {"::2", "::", "0.0.0.1"}},
      {"::ffff:10.0.0.0/104", {"10.9.9.9"}, {"11.0.0.0"}},
      {"unix", {}, {"127.0.0.1", "::1"}},
  }));
  CAPTURE(network);
  const auto parsed = Network::parse(network);
  REQUIRE(parsed.has_value());
  for (const std::string& text : inside) {
    CAPTURE(text);
    CHECK(parsed->contains(address_of(text)));
  }
  for (const std::string& text : outside) {
    CAPTURE(text);
    CHECK_FALSE(parsed->contains(address_of(text)));
  }
  CHECK(Network::parse(parsed->text()) == parsed);
  CHECK(parsed->is_unix() == (network == "unix"));
}

TEST_CASE("a network prints as people write it", "[config]") {
  const auto [written, text] = GENERATE(table<std::string, std::string>({
      {"10.0.0.0/8", "10.0.0.0/8"},
      {"10.0.0.1/32", "10.0.0.1"},
      {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"2001:DB8::/32", "2001:db8::/32"},
      {"::1/128", "::1"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"unix", "unix"},
  }));
  REQUIRE(Network::parse(written).has_value());
  CHECK(Network::parse(written)->text() == text);
}

TEST_CASE("what is no network is told with what was probably meant", "[config]") {
  const auto [text, error] = GENERATE(table<std::string, std::string>({
      {"10.0.0.1/8",
       "\"10.0.0.1/8\" has bits set behind its first 8: the network is \"10.0.0.0/8\", the one address is "
       "\"10.0.0.1\""},
      {"2001:db8::1/32",
       "\"2001:db8::1/32\" has bits set behind its first 32: the network is \"2001:db8::/32\", the one "
       "address is \"2001:db8::1\""},
      {"::ffff:10.0.0.1/64", "\"::ffff:10.0.0.1/64\" is no address and no network; write IPv4 as such: \"10.0.0.1\""},
      {"10.0.0.0/33", "\"10.0.0.0/33\" is no address and no network; \"33\" is no number of bits from 0 to 32"},
      {"::/129", "\"::/129\" is no address and no network; \"129\" is no number of bits from 0 to 128"},
      {"10.0.0.0/", "\"10.0.0.0/\" is no address and no network; \"\" is no number of bits from 0 to 32"},
      {"10.0.0.0/-1", "\"10.0.0.0/-1\" is no address and no network; \"-1\" is no number of bits from 0 to 32"},
      {"10.0.0.0/255.0.0.0",
       "\"10.0.0.0/255.0.0.0\" is no address and no network; \"255.0.0.0\" is no number of bits from 0 to 32"},
      {"*", "\"*\" is no address and no network; for everybody write \"0.0.0.0/0\" and \"::/0\""},
      {"localhost", "\"localhost\" is no address and no network; did you mean \"127.0.0.1\"?"},
      {"unix:/run/x.sock", "\"unix:/run/x.sock\" is no address and no network; did you mean \"unix\"?"},
      {"[::1]:80", "\"[::1]:80\" is no address and no network; did you mean \"::1\"?"},
      {"127.0.0.1:80", "\"127.0.0.1:80\" is no address and no network; did you mean \"127.0.0.1\"?"},
      {"", "\"\" is no address and no network; write \"10.0.0.0/8\", \"2001:db8::/32\", \"127.0.0.1\" or \"unix\""},
      {"[", "\"[\" is no address and no network; write \"10.0.0.0/8\", \"2001:db8::/32\", \"127.0.0.1\" or \"unix\""},
      {"proxy.example",
       "\"proxy.example\" is no address and no network; write \"10.0.0.0/8\", \"2001:db8::/32\", \"127.0.0.1\" or "
       "\"unix\""},
  }));
  CHECK(error_of(text) == error);
}

TEST_CASE("without [proxy] nobody's word counts", "[config]") {
  const ProxySettings settings = settings_of(input_of(proxy)).proxy;
  CHECK(settings.trusted.empty());
  CHECK(settings.headers == std::vector<ForwardedField>{ForwardedField::x_forwarded_for,
                                                        ForwardedField::x_forwarded_proto,
                                                        ForwardedField::x_request_id});
  CHECK_FALSE(settings.protocol);
  CHECK(settings.user_header.empty());
}

TEST_CASE("[proxy] names peers, fields, the protocol and the user's field", "[config]") {
  const ProxySettings settings =
      settings_of(input_of(proxy + "trusted = [\"10.0.0.0/8\", \"::1\", \"unix\"]\n"
                                   "headers = [\"forwarded\", \"X-FORWARDED-PREFIX\"]\nprotocol = true\n"
                                   "user_header = \"X-Remote-User\"\n"))
          .proxy;
  REQUIRE(settings.trusted.size() == 3);
  CHECK(settings.trusted[0].text() == "10.0.0.0/8");
  CHECK(settings.trusted[1].text() == "::1");
  CHECK(settings.trusted[2].is_unix());
  CHECK(settings.headers == std::vector<ForwardedField>{ForwardedField::forwarded, ForwardedField::x_forwarded_prefix});
  CHECK(settings.protocol);
  CHECK(settings.user_header == "X-Remote-User");
  CHECK(settings_of(input_of(proxy + "headers = []\n")).proxy.headers.empty());
}

TEST_CASE("a single network or field on the command line needs no brackets", "[config]") {
  Input input = input_of(proxy);
  input.overrides = {{"proxy.trusted", "10.0.0.0/8", "--set"}, {"proxy.headers", "Forwarded", "--set"}};
  const ProxySettings settings = settings_of(input).proxy;
  REQUIRE(settings.trusted.size() == 1);
  CHECK(settings.trusted[0].text() == "10.0.0.0/8");
  CHECK(settings.headers == std::vector<ForwardedField>{ForwardedField::forwarded});
}

TEST_CASE("what is wrong in [proxy] is told with its place", "[config]") {
  const auto [toml, problems] = GENERATE(table<std::string, Texts>({
      {"trusted = \"10.0.0.0/8\"\n",
       {"site.toml:4:11: 'proxy.trusted' must be an array of strings, such as [\"10.0.0.0/8\"], not \"10.0.0.0/8\""}},
      {"trusted = [\"10.0.0.0/8\", \"10.0.0.1/8\", 3]\n",
       {"site.toml:4:26: 'proxy.trusted' is wrong: \"10.0.0.1/8\" has bits set behind its first 8: the network is "
        "\"10.0.0.0/8\", the one address is \"10.0.0.1\"",
        "site.toml:4:40: 'proxy.trusted' must hold strings, not 3"}},
      {"trusted = [\"::1\", \"0:0::1\"]\n", {"site.toml:4:19: 'proxy.trusted' names \"::1\" twice"}},
      {"trusted = [\"a\\u0000b\"]\n",
       {"site.toml:4:12: 'proxy.trusted' is wrong: \"a\\u0000b\" is no address and no network; write \"10.0.0.0/8\", "
        "\"2001:db8::/32\", \"127.0.0.1\" or \"unix\""}},
      {"headers = \"Forwarded\"\n",
       {"site.toml:4:11: 'proxy.headers' must be an array of strings, such as [\"X-Forwarded-For\"], not "
        "\"Forwarded\""}},
      {"headers = [\"Forwarded\", \"x-forwarded-prot\", \"FORWARDED\", \"X-Real-IP\"]\n",
       {"site.toml:4:25: 'proxy.headers' must name fields among Forwarded, X-Forwarded-For, X-Forwarded-Proto, "
        "X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Prefix, X-Request-ID, not \"x-forwarded-prot\"; did you mean "
        "\"X-Forwarded-Proto\"?",
        "site.toml:4:45: 'proxy.headers' names \"FORWARDED\" twice",
        "site.toml:4:58: 'proxy.headers' must name fields among Forwarded, X-Forwarded-For, X-Forwarded-Proto, "
        "X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Prefix, X-Request-ID, not \"X-Real-IP\""}},
      {"protocol = true\n",
       {"site.toml:4:12: 'proxy.protocol' counts only for trusted peers, and 'proxy.trusted' names none: name the "
        "proxies "
        "that connect, such as trusted = [\"127.0.0.1\"]"}},
      {"protocol = true\ntrusted = []\nuser_header = \"X-Remote-User\"\n",
       {"site.toml:4:12: 'proxy.protocol' counts only for trusted peers, and 'proxy.trusted' names none: name the "
        "proxies "
        "that connect, such as trusted = [\"127.0.0.1\"]",
        "site.toml:6:15: 'proxy.user_header' counts only for trusted peers, and 'proxy.trusted' names none: name the "
        "proxies that connect, such as trusted = [\"127.0.0.1\"]"}},
      // One slip, one problem.
      {"protocol = true\ntrusted = [\"localhost\"]\n",
       {"site.toml:5:12: 'proxy.trusted' is wrong: \"localhost\" is no address and no network; did you mean "
        "\"127.0.0.1\"?"}},
      {"trusted = [\"unix\"]\nuser_header = \"REMOTE_USER\"\n",
       {"site.toml:5:15: 'proxy.user_header' must be a name without \"_\", because fields with it are dropped; did you "
        "mean \"REMOTE-USER\"?"}},
      {"trusted = [\"unix\"]\nuser_header = \"Remote User\"\n",
       {"site.toml:5:15: 'proxy.user_header' must be the name of a field, such as \"X-Remote-User\", not \"Remote "
        "User\""}},
      {"trusted = [\"unix\"]\nuser_header = \"cookie\"\n",
       {"site.toml:5:15: 'proxy.user_header' must name a field of its own, such as \"X-Remote-User\": \"cookie\" has "
        "another meaning"}},
      {"trusted = [\"unix\"]\nuser_header = \"X-Forwarded-For\"\n",
       {"site.toml:5:15: 'proxy.user_header' must name a field of its own, such as \"X-Remote-User\": "
        "\"X-Forwarded-For\" has another meaning"}},
      {"trustde = []\n", {"site.toml:4:1: unknown key 'trustde' in [proxy]; did you mean 'trusted'?"}},
  }));
  CAPTURE(toml);
  CHECK(problems_of(input_of(proxy + toml)) == problems);
}

}  // namespace stint::config
