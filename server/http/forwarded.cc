#include "server/http/forwarded.h"

#include "server/http/bytes_table.h"
#include "server/http/decimal.h"
#include "server/http/host.h"
#include "server/http/request_target.h"

#include <algorithm>

namespace stint::http {
namespace {

constexpr std::size_t longest_request_id = 64;

constexpr std::size_t index_of(ForwardedField field) { return static_cast<std::size_t>(field); }

// 1 to 65535, without leading zeros.
bool is_port(std::string_view text) {
  if (text.size() > 5 || text.starts_with('0')) return false;
  const auto number = parse_decimal(text);
  return number && *number <= 65535;
}

// The scheme's name in lower case; empty for another scheme.
std::string_view scheme_of(std::string_view text) {
  if (equals_ignoring_case(text, "https")) return "https";
  return equals_ignoring_case(text, "http") ? std::string_view("http") : std::string_view();
}

// An address with or without a port.
struct Node {
  IpAddress address;
  std::string_view port;  // may be empty
};

// "1.2.3.4", "1.2.3.4:5678", "[2001:db8::1]", "[2001:db8::1]:5678" or "2001:db8::1". Ports of Forwarded may be hidden
// as well ("_a1"): the address counts without it.
std::optional<Node> parse_node(std::string_view text, bool may_hide_port) {
  std::string_view address = text, port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == text.npos) return std::nullopt;
    address = text.substr(1, bracket - 1);
    if (address.find(':') == address.npos) return std::nullopt;
    port = text.substr(bracket + 1);
    has_port = !port.empty();
    if (has_port && port.front() != ':') return std::nullopt;
  } else if (const std::size_t colon = text.find(':'); colon != text.npos && colon == text.rfind(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon);
    has_port = true;
  }
  if (has_port) {
    port.remove_prefix(1);
    if (may_hide_port && port.size() > 1 && port.starts_with('_')) {
      port = {};
    } else if (!is_port(port)) {
      return std::nullopt;
    }
  }
  const auto parsed = IpAddress::parse(address);
  if (!parsed) return std::nullopt;
  return Node{*parsed, port};
}

// One element of Forwarded: what its proxy saw. Empty: not told.
struct Saw {
  std::string_view node, scheme, host, by;
};

// The value at the beginning of `text`, which loses it. Nothing: neither token nor quoted-string. ":", "[" and "]" are
// borne without quotes, as many proxies write them so; an escape in quotes is not undone: no address, scheme or host
// needs one, and with its backslash it is none.
std::optional<std::string_view> take_value(std::string_view& text) {
  std::size_t end = 0;
  if (text.starts_with('"')) {
    for (end = 1; end < text.size() && text[end] != '"'; ++end) {
      if (text[end] == '\\') ++end;
    }
    if (end >= text.size()) return std::nullopt;
    const std::string_view value = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    return value;
  }
  const auto may_stand = [](char c) { return (class_of(c) & byte_token) != 0 || c == ':' || c == '[' || c == ']'; };
  while (end < text.size() && may_stand(text[end])) ++end;
  if (end == 0) return std::nullopt;
  const std::string_view value = text.substr(0, end);
  text.remove_prefix(end);
  return value;
}

// RFC 7239 §4: [ pair ] *( ";" [ pair ] ), no parameter twice. Blanks around ";" are borne.
std::optional<Saw> parse_forwarded_element(std::string_view text) {
  Saw saw;
  while (true) {
    text = trim_blanks(text);
    if (!text.empty() && text.front() != ';') {
      const std::size_t equals = text.find('=');
      if (equals == text.npos || !is_token(text.substr(0, equals))) return std::nullopt;
      const std::string_view name = text.substr(0, equals);
      text.remove_prefix(equals + 1);
      const auto value = take_value(text);
      if (!value) return std::nullopt;
      std::string_view ignored;
      std::string_view& place = equals_ignoring_case(name, "for")     ? saw.node
                                : equals_ignoring_case(name, "proto") ? saw.scheme
                                : equals_ignoring_case(name, "host")  ? saw.host
                                : equals_ignoring_case(name, "by")    ? saw.by
                                                                      : ignored;
      if (place.data() != nullptr) return std::nullopt;
      place = *value;
      text = trim_blanks(text);
    }
    if (text.empty()) break;
    if (text.front() != ';') return std::nullopt;
    text.remove_prefix(1);
  }
  saw.scheme = scheme_of(saw.scheme);
  if (!is_valid_authority(saw.host)) saw.host = {};
  return saw;
}

// The last comma that separates elements. From the right a quoted-string begins at a quote and ends at the next one
// that is not escaped, just as from the left; but what a stranger wrote further left cannot turn its inside out.
std::size_t last_separator(std::string_view text, bool has_quotes) {
  if (!has_quotes) return text.rfind(',');
  bool is_quoted = false;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ',' && !is_quoted) return i;
    if (text[i] != '"') continue;
    std::size_t unescaped = i;
    while (is_quoted && unescaped > 0 && text[unescaped - 1] == '\\') --unescaped;
    if ((i - unescaped) % 2 == 0) is_quoted = !is_quoted;
  }
  return text.npos;
}

// "/a/b" without "/" at the end, decoded; empty when the text is no such path.
std::string prefix_of(std::string_view text) {
  const auto may_stand = [](char c) { return (class_of(c) & byte_target) != 0 && c != '?'; };
  std::string path;
  if (!text.starts_with('/') || !std::ranges::all_of(text, may_stand) || !has_valid_percents(text)) return path;
  decode_percents(text, path);
  for (std::size_t part = 1; part < path.size();) {
    const std::size_t slash = std::min(path.find('/', part), path.size());
    const std::string_view name = std::string_view(path).substr(part, slash - part);
    if (name.empty() || name == "." || name == "..") return {};
    part = slash + 1;
  }
  if (path.ends_with('/')) path.pop_back();
  return path;
}

bool is_request_id(std::string_view text) {
  const auto may_stand = [](char c) { return c > ' ' && c < '\x7f' && c != '"' && c != '\'' && c != '\\'; };
  return !text.empty() && text.size() <= longest_request_id && std::ranges::all_of(text, may_stand);
}

// The port that an authority names; empty when it names none.
std::string_view port_in(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == authority.npos || authority.ends_with(']')) return {};
  const std::string_view port = authority.substr(colon + 1);
  return is_port(port) ? port : std::string_view();
}

}  // namespace

// The elements of a list field, over all its lines, from the right.
class ForwardedRules::Elements {
 public:
  Elements(std::span<const HeaderField> fields, const Lines& lines, std::string_view name, bool has_quotes)
      : fields_(fields), first_line_(lines.first), line_(lines.last), name_(name), has_quotes_(has_quotes) {
    is_at_end_ = lines.count == 0;
    if (!is_at_end_) rest_ = fields_[line_].value;
  }

  // Nothing: there was none further left.
  std::optional<std::string_view> next() {
    if (is_at_end_) return std::nullopt;
    const std::size_t comma = last_separator(rest_, has_quotes_);
    if (comma != rest_.npos) {
      const std::string_view element = rest_.substr(comma + 1);
      rest_ = rest_.substr(0, comma);
      return trim_blanks(element);
    }
    const std::string_view element = rest_;
    to_line_above();
    return trim_blanks(element);
  }

  // The element `hop` places from the right end, or the leftmost when there are fewer; empty when there is none.
  std::string_view at(unsigned hop) {
    std::string_view element;
    for (unsigned i = 0; i <= hop; ++i) {
      const auto further_left = next();
      if (!further_left) break;
      element = *further_left;
    }
    return element;
  }

 private:
  void to_line_above() {
    while (line_ > first_line_) {
      --line_;
      if (!equals_ignoring_case(fields_[line_].name, name_)) continue;
      rest_ = fields_[line_].value;
      return;
    }
    is_at_end_ = true;
  }

  std::span<const HeaderField> fields_;
  std::size_t first_line_, line_;
  std::string_view name_, rest_;
  bool has_quotes_, is_at_end_;
};

// Where the walk stopped.
struct ForwardedRules::Stop {
  unsigned hop = 0;                 // elements right of it
  std::optional<IpAddress> client;  // nothing: the peer
  std::string_view port;
  Saw saw;  // the element at which it stopped; of Forwarded only
};

ForwardedRules::ForwardedRules(const ProxySettings& settings) {
  for (const Network& network : settings.trusted) {
    if (network.is_unix()) {
      trusts_unix_ = true;
    } else {
      networks_.push_back(network);
    }
  }
  for (const ForwardedField field : settings.headers) {
    names_[index_of(field)] = forwarded_field_names[index_of(field)];
  }
  names_[user_field] = settings.user_header;
  for (std::string& name : names_) {
    std::ranges::transform(name, name.begin(), to_lower);
    if (!name.empty() && name.size() <= longest_name) is_length_[name.size()] = true;
  }
}

bool ForwardedRules::is_trusted_proxy(const IpAddress& address) const {
  return std::ranges::any_of(networks_, [&](const Network& network) { return network.contains(address); });
}

bool ForwardedRules::trusts(const std::optional<IpAddress>& peer) const {
  return peer ? is_trusted_proxy(*peer) : trusts_unix_;
}

// All lines of a field say the same, but for case.
bool ForwardedRules::are_lines_alike(std::span<const HeaderField> fields, const Lines& lines, std::string_view name) {
  const auto is_same = [](char a, char b) { return to_lower(a) == to_lower(b); };
  for (std::size_t i = lines.first; lines.count > 1 && i < lines.last; ++i) {
    if (equals_ignoring_case(fields[i].name, name) &&
        !std::ranges::equal(fields[i].value, fields[lines.last].value, is_same)) {
      return false;
    }
  }
  return true;
}

std::size_t ForwardedRules::field_of(std::string_view name) const {
  if (name.size() > longest_name || !is_length_[name.size()]) return user_field + 1;
  const auto is_it = [&](const std::string& lower) { return equals_ignoring_case(name, lower); };
  return static_cast<std::size_t>(std::ranges::find_if(names_, is_it) - names_.begin());
}

bool ForwardedRules::is_for_proxies_only(std::string_view name) const {
  const std::size_t field = field_of(name);
  return field <= user_field && field != index_of(ForwardedField::x_request_id);
}

ForwardedRules::Stop ForwardedRules::walk(Elements elements, bool is_rfc_7239) const {
  Stop stop;
  for (unsigned hop = 0; hop < max_hops; ++hop) {
    const auto element = elements.next();
    if (!element) break;
    stop.hop = hop;
    stop.saw = is_rfc_7239 ? parse_forwarded_element(*element).value_or(Saw{}) : Saw{.node = *element};
    const auto node = parse_node(stop.saw.node, is_rfc_7239);
    if (!node) break;
    stop.client = node->address;
    stop.port = node->port;
    if (!is_trusted_proxy(node->address)) break;
  }
  return stop;
}

bool ForwardedRules::find_lines(std::span<const HeaderField> fields, LinesByField& lines_by_field) const {
  bool has_any = false;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t field = field_of(fields[i].name);
    if (field > user_field) continue;
    Lines& lines = lines_by_field[field];
    if (lines.count++ == 0) lines.first = i;
    lines.last = i;
    has_any = true;
  }
  return has_any;
}

std::variant<Forwarded, Refusal> ForwardedRules::read(std::span<const HeaderField> fields) const {
  Forwarded forwarded;
  LinesByField lines_by_field;
  if (!find_lines(fields, lines_by_field)) return forwarded;

  const auto lines_of = [&](ForwardedField field) -> const Lines& { return lines_by_field[index_of(field)]; };
  const auto has = [&](ForwardedField field) { return lines_of(field).count != 0; };
  const auto elements_of = [&](ForwardedField field) {
    return Elements(fields, lines_of(field), names_[index_of(field)], field == ForwardedField::forwarded);
  };
  const auto only_line = [&](std::size_t field) {
    const Lines& lines = lines_by_field[field];
    return lines.count == 1 ? fields[lines.first].value : std::string_view();
  };

  // Forwarded has the word about the client; but the lists of other fields run beside X-Forwarded-For where it is
  // there.
  Stop stop, stop_of_lists;
  if (has(ForwardedField::x_forwarded_for)) {
    stop = stop_of_lists = walk(elements_of(ForwardedField::x_forwarded_for), false);
  }
  if (has(ForwardedField::forwarded)) {
    stop = walk(elements_of(ForwardedField::forwarded), true);
    if (!has(ForwardedField::x_forwarded_for)) stop_of_lists = stop;
    forwarded.scheme = stop.saw.scheme;
    forwarded.host = stop.saw.host;
  }
  if (stop.client) {
    forwarded.client_address = stop.client->text();
    forwarded.client_port = stop.port;
  }

  if (has(ForwardedField::x_forwarded_proto)) {
    if (!are_lines_alike(fields, lines_of(ForwardedField::x_forwarded_proto),
                         names_[index_of(ForwardedField::x_forwarded_proto)])) {
      return Refusal{400, RefusalReason::forwarded_schemes_disagree};
    }
    const std::string_view scheme = scheme_of(elements_of(ForwardedField::x_forwarded_proto).at(stop_of_lists.hop));
    if (!scheme.empty() && !forwarded.scheme.empty() && scheme != forwarded.scheme) {
      return Refusal{400, RefusalReason::forwarded_schemes_disagree};
    }
    if (!scheme.empty()) forwarded.scheme = scheme;
  }

  if (forwarded.host.empty()) {
    const std::string_view host = elements_of(ForwardedField::x_forwarded_host).at(stop_of_lists.hop);
    if (is_valid_authority(host)) forwarded.host = host;
  }
  forwarded.server_port = elements_of(ForwardedField::x_forwarded_port).at(stop_of_lists.hop);
  if (!is_port(forwarded.server_port)) forwarded.server_port = port_in(forwarded.host);
  if (forwarded.server_port.empty() && !forwarded.scheme.empty()) {
    forwarded.server_port = forwarded.scheme == "https" ? "443" : "80";
  }
  forwarded.prefix = prefix_of(elements_of(ForwardedField::x_forwarded_prefix).at(stop_of_lists.hop));
  if (const auto id = only_line(index_of(ForwardedField::x_request_id)); is_request_id(id)) forwarded.request_id = id;
  forwarded.user = only_line(user_field);
  return forwarded;
}

}  // namespace stint::http
