#include "embed/runtime.h"

#include "embed/application_import.h"
#include "embed/django_caches.h"
#include "embed/forking.h"
#include "embed/interpreter.h"
#include "embed/thread_probe.h"
#include "embed/wsgi_application.h"

#include "stint/assert.h"

namespace stint::embed {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::microseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

}  // namespace

Result<std::unique_ptr<Runtime>> start_runtime(const RuntimeOptions& options) {
  STINT_ASSERT(options.app != nullptr && options.log != nullptr);
  const auto begin = Clock::now();
  auto started = start_interpreter(options);
  if (!started.has_value()) return started.error();
  return std::unique_ptr<Runtime>(std::make_unique<PythonRuntime>(options, since(begin)));
}

std::unique_ptr<Application> PythonRuntime::load(std::vector<StartStep>& steps, LoadFailure& failure) {
  steps.push_back({"interpreter", start_took_});
  const auto begin = Clock::now();
  std::unique_ptr<WsgiApplication> application;  // its destructor takes the GIL
  const Gil gil = acquire_gil();
  PyRef callable = import_application(gil, options_.app->module, failure);
  if (callable) application = WsgiApplication::make(gil, std::move(callable), options_, failure);
  if (application) make_django_caches(gil);
  steps.push_back({"import", since(begin)});
  if (application == nullptr) failure.step = "import";
  application_ = application.get();
  return application;
}

void PythonRuntime::shut_down() { shut_down_interpreter(); }

Result<ThreadProbe> PythonRuntime::probe_threads(int signal, int file) {
  return make_thread_probe(acquire_gil(), signal, file);
}

void PythonRuntime::settle_for_forks() { embed::settle_for_forks(acquire_gil()); }

std::vector<NamedThread> PythonRuntime::threads() { return named_threads(acquire_gil()); }

pid_t PythonRuntime::fork(unsigned slot, const std::function<pid_t()>& fork) {
  const Gil gil = acquire_gil();
  const pid_t pid = fork_with_hooks(gil, fork);
  // Fails only when there is no memory for a number.
  if (pid == 0 && application_ != nullptr) STINT_ASSERT(application_->become(gil, slot));
  return pid;
}

}  // namespace stint::embed

namespace {

#define STINT_TEXT_OF(number) #number
#define STINT_TEXT(number) STINT_TEXT_OF(number)

const stint::RuntimeModule module_of_this_build = {
    stint::runtime_interface,
    STINT_TEXT(PY_MAJOR_VERSION) "." STINT_TEXT(PY_MINOR_VERSION),
    stint::embed::start_runtime,
};

}  // namespace

// The one symbol that the worker looks up after dlopen.
extern "C" __attribute__((visibility("default"))) const stint::RuntimeModule* stint_embed_entry() {
  return &module_of_this_build;
}
