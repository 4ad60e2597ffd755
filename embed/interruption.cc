#include "embed/interruption.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <thread>

namespace stint::embed {

// Shared with the threads that wait for the GIL, which may outlive the application. Guarded by the GIL.
struct InterruptibleCalls {
  struct Entry {
    std::uint64_t call;
    Exchange* exchange;
  };
  std::vector<Entry> running;
  PyRef timed_out;
  PyRef client_gone;

  void raise(std::uint64_t call, Interruption why) {
    const auto found = std::find_if(running.begin(), running.end(), [&](const Entry& e) { return e.call == call; });
    if (found == running.end() || found->exchange->interruption != nullptr) return;
    PyObject* type = why == Interruption::timed_out ? timed_out.get() : client_gone.get();
    found->exchange->interruption = type;
    PyThreadState_SetAsyncExc(found->exchange->thread, type);
  }
};

bool Interruptions::prepare(const Gil&) {
  auto calls = std::make_shared<InterruptibleCalls>();
  calls->timed_out = PyRef::steal(
      PyErr_NewExceptionWithDoc("stint.RequestTimeout", "The call has taken longer than app.workers.request_timeout.",
                                PyExc_BaseException, nullptr));
  calls->client_gone = PyRef::steal(PyErr_NewExceptionWithDoc(
      "stint.ClientDisconnected", "The client has gone before its answer was there.", PyExc_BaseException, nullptr));
  calls_ = std::move(calls);
  return calls_->timed_out && calls_->client_gone;
}

void Interruptions::clear(const Gil&) {
  if (!calls_) return;
  calls_->timed_out.reset();
  calls_->client_gone.reset();
  calls_->running.clear();
}

void Interruptions::interrupt(std::uint64_t call, Interruption why, Log& log) {
  // Signals are for the application's threads.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([calls = calls_, call, why] {
      const Gil gil = acquire_gil();
      calls->raise(call, why);
    }).detach();
  } catch (const std::exception& failure) {  // no thread, or no memory
    log.warning("call not interrupted", {{"error", failure.what()}, {"next", "it goes on"}});
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Interruptions::Scope::Scope(const Gil&, Interruptions& all, std::uint64_t call, Exchange& exchange)
    : calls_(all.calls_), exchange_(exchange) {
  calls_->running.push_back({call, &exchange});
}

void Interruptions::Scope::end() {
  if (!calls_) return;
  std::erase_if(calls_->running, [&](const auto& entry) { return entry.exchange == &exchange_; });
  if (exchange_.interruption != nullptr) PyThreadState_SetAsyncExc(exchange_.thread, nullptr);
  calls_.reset();
}

bool is_interruption(const Gil&, const Exchange& exchange) {
  return exchange.interruption != nullptr && PyErr_ExceptionMatches(exchange.interruption) != 0;
}

}  // namespace stint::embed
