// The Python runtime of a worker: what stint_embed_entry gives to server/.
#pragma once

#include "embed/gil.h"
#include "embed/wsgi_application.h"

#include "stint/runtime.h"

namespace stint::embed {

class PythonRuntime final : public Runtime {
 public:
  PythonRuntime(const RuntimeOptions& options, std::chrono::microseconds start_took)
      : options_(options), start_took_(start_took) {}

  std::unique_ptr<Application> load(std::vector<StartStep>& steps, LoadFailure& failure) override;
  void shut_down() override;
  Result<ThreadProbe> probe_threads(int signal, int file) override;
  void settle_for_forks() override;
  std::vector<NamedThread> threads() override;
  pid_t fork(unsigned slot, const std::function<pid_t()>& fork) override;

 private:
  const RuntimeOptions options_;
  const std::chrono::microseconds start_took_;
  WsgiApplication* application_ = nullptr;  // what load() has made; it outlives every fork()
};

Result<std::unique_ptr<Runtime>> start_runtime(const RuntimeOptions& options);

}  // namespace stint::embed
