// Where an Application puts its answer: all that embed/ knows of HTTP. Implemented by worker::ResponseWriter.
//
// Order of calls, from the one thread that runs Application::call; set_head and send_early_hints, which wait for nobody,
// from others as well, while that one cannot be in here:
//   set_head, any number of times (the last one counts)  →  write / write_file, with flush in between  →
//   call returns. The worker then ends the answer: head alone, final chunk, or a visibly broken end.
#pragma once

#include "stint/request.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace stint {

// Bytes of an answer and who owns them. Where the sink must keep the bytes beyond write() it calls retain(owner)
// once, within write(); later release(owner) once, from any thread and without any lock of the owner's.
struct BodyChunk {
  std::string_view bytes;
  void* owner = nullptr;
  void (*retain)(void* owner) = nullptr;
  void (*release)(void* owner) = nullptr;
};

class ResponseSink {
 public:
  virtual ~ResponseSink() = default;

  // Checks and keeps the head; nothing is sent yet. `status` is "200 OK". An error says what is wrong with it, for
  // the application's developer ("header value of 'X-A' contains a line feed"), and leaves an earlier head as it was.
  // REQUIRES: !has_sent_head(). The views need to live only during the call.
  virtual Result<void> set_head(std::string_view status, std::span<const HeaderField> fields) = 0;

  // Sends these fields at once in an answer 103 before the answer proper (RFC 8297), to clients that know such answers;
  // the head is untouched. Never waits: a client that takes nothing more now goes without. An error says what is wrong
  // with a field, and nothing is sent. REQUIRES: !has_sent_head().
  virtual Result<void> send_early_hints(std::span<const HeaderField> fields) = 0;

  // True while there is a head to send (set_head succeeded).
  virtual bool has_head() const = 0;
  // True once the head can no longer be replaced: body bytes have been written after it.
  virtual bool has_sent_head() const = 0;
  // The whole body has a length known beforehand, for lists of one item (PEP 3333, "Handling the Content-Length
  // Header"). Ignored when the application set Content-Length. REQUIRES: has_head(), !has_sent_head().
  virtual void set_length(std::uint64_t length) = 0;

  // Queues bytes of the body, framed as the head demands; no system call. Bytes beyond a declared Content-Length are
  // cut. REQUIRES: has_head(); `chunk.bytes` not empty.
  virtual void write(const BodyChunk& chunk) = 0;
  // Queues `length` bytes of a file from `offset`, for sendfile(2).
  virtual void write_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) = 0;
  // True when the declared Content-Length has been reached, or the answer has no body at all (HEAD, 204, 304):
  // asking the application for more would be waste.
  virtual bool is_complete() const = 0;
  // True when the client is known to be gone, for an application that has nothing to flush yet. Waits for nobody.
  virtual bool is_client_gone() const = 0;

  // Gives what is queued to the kernel, and waits until that has all of it: a slow client pauses its application here,
  // and only here. Call it without the GIL. Error: the client is gone; no more calls are wanted.
  virtual Result<void> flush() = 0;
};

}  // namespace stint
