#include "embed/wsgi_application.h"

#include "embed/django_caches.h"
#include "embed/error_stream.h"
#include "embed/input_stream.h"
#include "embed/py_error.h"
#include "embed/py_text.h"
#include "embed/released_objects.h"
#include "embed/response_iterable.h"
#include "embed/start_response.h"

#include <new>

namespace stint::embed {
namespace {

// Each request runs in a context of its own, so that no contextvars leak into the next. (From Python a context can only
// be run within; a C extension that enters one and does not leave it makes leaving ours an error, which is forgotten.)
class RequestContext {
 public:
  explicit RequestContext(const Gil&) : context_(PyRef::steal(PyContext_CopyCurrent())) {
    if (context_ && PyContext_Enter(context_.get()) != 0) context_.reset();
  }
  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;
  ~RequestContext() {
    if (context_ && PyContext_Exit(context_.get()) != 0) PyErr_Clear();
  }
  bool is_entered() const { return static_cast<bool>(context_); }

 private:
  PyRef context_;
};

// Ends the hints of a request, however its call ends.
class Disconnected {
 public:
  Disconnected(const Gil& gil, EarlyHints& hints) : gil_(gil), hints_(hints) {}
  Disconnected(const Disconnected&) = delete;
  Disconnected& operator=(const Disconnected&) = delete;
  ~Disconnected() { hints_.end(gil_); }

 private:
  const Gil& gil_;
  EarlyHints& hints_;
};

// Has what was written to wsgi.errors in the log, however the call ends.
class Logged {
 public:
  Logged(const Gil& gil, PyObject* errors) : gil_(gil), errors_(errors) {}
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  ~Logged() { end_error_stream(gil_, errors_); }

 private:
  const Gil& gil_;
  PyObject* errors_;
};

ApplicationFailure out_of_memory() { return {"MemoryError", ""}; }  // short enough to need none

}  // namespace

// Lent for a call; goes back while the GIL is still held.
class WsgiApplication::ScratchLoan {
 public:
  ScratchLoan(const Gil&, WsgiApplication& application) : free_(application.free_scratch_) {
    if (free_.empty()) {
      free_.reserve(application.scratches_ + 1);  // there is room for all of them to come back
      scratch_ = std::make_unique<Scratch>();
      ++application.scratches_;
    } else {
      scratch_ = std::move(free_.back());
      free_.pop_back();
    }
  }
  ScratchLoan(const ScratchLoan&) = delete;
  ScratchLoan& operator=(const ScratchLoan&) = delete;
  ~ScratchLoan() { free_.push_back(std::move(scratch_)); }
  Scratch* operator->() const { return scratch_.get(); }

 private:
  std::vector<std::unique_ptr<Scratch>>& free_;
  std::unique_ptr<Scratch> scratch_;
};

std::unique_ptr<WsgiApplication> WsgiApplication::make(const Gil& gil, PyRef callable, const RuntimeOptions& options,
                                                       LoadFailure& failure) {
  std::unique_ptr<WsgiApplication> made(new WsgiApplication(std::move(callable), options));
  if (made->environ_->prepare(gil) && made->interruptions_.prepare(gil)) return made;
  PythonError error = take_python_error(gil);
  failure.summary = std::move(error.summary);
  failure.traceback = std::move(error.traceback);
  // What was made goes while we hold the GIL; the destructor would wait for it.
  made->environ_.reset();
  made->interruptions_.clear(gil);
  made->callable_.reset();
  return nullptr;
}

WsgiApplication::WsgiApplication(PyRef callable, const RuntimeOptions& options)
    : log_(*options.log),
      worker_(options.worker.slot),
      callable_(std::move(callable)),
      environ_(std::make_unique<EnvironBuilder>(options.worker, options.app->workers.threads > 1)) {}

WsgiApplication::~WsgiApplication() {
  if (!callable_) return;
  const Gil gil = acquire_gil();
  // What is left to the members' own destructors goes without the GIL.
  free_scratch_.clear();
  environ_.reset();
  interruptions_.clear(gil);
  callable_.reset();
}

std::optional<ApplicationFailure> WsgiApplication::call(const Request& request, ResponseSink& sink) noexcept {
  const Gil gil = acquire_gil();
  try {
    return call_with_gil(gil, request, sink);
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

std::optional<ApplicationFailure> WsgiApplication::call_with_gil(const Gil& gil, const Request& request,
                                                                 ResponseSink& sink) {
  drop_released(gil);
  const ScratchLoan scratch(gil, *this);
  Exchange exchange{.sink = sink, .is_head_request = request.method == "HEAD", .fields = scratch->fields};
  RequestContext context(gil);
  if (!context.is_entered()) return take_python_error(gil).as_failure();
  return call_in_context(gil, request, exchange, scratch->early_hints);
}

std::optional<ApplicationFailure> WsgiApplication::call_in_context(const Gil& gil, const Request& request,
                                                                   Exchange& exchange, EarlyHints& early_hints) {
  PyRef request_id = latin1(gil, request.id);
  InputStream input(gil, request.body);
  StartResponse start_response(gil, exchange);
  if (!request_id || input.object() == nullptr || start_response.callable() == nullptr) {
    return take_python_error(gil).as_failure();
  }
  PyRef errors = make_error_stream(gil, log_, worker_, request_id.get());
  if (!errors) return take_python_error(gil).as_failure();
  const Logged logged(gil, errors.get());  // after environ has gone, and what may write as it goes
  PyObject* hints = early_hints.begin(gil, exchange);
  if (hints == nullptr) return take_python_error(gil).as_failure();
  const Disconnected disconnected(gil, early_hints);
  PyRef environ = environ_->build(
      gil, request,
      {.request_id = request_id.get(), .input = input.object(), .errors = errors.get(), .early_hints = hints});
  if (!environ) return take_python_error(gil).as_failure();

  Interruptions::Scope interruptible(gil, interruptions_, request.number, exchange);
  PyObject* args[] = {environ.get(), start_response.callable()};
  PyRef iterable = PyRef::steal(PyObject_Vectorcall(callable_.get(), args, std::size(args), nullptr));
  leave_if_forked(gil, exchange.forks_before);
  if (!iterable) return take_failure(gil, exchange);

  std::optional<ApplicationFailure> failure;
  try {
    failure = send_body(gil, exchange, iterable.get());
  } catch (const std::bad_alloc&) {  // close() is owed all the same
    failure = out_of_memory();
  }
  interruptible.end();  // close() is what it would ask for
  auto close_failure = close_iterable(gil, exchange, iterable.get());
  // What close() raises concerns the application alone: its answer is whole, or has failed by itself.
  if (close_failure) log_close_failure(gil, request_id.get(), *close_failure);
  if (!failure && exchange.has_failed_late) {
    failure = ApplicationFailure{"start_response was called with exc_info after the answer had begun", ""};
  }
  if (!failure && exchange.is_cut) failure = out_of_memory();
  return failure;
}

void WsgiApplication::log_close_failure(const Gil& gil, PyObject* request_id, const ApplicationFailure& failure) {
  std::string request = utf8(gil, request_id);
  std::string text = "close() of the answer's iterable raised " + failure.summary;
  GilReleased released(gil);
  log_.write(LogLevel::error, "application", {{"worker", worker_}, {"request", request}, {"text", text}},
             failure.traceback);
}

// Its contexts are copies of its own (django_caches.h).
void WsgiApplication::prepare_thread() noexcept { make_django_caches(acquire_gil()); }

bool WsgiApplication::become(const Gil& gil, unsigned worker) {
  worker_ = worker;
  return environ_->set_worker(gil, worker);
}

void WsgiApplication::tidy() noexcept {
  if (has_released()) drop_released(acquire_gil());
}

}  // namespace stint::embed
