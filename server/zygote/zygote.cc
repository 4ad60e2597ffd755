#include "server/zygote/zygote.h"

#include "server/control/signals_blocked.h"
#include "server/zygote/fork_safety.h"
#include "server/zygote/orphan.h"

#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

namespace stint::zygote {

namespace {

using Clock = std::chrono::steady_clock;

StartStep step_since(const char* name, Clock::time_point began) {
  return {name, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began)};
}

LoadFailure not_safe(const std::vector<std::string>& obstacles) {
  std::string text;
  for (const std::string& obstacle : obstacles) text += (text.empty() ? "" : "; ") + obstacle;
  return {"fork_safety",
          "the application is not fit to be forked: " + text +
              "; start threads and open connections at the first request, or set app.workers.start = \"fresh\"",
          {}};
}

// The first thing that a new worker does. Nobody wants one whose supervisor cannot be told of it.
void introduce(control::WorkerInheritance& inheritance) {
  ::setpgid(0, 0);  // as each process that the supervisor starts; the zygote's group is not its own
  control::Channel channel(std::move(inheritance.channel));
  if (!channel.send(control::Forked{}).has_value()) ::_exit(1);
  inheritance.channel = channel.release();
}

}  // namespace

Zygote::Zygote(control::ZygoteInheritance inheritance, Preload preload, Log& log, std::function<void()> reopen_log,
               std::function<void(control::WorkerInheritance)> begin_worker)
    : inheritance_(std::move(inheritance)),
      preload_(std::move(preload)),
      log_(log),
      reopen_log_(std::move(reopen_log)),
      begin_worker_(std::move(begin_worker)),
      channel_(std::move(inheritance_.channel)) {}

Outcome Zygote::run() {
  if (std::optional<LoadFailure> failure = start()) {
    tell(control::StartFailed{std::move(*failure)});
    return {.exit_code = 1, .fork = {}};
  }
  tell(control::Ready{steps_, preloaded_.python});
  return {.exit_code = 0, .fork = serve()};
}

std::optional<LoadFailure> Zygote::start() {
  if (std::optional<LoadFailure> failure = preload_(steps_, preloaded_)) return failure;
  const Clock::time_point began = Clock::now();
  preloaded_.runtime->settle_for_forks();
  // What malloc holds free would be copied, page by page, as workers allocate.
  ::malloc_trim(0);
  std::fflush(nullptr);  // or each worker would write it once more
  const auto obstacles = obstacles_to_forking(preloaded_.runtime->threads(), {channel_.fd()});
  if (!obstacles) return LoadFailure{"fork_safety", obstacles.error().text(), {}};
  if (!obstacles->empty()) return not_safe(*obstacles);
  steps_.push_back(step_since("settle", began));
  return std::nullopt;
}

// Returns in a worker, and with nothing when the supervisor has closed the channel.
std::optional<StartStep> Zygote::serve() {
  for (;;) {
    std::vector<UniqueFd> descriptors;
    auto message = channel_.receive(descriptors);
    if (message && !*message) {
      pollfd order{.fd = channel_.fd(), .events = POLLIN, .revents = 0};
      ::poll(&order, 1, -1);
    } else if (!message) {
      if (message.error().code == boost::system::errc::connection_reset) return std::nullopt;
      log_.error("message from the supervisor not understood",
                 {{"error", message.error().text()}, {"next", "ignoring"}});
    } else if (const auto* order = std::get_if<control::Fork>(&**message)) {
      if (auto step = fork(*order, std::move(descriptors))) return step;
    } else if (std::holds_alternative<control::ReopenLogs>(**message)) {
      reopen_log_();
    } else {
      log_.error("message from the supervisor not expected", {{"next", "ignoring"}});
    }
  }
}

// Returns something in the worker only. What was not possible is told on the channel of the worker-to-be.
std::optional<StartStep> Zygote::fork(const control::Fork& order, std::vector<UniqueFd> descriptors) {
  const Clock::time_point began = Clock::now();
  auto worker = control::inheritance_of(order, inheritance_, descriptors);
  if (!worker) {
    if (descriptors.empty()) return std::nullopt;
    control::Channel channel(std::move(descriptors.front()));
    static_cast<void>(channel.send(control::StartFailed{{"fork", worker.error().text(), {}}}));  // its end tells too
    return std::nullopt;
  }
  int error = 0;
  const pid_t pid = preloaded_.runtime->fork(order.slot, [&] {
    const control::SignalsBlocked blocked;  // a handler there would take the worker for a child of the application
    const pid_t forked = fork_orphan();
    if (forked < 0) error = errno;
    if (forked != 0) return forked;
    static_cast<void>(channel_.release());
    introduce(*worker);
    begin_worker_(std::move(*worker));
    return forked;
  });
  if (pid == 0) return step_since("fork", began);
  if (pid < 0) {
    control::Channel channel(std::move(worker->channel));
    static_cast<void>(
        channel.send(control::StartFailed{{"fork", system_error("fork a worker", error).text(), {}}}));  // likewise
  }
  return std::nullopt;
}

void Zygote::tell(const control::Message& message) {
  if (auto sent = channel_.send(message); !sent)
    log_.warning("supervisor not told",
                 {{"error", sent.error().text()}, {"next", "ignoring; its end shows on the channel"}});
}

}  // namespace stint::zygote
