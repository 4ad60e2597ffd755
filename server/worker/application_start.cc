#include "server/worker/application_start.h"

#include "server/worker/failed_application.h"
#include "server/worker/kill_timer.h"
#include "server/worker/warmup.h"

#include <chrono>

namespace stint::worker {

namespace {

Result<void> limit_start(KillTimer& limit, std::chrono::milliseconds startup_timeout) {
  if (startup_timeout.count() == 0) return {};
  return limit.arm(startup_timeout + supervisor_first);
}

}  // namespace

std::optional<LoadFailure> start_application(const Settings& settings, const RuntimeStarter& start_runtime, Log& log,
                                             const std::function<void()>& on_imported, std::vector<StartStep>& steps,
                                             StartedApplication& started) {
  KillTimer limit;
  if (const auto limited = limit_start(limit, settings.app.workers.startup_timeout); !limited.has_value()) {
    log.warning("no limit of its own", {{"error", limited.error().text()}, {"next", "starting with the supervisor's"}});
  }
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
