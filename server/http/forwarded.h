// What a trusted proxy says about the client it speaks for: Forwarded (RFC 7239), X-Forwarded-* and their like.
// Pure functions over a request's fields; run by worker::Connection. Whether the peer may say anything is decided
// once a connection (trusts()); for all others read() is not called, and their fields change nothing.
//
// Hops. The peer is trusted; the last element of X-Forwarded-For, or of Forwarded, is what the peer says about who
// connected to it. While that is a trusted address too, the element before it counts, which that proxy wrote; and so
// on. The walk, from right to left over all lines of the field, stops
//   - at the first address that is not trusted: the client;
//   - at an element that is no address ("unknown", "_hidden", garbage, nothing at all): the address behind it counts,
//     or the peer, when there is none;
//   - at the left end, or after max_hops elements: the last address counts.
// What is left of the stop is a stranger's word and is not even looked at, so garbage there does no harm, not even an
// open quote.
//
// The other X-Forwarded fields may be lists as well. When each proxy adds an element to each list, the lists run in
// parallel, and the stop's element, counted from the right, is what the proxy next to the client saw of the client: an
// element further right is about a connection between two proxies ("https, http": TLS ends at the outer one), one
// further left was sent by the client. A list that is shorter was written by a proxy that replaces, and the inner ones
// passed it on: its leftmost element is nearest to the client, and trusted ones wrote the whole list. Without any walk
// (no addresses) only the rightmost element is surely the peer's. Nobody can tell a proxy that adds to the client's
// list from one that passes it on, so who counts a field has to have every proxy add to it or replace it.
//
// Disagreement. When Forwarded and X-Forwarded-For are both there, Forwarded has the address, and its host comes before
// X-Forwarded-Host. But two fields that name different schemes, and lines of X-Forwarded-Proto that differ, are
// refused: one of them is a stranger's, and "https" opens doors.
//
// X-Request-ID and the user's field are no lists: one line each, or they do not count.
#pragma once

#include "server/http/request_parser.h"
#include "stint/ip_address.h"
#include "stint/request.h"
#include "stint/settings.h"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stint::http {

// What counts. Empty: nothing was said, or nothing that can be, and what the connection itself shows counts. Views
// point into the request's fields, `scheme` and a port that follows from it at constants.
struct Forwarded {
  IpAddress::Text client_address;  // REMOTE_ADDR
  std::string_view client_port;    // REMOTE_PORT; empty when the proxy did not tell it, which is usual
  std::string_view scheme;         // "http" or "https"
  std::string_view host;           // a valid authority: HTTP_HOST
  // SERVER_PORT: X-Forwarded-Port, else the port in `host`, else that of `scheme`.
  std::string_view server_port;
  std::string prefix;           // SCRIPT_NAME: the proxy took it off the path; "/a", decoded once, never ends with "/"
  std::string_view request_id;  // 1 to 64 bytes, visible ASCII without quotes and backslash
  std::string_view user;        // REMOTE_USER
};

// ProxySettings as requests want them; made once a worker. Immutable.
class ForwardedRules {
 public:
  // More elements of a list are not looked at.
  static constexpr unsigned max_hops = 32;

  explicit ForwardedRules(const ProxySettings& settings);

  // May a connection with this peer speak for others? Nothing: a peer on a unix socket. To be asked once a connection;
  // with PROXY protocol twice: of the socket's own peer before its header is read, then of the client that it names.
  [[nodiscard]] bool trusts(const std::optional<IpAddress>& peer) const;

  [[nodiscard]] bool trusts_somebody() const { return trusts_unix_ || !networks_.empty(); }

  // REQUIRES: trusts(the peer). The refusal is a 400, forwarded_schemes_disagree. Allocates only for a prefix that is
  // longer than std::string holds in place.
  [[nodiscard]] std::variant<Forwarded, Refusal> read(std::span<const HeaderField> fields) const;

  // A field that tells who or where the client is, and would be believed by an application that looks for itself
  // (SECURE_PROXY_SSL_HEADER of Django). Where anybody is trusted, it is dropped when another peer sends it: mod_wsgi
  // once forgot one (CVE-2022-2255).
  [[nodiscard]] bool is_for_proxies_only(std::string_view name) const;

 private:
  static constexpr std::size_t user_field = std::size(forwarded_field_names);  // behind the ForwardedFields
  static constexpr std::size_t longest_name = 64;

  // Which lines of a request are a field's. No field: count is 0.
  struct Lines {
    std::size_t first = 0, last = 0, count = 0;
  };
  using LinesByField = std::array<Lines, user_field + 1>;
  class Elements;
  struct Stop;

  [[nodiscard]] std::size_t field_of(std::string_view name) const;  // user_field + 1: none that counts
  // False: there is none of any field that counts.
  bool find_lines(std::span<const HeaderField> fields, LinesByField& lines_by_field) const;
  [[nodiscard]] static bool are_lines_alike(std::span<const HeaderField> fields, const Lines& lines,
                                            std::string_view name);
  [[nodiscard]] bool is_trusted_proxy(const IpAddress& address) const;
  [[nodiscard]] Stop walk(Elements elements, bool is_rfc_7239) const;

  std::vector<Network> networks_;  // without "unix"
  bool trusts_unix_ = false;
  std::array<std::string, user_field + 1> names_;   // in lower case; empty: does not count
  std::array<bool, longest_name + 1> is_length_{};  // of a name that counts: most fields are passed over by it
};

}  // namespace stint::http
