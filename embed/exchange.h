// One call into the application, as start_response, write() and the iteration share it. Lives on the stack of
// WsgiApplication::call; the Python objects that point to it are disconnected before it goes.
#pragma once

#include "embed/fork_check.h"
#include "embed/gil.h"
#include "embed/released_objects.h"

#include "stint/response_sink.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace stint::embed {

struct Exchange {
  ResponseSink& sink;
  bool is_head_request = false;
  std::vector<HeaderField>& fields;  // scratch memory of start_response, kept between calls

  const unsigned forks_before = forks_so_far();
  const unsigned long thread = PyThread_get_thread_ident();  // the one that runs WsgiApplication::call
  std::optional<std::uint64_t> content_length;               // declared by the application in the head that counts
  PyObject* interruption = nullptr;  // the exception class that it is to be ended by (interruption.h)
  bool is_flushing = false;          // the GIL is away and the sink is in use: nobody else may touch it
  bool is_client_gone = false;       // the sink said so: nothing more is wanted
  bool is_cut = false;               // memory ran out in write(): what is queued has no right end
  bool has_failed_late = false;      // start_response(…, exc_info) came after the head was sent

  // Gives what is queued to the kernel, without the GIL. False: the client is gone. What the sink has let go of is
  // dropped here: until the next call it would be all that a generator has yielded.
  bool flush(const Gil& gil) {
    {
      struct Flushing {
        explicit Flushing(Exchange& e) : exchange(e) { exchange.is_flushing = true; }
        ~Flushing() { exchange.is_flushing = false; }
        Exchange& exchange;
      } const flushing(*this);
      const GilReleased released(gil);
      is_client_gone = !sink.flush().has_value();
    }
    drop_released(gil);
    return !is_client_gone;
  }
};

}  // namespace stint::embed
