#include "config/network_text.h"

#include "config/suggestion.h"
#include "config/toml_text.h"

#include <algorithm>

namespace stint::config {
namespace {

// Fields that say something else: what the server itself reads, and what carries secrets or lists.
constexpr std::string_view special_fields[] = {
    "Host",   "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade",   "TE",
    "Expect", "Trailer",        "Cookie",       "Authorization",     "Proxy",      "Via",        "User-Agent"};

constexpr std::size_t longest_field_name = 64;

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool is_same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

// RFC 9110 §5.6.2.
bool is_token_byte(char c) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || marks.find(c) != marks.npos;
}

Error not_a_network(std::string_view text, const std::string& hint) {
  return error_because(toml_string(text) + " is no address and no network; " + hint);
}

// What people write instead.
Error not_a_network(std::string_view text) {
  const auto meant = [&](const std::string& guess) { return not_a_network(text, "did you mean \"" + guess + "\"?"); };
  if (text == "*" || text == "all") return not_a_network(text, R"(for everybody write "0.0.0.0/0" and "::/0")");
  if (text == "localhost") return meant("127.0.0.1");
  if (text.starts_with("unix:") || text.starts_with('/')) return meant("unix");
  if (text.starts_with('[')) {
    const std::string_view inner = text.substr(1, text.find(']') - 1);
    if (const auto network = Network::parse(inner)) return meant(network->text());
  }
  const std::string_view host = text.substr(0, text.find(':'));
  if (host.size() < text.size() && Network::parse(host)) return meant(std::string(host));
  return not_a_network(text, R"(write "10.0.0.0/8", "2001:db8::/32", "127.0.0.1" or "unix")");
}

}  // namespace

Result<Network> parse_network(std::string_view text) {
  if (const auto network = Network::parse(text)) return *network;
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address || slash == text.npos) return not_a_network(text);
  // As people count: in IPv4's bits where IPv4 is written, in IPv6's where that is.
  const std::string_view prefix_text = text.substr(slash + 1);
  const unsigned limit = text.find(':') == text.npos ? 32 : 128;
  const auto prefix = Network::parse_prefix(prefix_text);
  if (!prefix || *prefix > limit) {
    return not_a_network(text, toml_string(prefix_text) + " is no number of bits from 0 to " + std::to_string(limit));
  }
  if (address->is_ipv4() && limit == 128) {
    return not_a_network(text, "write IPv4 as such: \"" + std::string(address->text().view()) + "\"");
  }
  const Network network = Network::around(*address, *prefix);
  return error_because(toml_string(text) + " has bits set behind its first " + std::to_string(*prefix) +
                       ": the network is " + toml_string(network.text()) + ", the one address is " +
                       toml_string(address->text().view()));
}

Result<ForwardedField> find_forwarded_field(std::string_view text) {
  const auto is_it = [&](std::string_view name) { return is_same_name(name, text); };
  const auto found = std::ranges::find_if(forwarded_field_names, is_it);
  if (found != std::end(forwarded_field_names)) {
    return static_cast<ForwardedField>(found - std::begin(forwarded_field_names));
  }
  std::string names;
  for (const std::string_view name : forwarded_field_names) names += (names.empty() ? "" : ", ") + std::string(name);
  const std::string_view meant = nearest(text, forwarded_field_names);
  return error_because("must name fields among " + names + ", not " + toml_string(text) +
                       (meant.empty() ? "" : "; did you mean " + toml_string(meant) + "?"));
}

Result<std::string> check_user_header(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.size() > longest_field_name || !std::ranges::all_of(text, is_token_byte)) {
    return error_because("must be the name of a field, such as \"X-Remote-User\", not " + toml_string(text));
  }
  if (text.find('_') != text.npos) {
    std::string guess(text);
    std::ranges::replace(guess, '_', '-');
    return error_because("must be a name without \"_\", because fields with it are dropped; did you mean " +
                         toml_string(guess) + "?");
  }
  const auto is_it = [&](std::string_view name) { return is_same_name(name, text); };
  if (std::ranges::any_of(special_fields, is_it) || std::ranges::any_of(forwarded_field_names, is_it)) {
    return error_because("must name a field of its own, such as \"X-Remote-User\": " + toml_string(text) +
                         " has another meaning");
  }
  return std::string(text);
}

}  // namespace stint::config
