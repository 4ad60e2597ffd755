#include "server/worker/tracer.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace stint::worker {

namespace {

// What the handler, in any thread, and the tracer write to each other on. An answer to an earlier round is none.
struct Board {
  ThreadProbe probe;
  int answers_file = -1;
  std::atomic<int> round{0};
  std::atomic<pid_t> asked{0};
  std::atomic<bool> has_written{false};
  std::atomic<pid_t> lock_holder{0};
  std::atomic<unsigned> answers{0};
  static_assert(std::atomic<pid_t>::is_always_lock_free, "a handler takes no lock");
};
Board board;  // a handler can reach nothing but a global

void on_asked(int, siginfo_t* info, void*) {
  const int saved = errno;
  if (info->si_code == SI_QUEUE && info->si_value.sival_int == board.round.load()) {
    const pid_t me = ::gettid();
    if (board.probe.holds_lock()) board.lock_holder.store(me);
    if (board.asked.load() == me) {
      board.probe.write_stack();
      board.has_written.store(true);
    }
    board.answers.fetch_add(1);
    const std::uint64_t one = 1;
    static_cast<void>(!::write(board.answers_file, &one, sizeof one));  // fails only when it is readable anyway
  }
  errno = saved;
}

// From above: the C library, and debuggers, take theirs from below.
int unused_signal() {
  for (int number = SIGRTMAX - 1; number >= SIGRTMIN; --number) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) return number;
  }
  return 0;
}

// As proc_pid_status(5) tells; one that has ended blocks it.
bool blocks(pid_t thread, int signal) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigBlk:")) continue;
    std::uint64_t mask = 0;
    const std::string_view digits = std::string_view(line).substr(line.find_first_not_of("\t ", 7));
    std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
    return ((mask >> (signal - 1)) & 1) != 0;
  }
  return true;
}

std::vector<pid_t> threads_of_process() {
  std::vector<pid_t> threads;
  std::error_code error;
  for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
       task.increment(error)) {
    const std::string name = task->path().filename();
    pid_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    threads.push_back(thread);
  }
  return threads;
}

}  // namespace

Result<std::unique_ptr<Tracer>> Tracer::make(EventLoop& loop, Runtime& runtime) {
  const int signal = unused_signal();
  if (signal == 0) return error_because("find a signal that nobody uses: all have handlers");
  UniqueFd stack(::memfd_create("stint-stack", MFD_CLOEXEC));
  if (!stack.is_open()) return system_error("memfd_create");
  UniqueFd answers(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!answers.is_open()) return system_error("eventfd");
  Result<ThreadProbe> probe = runtime.probe_threads(signal, stack.get());
  if (!probe.has_value()) return probe.error();

  board.probe = *probe;
  board.answers_file = answers.get();
  std::unique_ptr<Tracer> tracer(new Tracer(loop, std::move(stack), std::move(answers), signal));
  struct sigaction action{};
  action.sa_sigaction = on_asked;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  if (::sigaction(signal, &action, nullptr) != 0) return system_error("sigaction");
  if (Result<void> watched = loop.watch(tracer->answers_.get(), EPOLLIN, *tracer); !watched.has_value())
    return watched.error();
  tracer->is_watched_ = true;
  return tracer;
}

Tracer::~Tracer() {
  ++board.round;
  ::signal(signal_, SIG_DFL);
  if (is_watched_) loop_.unwatch(answers_.get());
}

void Tracer::trace(pid_t thread, Done done) {
  questions_.push_back({thread, std::move(done)});
  if (questions_.size() == 1) ask_next();
}

void Tracer::ask_next() {
  const pid_t wanted = questions_.front().thread;
  ++board.round;
  board.asked = wanted;
  board.has_written = false;
  board.lock_holder = 0;
  board.answers = 0;
  static_cast<void>(::lseek(stack_.get(), 0, SEEK_SET));  // a file of memory: neither fails
  static_cast<void>(!::ftruncate(stack_.get(), 0));
  asked_ = 0;
  // The wanted one first: what the others do is of interest while it does what it does.
  if (ask(wanted)) ++asked_;
  for (const pid_t thread : threads_of_process()) {
    if (thread != wanted && !blocks(thread, signal_) && ask(thread)) ++asked_;
  }
  // Also when nobody could be asked: `done` is not to be called from within trace().
  patience_.arm(*this, std::chrono::steady_clock::now());
}

bool Tracer::ask(pid_t thread) const {
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_int = board.round.load();
  return ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, signal_, &info) == 0;
}

void Tracer::on_ready(std::uint32_t) {
  std::uint64_t count = 0;
  static_cast<void>(!::read(answers_.get(), &count, sizeof count));
  if (!questions_.empty() && board.answers.load() >= asked_) finish();
}

void Tracer::finish() {
  disarm();
  const Question question = std::move(questions_.front());
  ThreadTrace trace{.thread = question.thread,
                    .has_answered = board.has_written.load(),
                    .stack = {},
                    .lock_holder = board.lock_holder.load()};
  ++board.round;  // who answers late writes nothing more
  if (trace.has_answered) trace.stack = read_stack();
  questions_.pop_front();
  if (!questions_.empty()) ask_next();
  question.done(trace);
}

std::string Tracer::read_stack() const {
  std::string text(static_cast<std::size_t>(std::max<off_t>(::lseek(stack_.get(), 0, SEEK_END), 0)), '\0');
  const ssize_t got = ::pread(stack_.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

}  // namespace stint::worker
