// One request as the application's side sees it: complete (head and body), checked by server/http, and alive
// until the call into the Application returns. All views point into memory of the connection.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace stint {

// A field of a request's or an answer's head. A request's name is as the client sent it (any case), its value
// without surrounding white space; bytes, not characters (RFC 9110 §5.5).
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

// The whole body, decoded. Either in memory or, when it was large, in an unlinked file.
struct RequestBody {
  std::string_view memory;
  int file = -1;            // read with pread(2) from offset 0; owned by the connection; -1: in `memory`
  std::uint64_t size = 0;   // of either
  bool is_present = false;  // the client declared a body (Content-Length, also 0, or chunked)
};

// The two ends of a connection, as text made once a connection. Unix sockets: remote address and port are
// empty, server is "localhost" and "80".
struct Endpoints {
  std::string_view remote_address;  // "192.0.2.7" or "2001:db8::1"
  std::string_view remote_port;
  std::string_view server_address;  // SERVER_NAME when the client sent no Host
  std::string_view server_port;
};

struct Request {
  std::string_view method;              // case kept: "GET"
  std::string_view target;              // the raw request target: "/a%20b?c=d"
  std::string_view script_name;         // where the application stands: "" or "/shop"; never ends with "/"
  std::string_view path;                // the rest, percent-decoded once: "/a b"; "" or begins with "/" (or is "*")
  std::string_view query;               // raw, without "?"
  std::string_view host;                // value of Host or authority of an absolute target; may be empty (HTTP/1.0)
  int version_minor = 1;                // HTTP/1.x
  std::span<const HeaderField> fields;  // in order; dropped ones (HTTP.md: "_" in names, Proxy) are not there
  RequestBody body;
  Endpoints endpoints;
  std::string_view scheme;       // "http" or "https"
  std::string_view user;         // whom a trusted proxy has authenticated; usually empty
  std::string_view id;           // unique; in the log and in environ["stint.request_id"]
  std::uint64_t number = 0;      // of the call, in this process; unique
  bool was_interrupted = false;  // a worker died while it was at this request: environ["stint.retried"]
};

}  // namespace stint
