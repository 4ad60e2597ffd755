// Stands in for an application that could not be imported, while its developer mends it (reload.watch): each request is
// answered with why.
#pragma once

#include "stint/application.h"
#include "stint/runtime.h"

namespace stint::worker {

class FailedApplication final : public Application {
 public:
  explicit FailedApplication(const LoadFailure& failure) : failure_{failure.summary, failure.traceback} {}

  std::optional<ApplicationFailure> call(const Request&, ResponseSink&) override { return failure_; }
  void interrupt(std::uint64_t, Interruption) override {}
  void prepare_thread() override {}
  void tidy() override {}

 private:
  const ApplicationFailure failure_;
};

}  // namespace stint::worker
