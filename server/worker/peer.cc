#include "server/worker/peer.h"

#include <variant>

namespace stint::worker {

Peer::Peer(const http::ForwardedRules& rules, int socket, net::AddressText remote, bool awaits_header)
    : rules_(rules), remote_(std::move(remote)), local_(net::local_address_of(socket)) {
  if (awaits_header) record_.header = control::PeerRecord::Header::awaited;
  decide_trust();
}

void Peer::decide_trust() {
  is_trusted_ = rules_.trusts(remote_.host.empty() ? std::nullopt : IpAddress::parse(remote_.host));
}

void Peer::resume(const control::PeerRecord& record) {
  if (record.header == control::PeerRecord::Header::read) return introduce(record.ends);
  record_ = record;
}

void Peer::introduce(const ProxiedEnds& ends) {
  record_ = {control::PeerRecord::Header::read, ends};
  if (!ends.has_addresses) return;
  remote_ = {std::string(ends.client.text().view()), std::to_string(ends.client_port)};
  local_ = {std::string(ends.server.text().view()), std::to_string(ends.server_port)};
  decide_trust();
}

std::optional<http::Refusal> Peer::refusal_of(const http::RequestHead& head) const {
  if (!is_trusted_) return std::nullopt;
  const std::variant<http::Forwarded, http::Refusal> read = rules_.read(head.fields);
  if (const auto* refusal = std::get_if<http::Refusal>(&read)) return *refusal;
  return std::nullopt;
}

void Peer::describe(const http::RequestHead& head, RequestOrigin& origin) const {
  origin.remote_address = remote_.host;
  origin.remote_port = remote_.port;
  origin.scheme = record_.ends.is_tls ? "https" : "http";
  origin.host = head.host;
  if (is_trusted_) {
    std::variant<http::Forwarded, http::Refusal> read = rules_.read(head.fields);
    if (auto* said = std::get_if<http::Forwarded>(&read)) origin.forwarded = std::move(*said);
    const http::Forwarded& said = origin.forwarded;
    if (!said.client_address.view().empty()) {
      origin.remote_address = said.client_address.view();
      origin.remote_port = said.client_port.empty() ? "0" : said.client_port;  // digits, as CGI's variables have them
    }
    if (!said.scheme.empty()) origin.scheme = said.scheme;
    if (!said.host.empty()) origin.host = said.host;
    origin.user = said.user;
    origin.request_id = said.request_id;
  }
  // A unix socket has neither; the names are those of a server that is spoken to without one.
  origin.server_address = local_.host.empty() ? "localhost" : std::string_view(local_.host);
  origin.server_port = !origin.forwarded.server_port.empty() ? origin.forwarded.server_port
                       : !local_.port.empty()                ? std::string_view(local_.port)
                       : origin.scheme == "https"            ? "443"
                                                             : "80";
}

}  // namespace stint::worker
