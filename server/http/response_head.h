// The head of an answer: checks what the application gave, and writes the bytes. Framing is ours (HTTP.md
// "Responses"): hop-by-hop fields of the application are dropped and counted in `dropped_hop_by_hop`.
#pragma once

#include "stint/request.h"
#include "stint/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stint::http {

// How the end of the body is told (RFC 9112 §6).
enum class BodyFraming {
  none,         // HEAD, 204, 304: never a body
  length,       // Content-Length
  chunked,      // HTTP/1.1
  until_close,  // HTTP/1.0 without a length
};

// A file that the application names to be sent as its answer: X-Sendfile has a path, X-Accel-Redirect a URL.
struct NamedFile {
  enum class Kind { none, path, url } kind = Kind::none;
  std::string name;
};

class ResponseHead {
 public:
  // `takes_named_files`: X-Sendfile and X-Accel-Redirect are for us; else they are fields like any other, for a proxy.
  explicit ResponseHead(bool takes_named_files = false) : takes_named_files_(takes_named_files) {}

  // Replaces what it holds. On error nothing is changed. Errors are sentences for the application's developer. Reuses
  // its memory: an object serves a connection for life.
  Result<void> set(std::string_view status, std::span<const HeaderField> fields);
  void clear();

  bool is_set() const { return code_ != 0; }
  int code() const { return code_; }
  std::string_view status() const { return status_; }  // "200 OK"
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  // Ignored when the application gave one. A body that is never sent (HEAD, 304) has this length on no wire: what the
  // application yields there is not what GET would have got.
  void set_length(std::uint64_t length);
  const NamedFile& named_file() const { return named_file_; }
  unsigned dropped_hop_by_hop() const { return dropped_hop_by_hop_; }
  // The application's fields as sent, "Name: value\r\n" each; for the access log's %{Name}o.
  std::string_view lines() const { return lines_; }

  BodyFraming framing(std::string_view method, int version_minor) const;

  // Appends status line, fields, Date and Server where absent, framing, Connection and the empty line.
  // `date` is an IMF-fixdate (see date.h). keep_alive false: "Connection: close"; true with HTTP/1.0: "keep-alive".
  void append_to(std::string& out, BodyFraming framing, int version_minor, bool keep_alive,
                 std::string_view date) const;

 private:
  const bool takes_named_files_;
  int code_ = 0;
  std::string status_;
  std::string lines_;
  std::optional<std::uint64_t> content_length_;
  bool has_own_length_ = false;                    // Content-Length is the application's, and one of lines_
  std::size_t length_begin_ = 0, length_end_ = 0;  // where in lines_; both 0 without it
  bool has_date_ = false;
  bool has_server_ = false;
  unsigned dropped_hop_by_hop_ = 0;
  NamedFile named_file_;
};

// Appends an answer 103 with these fields (RFC 8297 §2). Framing and hop-by-hop fields are left out, as in any head.
// On error nothing is appended; errors are sentences for the application's developer.
Result<void> append_early_hints(std::string& out, std::span<const HeaderField> fields);

// "200" → "OK"; "Unknown" for codes without a name.
std::string_view reason_phrase(int code);

}  // namespace stint::http
