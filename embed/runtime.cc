#include "embed/runtime.h"

#include "embed/application_import.h"
#include "embed/django_caches.h"
#include "embed/interpreter.h"
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
  const Gil gil = acquire_gil();
  std::unique_ptr<Application> application;
  PyRef callable = import_application(gil, options_.app->module, failure);
  if (callable) application = WsgiApplication::make(gil, std::move(callable), options_, failure);
  if (application) make_django_caches(gil);
  steps.push_back({"import", since(begin)});
  if (application == nullptr) failure.step = "import";
  return application;
}

void PythonRuntime::shut_down() { shut_down_interpreter(); }

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
