// Who a connection is with: the ends that its socket shows, or those that a PROXY protocol header has told, and whether
// that peer may speak for others in its requests (proxy.trusted). From it and a request's fields comes what the
// application and the access log are told about the client. One a connection; goes with it to another process as a
// control::PeerRecord.
#pragma once

#include "server/control/connection_table.h"
#include "server/http/forwarded.h"
#include "server/http/request_parser.h"
#include "server/net/listener.h"
#include "stint/request.h"

#include <string>
#include <string_view>

namespace stint::worker {

// What one request says about its client, as far as it counts. Views live as long as the peer and the request's head.
struct RequestOrigin {
  std::string_view remote_address, remote_port;
  std::string_view server_address, server_port;
  std::string_view scheme;
  std::string_view host;
  std::string_view user;
  std::string_view request_id;  // empty: make one
  http::Forwarded forwarded;    // holds what some of the views point to
  RequestOrigin() = default;
  RequestOrigin(const RequestOrigin&) = delete;
  RequestOrigin& operator=(const RequestOrigin&) = delete;
};

class Peer {
 public:
  // `awaits_header`: the connection begins with a PROXY protocol header.
  Peer(const http::ForwardedRules& rules, int socket, net::AddressText remote, bool awaits_header);

  // Takes up what another process knew.
  void resume(const control::PeerRecord& record);
  const control::PeerRecord& record() const { return record_; }

  bool awaits_header() const { return record_.header == control::PeerRecord::Header::awaited; }
  void introduce(const ProxiedEnds& ends);  // the header has been read

  // Its forwarded fields count.
  bool is_trusted() const { return is_trusted_; }
  std::string_view address() const { return remote_.host; }

  // Fills `origin` (which is not copied: it points into itself). Where the fields are contradictory they do not count;
  // refusal_of() has told before.
  void describe(const http::RequestHead& head, RequestOrigin& origin) const;
  // Why a request of this peer cannot be served; nothing for all but a trusted proxy that contradicts itself.
  std::optional<http::Refusal> refusal_of(const http::RequestHead& head) const;

 private:
  void decide_trust();

  const http::ForwardedRules& rules_;
  net::AddressText remote_, local_;
  control::PeerRecord record_;
  bool is_trusted_ = false;
};

}  // namespace stint::worker
