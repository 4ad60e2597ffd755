#include "server/cli/control_commands.h"

#include "server/cli/status_text.h"
#include "server/control/command.h"
#include "server/control/command_socket.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string_view>
#include <thread>

namespace stint::cli {

namespace {

namespace json = boost::json;

int fail(const std::string& sentence) {
  std::fprintf(stderr, "stint: %s\n", sentence.c_str());
  return 1;
}

// The server's answer as text and as an object; an answer that says {"error": …} is an error here.
struct Answer {
  std::string text;
  json::object object;
};

Result<Answer> ask(const std::string& path, const control::Command& command) {
  auto text = control::ask(path, control::encode_command(command));
  if (!text) return text.error();
  boost::system::error_code code;
  json::value value = json::parse(*text, code);
  if (code || !value.is_object()) return error_because("the server at " + path + " answers what is no Stint's answer");
  if (const json::value* error = value.get_object().if_contains("error"); error != nullptr && error->is_string())
    return error_because(std::string(std::string_view(error->get_string())));
  return Answer{std::move(*text), std::move(value.get_object())};
}

// Requests that have run for less are of no interest in a single look.
constexpr std::chrono::milliseconds worth_showing{100};

// Another version's server may leave out what this one shows.
Result<std::string> screen_of(const json::object& status, std::chrono::milliseconds shown_from) {
  try {
    return status_text(status, shown_from);
  } catch (const std::exception& exception) {
    return error_because(std::string("the server's status lacks something: ") + exception.what());
  }
}

// Written over what is there, which flickers less than an emptied screen; lines are cut where the terminal ends.
std::string as_screen(std::string_view text) {
  winsize size{};
  const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 1;
  const std::size_t columns = is_known ? size.ws_col : 80;
  const std::size_t rows = is_known ? size.ws_row : 24;
  std::string screen = "\x1b[H";
  for (std::size_t row = 1; row < rows && !text.empty(); ++row) {
    const std::string_view line = text.substr(0, text.find('\n'));
    screen.append(line.substr(0, columns)).append("\x1b[K\n");
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return screen.append("\x1b[J");
}

// The pidfd sees the end at once; the socket is asked as well, because a server in a container has another pid there
// than here.
void wait_until_gone(const std::string& path, pid_t pid) {
  if (const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); process.is_open()) {
    pollfd end{.fd = process.get(), .events = POLLIN, .revents = 0};
    while (::poll(&end, 1, 1000) == 0 && control::ask(path, control::encode_command(control::StatusCommand{}))) {
    }
  }
  while (control::ask(path, control::encode_command(control::StatusCommand{})))
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace

int run_status(const std::string& path, bool json) {
  const auto answer = ask(path, control::StatusCommand{});
  if (!answer) return fail(answer.error().text());
  if (json) {
    std::printf("%s\n", answer->text.c_str());
    return 0;
  }
  const auto text = screen_of(answer->object, worth_showing);
  if (!text) return fail(text.error().text());
  std::fputs(text->c_str(), stdout);
  return 0;
}

int run_top(const std::string& path) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  while (true) {
    const auto answer = ask(path, control::StatusCommand{});
    if (!answer) return fail(answer.error().text());
    const auto text = screen_of(answer->object, std::chrono::milliseconds(0));
    if (!text) return fail(text.error().text());
    std::fputs(is_terminal ? as_screen(*text).c_str() : text->c_str(), stdout);
    if (std::fflush(stdout) != 0 || !is_terminal) return 0;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

int run_recycle(const std::string& path, std::optional<unsigned> slot) {
  const auto answer = ask(path, control::RecycleCommand{slot});
  if (!answer) return fail(answer.error().text());
  const json::value* workers = answer->object.if_contains("workers");
  std::printf("replacing %s worker(s), one by one\n", workers == nullptr ? "some" : text_of(*workers).c_str());
  return 0;
}

namespace {

// Of the reload or upgrade that `answer` says has begun: until it is over, if `wait`.
int tell_of_reload(const std::string& path, const Answer& answer, bool wait) {
  const json::value* id = answer.object.if_contains("id");
  while (true) {
    const auto status = ask(path, control::StatusCommand{});
    if (!status) return fail(status.error().text());
    try {
      const json::object& reload = status->object.at("pool").at("reload").as_object();
      if (id == nullptr || reload.at("id") != *id) return fail("another reload has begun since");
      const std::string state = text_of(reload.at("state"));
      if (state == "failed") {
        std::fputs(reload_text(reload).c_str(), stderr);
        return 1;
      }
      if (state == "done" || !wait) {
        std::fputs(reload_text(reload).c_str(), stdout);
        return 0;
      }
    } catch (const std::exception& exception) {
      return fail(std::string("the server's status lacks something: ") + exception.what());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

int run_reload(const std::string& path, bool only_settings, bool wait) {
  const auto answer = ask(path, control::ReloadCommand{only_settings});
  return answer ? tell_of_reload(path, *answer, wait) : fail(answer.error().text());
}

int run_upgrade(const std::string& path, bool wait) {
  const auto answer = ask(path, control::UpgradeCommand{});
  return answer ? tell_of_reload(path, *answer, wait) : fail(answer.error().text());
}

int run_trace(const std::string& path, std::optional<unsigned> slot, bool json) {
  const auto answer = ask(path, control::TraceCommand{slot});
  if (!answer) return fail(answer.error().text());
  if (json) {
    std::printf("%s\n", answer->text.c_str());
    return 0;
  }
  try {
    std::fputs(trace_text(answer->object).c_str(), stdout);
    return 0;
  } catch (const std::exception& exception) {
    return fail(std::string("the server's answer lacks something: ") + exception.what());
  }
}

int run_reopen_logs(const std::string& path) {
  const auto answer = ask(path, control::ReopenLogsCommand{});
  return answer ? 0 : fail(answer.error().text());
}

int run_stop(const std::string& path, bool wait) {
  const auto answer = ask(path, control::StopCommand{});
  if (!answer) return fail(answer.error().text());
  const json::value* pid = answer->object.if_contains("pid");
  if (wait && pid != nullptr && pid->is_int64()) wait_until_gone(path, static_cast<pid_t>(pid->get_int64()));
  std::printf("%s\n", wait ? "stopped" : "stopping");
  return 0;
}

}  // namespace stint::cli
