// A WSGI callable as server/ calls it (PEP 3333).
#pragma once

#include "embed/early_hints.h"
#include "embed/environ.h"
#include "embed/exchange.h"
#include "embed/interruption.h"

#include "stint/application.h"
#include "stint/runtime.h"

#include <memory>
#include <vector>

namespace stint::embed {

class WsgiApplication final : public Application {
 public:
  // Null: `failure` has summary and traceback.
  static std::unique_ptr<WsgiApplication> make(const Gil& gil, PyRef callable, const RuntimeOptions& options,
                                               LoadFailure& failure);
  ~WsgiApplication() override;  // takes the GIL

  std::optional<ApplicationFailure> call(const Request& request, ResponseSink& sink) noexcept override;
  void interrupt(std::uint64_t call, Interruption why) noexcept override { interruptions_.interrupt(call, why, log_); }
  void prepare_thread() noexcept override;
  void tidy() noexcept override;
  // After a fork. False: a Python error is set.
  bool become(const Gil& gil, unsigned worker);

 private:
  WsgiApplication(PyRef callable, const RuntimeOptions& options);
  // What a call needs and the next one can use again. As many as there have been calls at the same time.
  struct Scratch {
    EarlyHints early_hints;
    std::vector<HeaderField> fields;  // of start_response
  };
  class ScratchLoan;

  std::optional<ApplicationFailure> call_with_gil(const Gil& gil, const Request& request, ResponseSink& sink);
  std::optional<ApplicationFailure> call_in_context(const Gil& gil, const Request& request, Exchange& exchange,
                                                    EarlyHints& early_hints);
  void log_close_failure(const Gil& gil, PyObject* request_id, const ApplicationFailure& failure);

  Log& log_;
  unsigned worker_;
  PyRef callable_;
  std::unique_ptr<EnvironBuilder> environ_;
  Interruptions interruptions_;
  std::vector<std::unique_ptr<Scratch>> free_scratch_;  // guarded by the GIL
  std::size_t scratches_ = 0;                           // made, lent or not
};

}  // namespace stint::embed
