// The worker process: starts Python, imports the application, and serves connections until it is told to retire.
//
//   start runtime ─> load application ─> warm up ─> ready ─Serve─> accept and serve ─> retire: drain ─> exit handlers
//   ─> exit
//        booting                          warming                                        retiring dead
//
// One that a zygote has forked (start = "fork") has its application from there, and begins with "ready".
//
// Comes in: what the supervisor handed down (control::WorkerInheritance), connections, and messages on the channel.
// Goes out: answers, the status page, messages. Always: it accepts only between Serve and Retire; if the supervisor is
// gone it finishes what runs and ends. The main thread starts and ends it; in between its threads take turns (Crew).
#pragma once

#include "server/control/channel.h"
#include "server/control/inheritance.h"
#include "server/control/status_page.h"
#include "server/worker/acceptor.h"
#include "server/worker/access_logger.h"
#include "server/worker/application_start.h"
#include "server/worker/balance.h"
#include "server/worker/connection_services.h"
#include "server/worker/crew.h"
#include "server/worker/drain.h"
#include "server/worker/event_loop.h"
#include "server/worker/kill_timer.h"
#include "server/worker/private_memory.h"
#include "server/worker/request_timeouts.h"
#include "server/worker/tracer.h"
#include "stint/log.h"
#include "stint/runtime.h"
#include "stint/settings.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stint::worker {

class Worker final : private CrewWork {
 public:
  // All arguments outlive the worker. `reopen_log`: after log rotation. `set_title`: of the process, for ps(1).
  Worker(const Settings& settings, control::WorkerInheritance inheritance, RuntimeStarter start_runtime, Log& log,
         std::function<void()> reopen_log, std::function<void(const std::string&)> set_title);

  // Of a worker that a zygote has forked, before run(): the limit of its start, which has begun; what is started
  // already, and the step that it took; and the keeper, which a worker otherwise starts by itself, while the process
  // has one thread.
  void limit_start();
  void take(StartedApplication started, StartStep fork);
  Result<void> start_keeper();

  // After run(): it has retired to become a zygote, and this is what that has of it. REQUIRES: becomes_zygote(). The
  // worker goes then, and with it all that it has open.
  bool becomes_zygote() const { return becomes_zygote_; }
  struct Remains {
    StartedApplication application;
    UniqueFd channel;
  };
  Remains leave_application();

  // Returns the exit code: 0 retired, 1 could not start. The caller ends the process with _exit: Python is not torn
  // down.
  int run();

 private:
  // Reads the channel. / Reads the signals' descriptor.
  struct ChannelWatcher final : Watcher {
    explicit ChannelWatcher(Worker& w) : worker(w) {}
    void on_ready(std::uint32_t) override { worker.read_channel(); }
    Worker& worker;
  };
  struct SignalWatcher final : Watcher {
    explicit SignalWatcher(Worker& w) : worker(w) {}
    void on_ready(std::uint32_t) override { worker.on_signal(); }
    Worker& worker;
    int fd = -1;
  };
  // Once a second: what nobody's request pays for.
  struct Tick final : Timed {
    explicit Tick(Worker& w) : worker(w) {}
    void on_deadline() override { worker.tick(); }
    Worker& worker;
  };

  void keep_from_forked_children();
  std::optional<LoadFailure> start_application();
  Result<void> start_serving();
  void begin_to_serve();
  void read_channel();
  void on_supervisor_gone();
  void on_signal();
  void tick();
  void trace(unsigned number);
  [[noreturn]] void leave_calls_behind();
  bool has_waiting() override { return services_->dispatcher.has_waiting() || balance_->has_waiting(); }
  void serve_waiting() override;
  bool is_over() override { return drain_->is_over(); }
  void tell(const control::Message& message);

  const Settings& settings_;
  control::WorkerInheritance inheritance_;
  RuntimeStarter start_runtime_;
  Log& log_;
  std::function<void()> reopen_log_;
  std::function<void(const std::string&)> set_title_;

  control::Channel channel_;
  UniqueFd watched_by_keeper_;
  KillTimer start_limit_;  // of a start that a zygote has begun
  StartedRuntime runtime_;
  std::unique_ptr<Application> application_;
  std::vector<StartStep> steps_;

  std::unique_ptr<control::StatusPage> page_;
  std::unique_ptr<control::ConnectionTableView> shared_table_;
  std::unique_ptr<control::IdleWorkers> idle_workers_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Crew> crew_;
  std::unique_ptr<AccessLogger> access_;
  std::unique_ptr<PrivateMemory> private_memory_;
  std::unique_ptr<ConnectionServices> services_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<Balance> balance_;
  std::unique_ptr<Drain> drain_;
  std::unique_ptr<Tracer> tracer_;  // null: the runtime cannot tell stacks
  std::unique_ptr<RequestTimeouts> request_timeouts_;

  ChannelWatcher channel_watcher_{*this};
  SignalWatcher signal_watcher_{*this};
  DeadlineList ticking_{std::chrono::seconds(1)};
  Tick tick_{*this};
  bool shall_tidy_ = false;  // at the next opportunity
  std::size_t published_connections_ = 0;
  bool has_supervisor_ = true;
  bool becomes_zygote_ = false;  // when it has retired
};

}  // namespace stint::worker
