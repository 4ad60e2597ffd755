#include "server/worker/application_start.h"

#include "server/worker/failed_application.h"
#include "server/worker/kill_timer.h"
#include "server/worker/warmup.h"

#include <chrono>

namespace stint::worker {

std::optional<LoadFailure> start_application(const Settings& settings, const RuntimeStarter& start_runtime, Log& log,
                                             const std::function<void()>& on_imported, std::vector<StartStep>& steps,
                                             StartedApplication& started) {
  KillTimer limit;
  limit.arm_behind_supervisor(settings.app.workers.startup_timeout, log);
  if (std::optional<LoadFailure> failure = start_runtime(steps, started.runtime)) return failure;
  LoadFailure failure;
  started.application = started.runtime.runtime->load(steps, failure);
  const bool is_mended_soon = settings.reload.watch && settings.app.show_errors;
  if (!started.application && !is_mended_soon) return failure;
  if (!started.application) {
    log.write(LogLevel::error, "application not loaded",
              {{"step", failure.step}, {"error", failure.summary}, {"next", "showing this until the sources change"}},
              failure.traceback);
    started.application = std::make_unique<FailedApplication>(failure);
    on_imported();
    return std::nullopt;
  }

  on_imported();
  const auto began = std::chrono::steady_clock::now();
  if (std::optional<LoadFailure> cold = warm_up(*started.application, settings)) return cold;
  steps.push_back(
      {"warmup", std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)});
  return std::nullopt;
}

}  // namespace stint::worker
