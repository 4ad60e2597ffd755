// The language runtime of a worker or zygote, behind dlopen: server/ never sees Python, and the supervisor never maps
// libpython. The embed module exports one C function, `stint_embed_entry`, that returns a RuntimeModule.
#pragma once

#include "stint/application.h"
#include "stint/log.h"
#include "stint/result.h"
#include "stint/settings.h"

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stint {

// What environ and the log say about this worker.
struct WorkerIdentity {
  unsigned slot = 0;        // 1…count
  unsigned generation = 0;  // 1…
};

// A named part of a start and how long it took, so that a failed or slow start says where.
struct StartStep {
  std::string name;  // "interpreter", "import"
  std::chrono::microseconds took{};
};

// Why an application could not be loaded; `step` is the StartStep it failed in.
struct LoadFailure {
  std::string step;
  std::string summary;    // one line
  std::string traceback;  // Python's, or empty
};

// A thread that the language knows, by the kernel's number.
struct NamedThread {
  pid_t id = 0;
  std::string name;  // "django-main-thread"
};

// How a thread tells what it is doing when it is asked by a signal. Both run in the signal's handler, in that thread
// and whatever it is inside of: they take no lock and wait for nobody.
struct ThreadProbe {
  bool (*holds_lock)() = nullptr;   // the interpreter's (the GIL)
  void (*write_stack)() = nullptr;  // to the file that was given, as text: a line for each call, the innermost first
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Imports the application; called once, from the process's main thread. Steps taken are appended to `steps`.
  // On failure returns null and fills `failure`.
  virtual std::unique_ptr<Application> load(std::vector<StartStep>& steps, LoadFailure& failure) = 0;

  // What a graceful exit owes the application: threading's shutdown, atexit handlers, flushed stdio. The caller ends
  // the process with _exit afterwards. May be slow or hang (it runs application code); the supervisor limits it.
  virtual void shut_down() = 0;

  // Called once a process, after load(). `signal` is one that nobody uses; what is done with it from here on is the
  // caller's. `file` stays open.
  virtual Result<ThreadProbe> probe_threads(int signal, int file) = 0;

  // A zygote's, between load() and the first fork(): lets go of what no two processes may share (Django's database
  // connections), frees what is garbage, and has the collector leave alone what is left, so that it stays shared.
  virtual void settle_for_forks() = 0;
  virtual std::vector<NamedThread> threads() = 0;
  // Calls `fork`, which returns as fork(2) does, with the language's own hooks around it. In the child the application
  // goes on as that of the worker in this slot. From the process's main thread.
  virtual pid_t fork(unsigned slot, const std::function<pid_t()>& fork) = 0;
};

struct RuntimeOptions {
  const AppSettings* app = nullptr;
  WorkerIdentity worker;
  std::string python;  // the interpreter to be like: "/srv/site/.venv/bin/python"
  Log* log = nullptr;  // wsgi.errors; outlives the runtime
};

struct RuntimeModule {
  unsigned interface;          // runtime_interface of the build; a mismatch is refused
  const char* python_version;  // "3.11": what the module was compiled for
  // Starts the interpreter in this process and thread. Once a process.
  Result<std::unique_ptr<Runtime>> (*start)(const RuntimeOptions& options);
};

// Raised whenever a type that crosses dlopen changes.
inline constexpr unsigned runtime_interface = 6;

using RuntimeEntry = const RuntimeModule* (*)();
inline constexpr const char* runtime_entry_symbol = "stint_embed_entry";

}  // namespace stint
