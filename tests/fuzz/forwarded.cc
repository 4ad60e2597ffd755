// What a trusted proxy says about its client, in fields that a stranger may have begun. The input: lines "Name: value".
// Promises:
// - what counts is nothing that could not be: addresses are addresses in their one form, ports are ports, a host is an
//   authority, a prefix a clean path, an id harmless in a log line;
// - what a trusted proxy adds at the right end is believed, whatever a stranger had written left of it;
// - a list in one line is the same list as in several.
#include "server/http/forwarded.h"

#include "tests/fuzz/field_lines.h"
#include "tests/fuzz/promise.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace stint::fuzz {
namespace {

using http::Forwarded;

const http::ForwardedRules& rules() {
  static const http::ForwardedRules made([] {
    ProxySettings settings;
    for (const char* network : {"10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "unix"})
      settings.trusted.push_back(*Network::parse(network));
    for (std::size_t field = 0; field < std::size(forwarded_field_names); ++field)
      settings.headers.push_back(static_cast<ForwardedField>(field));
    settings.user_header = "X-Remote-User";
    return settings;
  }());
  return made;
}

std::string text_of(const std::variant<Forwarded, http::Refusal>& read) {
  if (std::holds_alternative<http::Refusal>(read)) return "refused";
  const Forwarded& f = std::get<Forwarded>(read);
  std::string text;
  for (const std::string_view part : {f.client_address.view(), f.client_port, f.scheme, f.host, f.server_port,
                                      std::string_view(f.prefix), f.request_id, f.user}) {
    text.append("[").append(part).append("] ");
  }
  return text;
}

std::string read_text(const FieldLines& lines) { return text_of(rules().read(fields_of(lines))); }

bool is_port(std::string_view text) {
  if (text.empty()) return true;
  return text.size() <= 5 && text.find_first_not_of("0123456789") == text.npos && text[0] != '0' &&
         std::stoul(std::string(text)) <= 65535;
}

void check_possible(const FieldLines& lines) {
  const auto fields = fields_of(lines);
  const auto read = rules().read(fields);
  const std::string text = text_of(read);
  if (const auto* refusal = std::get_if<http::Refusal>(&read)) {
    promise(refusal->status == 400 && refusal->reason == RefusalReason::forwarded_schemes_disagree,
            "only schemes that disagree are refused");
    return;
  }
  const Forwarded& f = std::get<Forwarded>(read);
  if (const auto address = f.client_address.view(); !address.empty()) {
    const auto parsed = IpAddress::parse(address);
    promise(parsed && parsed->text().view() == address, "an address has its one form", text);
  } else {
    promise(f.client_port.empty(), "a port belongs to an address", text);
  }
  promise(is_port(f.client_port) && is_port(f.server_port), "a port is one", text);
  promise(f.scheme.empty() || f.scheme == "http" || f.scheme == "https", "a scheme is http or https", text);
  promise(f.host.find_first_of("/\\@?# \t,;\"'<>%") == f.host.npos, "a host is harmless", text);
  if (!f.prefix.empty()) {
    promise(f.prefix.starts_with('/') && !f.prefix.ends_with('/'), "a prefix begins with a slash and ends without",
            text);
    const std::string around = f.prefix + "/";
    for (const char* never : {"//", "/./", "/../"})
      promise(around.find(never) == around.npos, "a prefix is a clean path", text);
    promise(f.prefix.find('\0') == f.prefix.npos, "a prefix has no NUL", text);
  }
  promise(f.request_id.size() <= 64, "an id is short", text);
  for (const char c : f.request_id) promise(c > ' ' && c < '\x7f' && c != '"' && c != '\\', "an id is harmless", text);
  if (!f.user.empty()) {
    const auto is_user = [](const auto& line) { return is_name(line.first, "x-remote-user"); };
    promise(count_named(lines, "x-remote-user") == 1, "a user comes in one line", text);
    promise(f.user == std::find_if(lines.begin(), lines.end(), is_user)->second, "a user is what the line says", text);
  }
  for (const auto& [name, value] : lines) {
    const bool is_telling = is_name(name, "forwarded") || is_name(name, "x-forwarded-for") ||
                            is_name(name, "x-forwarded-proto") || is_name(name, "x-remote-user");
    promise(!is_telling || rules().is_for_proxies_only(name), "what proxies say is for proxies only", name);
  }
}

// `stranger` and behind it what a trusted proxy adds, as an element of its own.
std::string added(const std::string& stranger, const std::string& element) {
  return stranger.empty() ? element : stranger + ", " + element;
}

// One line of each field: a stranger's text, and the trusted proxy's elements.
void check_right_end(const FieldLines& lines) {
  const auto stranger = [&lines](std::size_t i) { return i < lines.size() ? lines[i].second : std::string(); };
  const auto expect = [](const FieldLines& sent, const std::string& expected) {
    const std::string text = read_text(sent);
    promise(text == expected, "what a trusted proxy adds is believed", text + "\n" + expected);
  };
  FieldLines sent = {{"X-Forwarded-For", added(stranger(0), "203.0.113.9")},
                     {"X-Forwarded-Proto", added(stranger(1), "https")},
                     {"X-Forwarded-Host", added(stranger(2), "site.example")},
                     {"X-Forwarded-Port", added(stranger(3), "8443")},
                     {"X-Forwarded-Prefix", added(stranger(4), "/app")}};
  expect(sent, "[203.0.113.9] [] [https] [site.example] [8443] [/app] [] [] ");
  // A second trusted proxy, which adds to all: the lists run in parallel.
  sent[0].second += ", 10.1.2.3";
  sent[1].second += ", http";
  sent[2].second += ", inner.example";
  sent[3].second += ", 80";
  sent[4].second += ", /inner";
  expect(sent, "[203.0.113.9] [] [https] [site.example] [8443] [/app] [] [] ");
  // A stranger's line above changes no address.
  FieldLines above = {{"x-forwarded-for", stranger(5)}};
  above.insert(above.end(), sent.begin(), sent.end());
  expect(above, "[203.0.113.9] [] [https] [site.example] [8443] [/app] [] [] ");

  const std::string rfc_7239 = added(stranger(0), "for=\"[2001:DB9::1]:77\";proto=https;host=site.example");
  expect({{"Forwarded", rfc_7239}}, "[2001:db9::1] [77] [https] [site.example] [443] [] [] [] ");
  expect({{"Forwarded", stranger(1)}, {"Forwarded", rfc_7239 + ",for=10.9.9.9;proto=http"}},
         "[2001:db9::1] [77] [https] [site.example] [443] [] [] [] ");
}

// All elements of X-Forwarded-For in one line, and each in its own.
void check_lines(const FieldLines& lines) {
  std::string list;
  FieldLines parts;
  for (const auto& [name, value] : lines) {
    list += (parts.empty() ? "" : ",") + value;
    parts.emplace_back("X-Forwarded-For", value);
  }
  if (parts.empty()) return;
  promise(read_text(parts) == read_text({{"X-Forwarded-For", list}}), "a list in several lines is one list", list);
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stint::fuzz;
  const auto lines = field_lines({reinterpret_cast<const char*>(data), size});
  check_possible(lines);
  check_right_end(lines);
  check_lines(lines);
  return 0;
}
