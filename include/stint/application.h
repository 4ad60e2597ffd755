// The application as server/ sees it: all that it knows of WSGI. Implemented by embed::WsgiApplication;
// tests have a FakeApplication.
#pragma once

#include "stint/request.h"
#include "stint/response_sink.h"

#include <cstdint>
#include <optional>
#include <string>

namespace stint {

// The application raised, or broke PEP 3333. When no head was sent the client gets 500, else a cut answer.
struct ApplicationFailure {
  std::string summary;    // one line: "ZeroDivisionError: division by zero"
  std::string traceback;  // as Python prints it; may be empty
};

// Why a call is not wanted any more.
enum class Interruption {
  timed_out,    // it has taken longer than app.workers.request_timeout
  client_gone,  // nobody waits for its answer
};

class Application {
 public:
  virtual ~Application() = default;

  // Calls the application and puts its answer into the sink; returns when the iterable is exhausted and closed.
  // A client that is gone is no failure. Never throws. Called by up to app.workers.threads threads at the same time.
  virtual std::optional<ApplicationFailure> call(const Request& request, ResponseSink& sink) = 0;

  // Has an exception raised in the thread that runs this call (Request::number), as soon as it runs code of the
  // application's language again; nothing if it is over by then. Returns at once.
  virtual void interrupt(std::uint64_t call, Interruption why) = 0;

  // The calling thread, another than the one that loaded the application, is going to call it. May wait.
  virtual void prepare_thread() = 0;

  // Frees what was released by sinks since the last call into the application (memory of answers sent since).
  // The worker calls it about once a second when there was anything to do.
  virtual void tidy() = 0;
};

}  // namespace stint
