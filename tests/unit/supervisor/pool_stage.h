// A pool on a stage: one loop, everything that a Supervisor gives it, and real processes that fake_worker is in.
#pragma once

#include "server/supervisor/pool.h"

#include "server/supervisor/other_children.h"

#include "tests/support/catch.h"

#include <boost/asio/io_context.hpp>

#include <fcntl.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stint::supervisor {

using namespace std::chrono_literals;

struct KeptLog : Log {
  std::vector<std::string> lines;
  void write(LogLevel, std::string_view message, std::initializer_list<LogField> fields,
             std::string_view detail) override {
    std::string line(message);
    for (const LogField& field : fields) line.append(" ").append(field.name).append("=").append(field.value);
    lines.push_back(line.append(detail.empty() ? "" : "\n").append(detail));
  }
  bool is_on(LogLevel) const override { return true; }
  std::size_t count(const std::string& text) const {
    std::size_t found = 0;
    for (const auto& line : lines) found += line.find(text) == std::string::npos ? 0 : 1;
    return found;
  }
};

inline int open_descriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return open;
}

// One pool on one loop, with everything that a Supervisor gives it.
struct Stage {
  AppSettings settings;
  KeptLog log;
  boost::asio::io_context io;
  std::vector<net::Listener> listeners;
  control::InboxEnds inbox;
  std::unique_ptr<Pool> pool;
  AppSettings* app = nullptr;  // of the generation that was made last

  // `zygote`: what it does; empty: the workers start by themselves.
  explicit Stage(const std::string& behaviour, unsigned count = 2, const std::string& executable = FAKE_WORKER,
                 const std::string& zygote = "") {
    settings.name = "site";
    settings.workers = {.count = count, .startup_timeout = 60s};
    if (!zygote.empty()) settings.workers.start = StartMode::fork;
    settings.env["FAKE_ZYGOTE_DOES"] = zygote;
    settings.recycle = {.at_once = 1, .drain_timeout = 60s};
    settings.env["FAKE_WORKER_DOES"] = behaviour;
    auto listener = net::open_listener({ListenAddress::Family::ipv4, "127.0.0.1", 0, ""});
    REQUIRE(listener.has_value());
    listeners.push_back(std::move(*listener));
    auto ends = control::make_inbox();
    REQUIRE(ends.has_value());
    inbox = std::move(*ends);
    pool = std::make_unique<Pool>(io, generation(1, executable), log, [] {});
    pool->start();
  }

  // With the settings as they are now.
  std::unique_ptr<Generation> generation(unsigned number, const std::string& executable = FAKE_WORKER) {
    auto made = std::make_unique<Generation>();
    made->number = number;
    made->app = settings;
    app = &made->app;
    made->spawner = std::make_unique<Spawner>(io, listeners, inbox, settings, 64, executable);
    REQUIRE(made->spawner->prepare("name = \"site\"").has_value());
    return made;
  }
  ~Stage() {
    pool->stop_at_once();
    eventually([&] { return pool->is_empty(); });
  }

  bool is_complete() const { return pool->ready_count() >= pool->count(); }

  // Generous: it ends when the condition holds, and only a failing test waits for the end.
  template <class Condition>
  bool eventually(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      io.run_for(5ms);
      io.restart();
      pool->tick();
      for (const auto& child :
           reap_other_children([this](pid_t pid) { return pool->has_process(pid) || pool->waits_for_forks(); }))
        pool->on_child_end(child.pid, child.exit);
    }
    return true;
  }

  std::set<pid_t> pids() const {
    std::set<pid_t> pids;
    for (const auto& worker : pool->status().workers)
      if (worker.state == WorkerState::ready) pids.insert(worker.pid);
    return pids;
  }
};

}  // namespace stint::supervisor
