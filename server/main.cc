// The composition root: arguments → settings → role → run. Everything that Stint is made of is put together here, in
// order, and handed in; no room knows another one's maker.
//
//   stint serve …   the supervisor          serve_role
//   stint worker …  a worker (internal)     worker_role
//   stint zygote …  a zygote (internal)     zygote_role, which goes on as a worker in the processes it forks
//   stint rehearse, resume, return …        the program of an upgrade (internal): rehearse_role, continue_role
//   the rest        questions and orders    run(const cli::…&)

#include "config/loader.h"
#include "config/settings_diff.h"
#include "server/cli/command_line.h"
#include "server/cli/config_commands.h"
#include "server/cli/control_commands.h"
#include "server/control/channel.h"
#include "server/control/inheritance.h"
#include "server/control/sealed_text.h"
#include "server/control/signals_blocked.h"
#include "server/control/zygote_inheritance.h"
#include "server/logging/process_log.h"
#include "server/net/inherited_sockets.h"
#include "server/net/listener.h"
#include "server/runtime_loader/runtime_loader.h"
#include "server/supervisor/descriptor_limit.h"
#include "server/supervisor/log_files.h"
#include "server/supervisor/supervisor.h"
#include "server/supervisor/upgrade.h"
#include "server/supervisor/worker_rights.h"
#include "server/worker/application_start.h"
#include "server/worker/signals.h"
#include "server/worker/worker.h"
#include "server/zygote/zygote.h"

#include <bsd/unistd.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stint {
namespace {

// DESIGN's exit codes.
constexpr int done = 0;
constexpr int failed = 1;
constexpr int invalid = 2;

int fail(int code, const std::string& sentence) {
  std::fprintf(stderr, "stint: %s\n", sentence.c_str());
  return code;
}

// A line for each.
std::string one_text(const config::Problems& problems) {
  std::string text;
  for (const config::Problem& problem : problems) text += (text.empty() ? "" : "\n") + problem.text();
  return text;
}

// The same command line and file once more, for a reload.
Result<FreshSettings> read_fresh_settings(const cli::Serve& command, const Settings& current) {
  const std::variant<config::Loaded, config::Problems> loaded = cli::load_settings(command.settings);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    return error_because(one_text(*problems));
  }
  FreshSettings fresh{.settings = std::get<config::Loaded>(loaded).settings, .toml = {}, .changes = {}};
  fresh.changes = config::settings_changes(current, fresh.settings);
  config::keep_what_needs_a_restart(current, fresh.settings);
  fresh.toml = config::to_toml(fresh.settings);
  return fresh;
}

Result<supervisor::Listeners> open_all(const Settings& settings, net::InheritedSockets& inherited) {
  supervisor::Listeners all;
  for (const ListenAddress& address : settings.listen) {
    Result<std::vector<net::Listener>> listeners =
        net::open_listeners(address, supervisor::socket_group_of(settings.app), inherited);
    if (!listeners.has_value()) return listeners.error();
    all.push_back(std::move(*listeners));
  }
  return all;
}

using LogOfProcess = Result<std::unique_ptr<logging::ProcessLog>>;

LogOfProcess open_supervisors_log(const Settings& settings) {
  Result<UniqueFd> file = supervisor::make_error_log(settings.log, settings.app.account);
  if (!file.has_value()) return file.error();
  return logging::ProcessLog::open(settings.log, "supervisor", std::move(*file));
}

// And sees to that of the workers.
LogOfProcess open_logs(const Settings& settings) {
  const Result<void> made = supervisor::make_access_log(settings.log, settings.app.account);
  return made.has_value() ? open_supervisors_log(settings) : made.error();
}

// Of a server that runs, and goes on: without, rather than not at all.
LogOfProcess open_log_or_standard_error(const Settings& settings) {
  LogOfProcess log = open_supervisors_log(settings);
  if (log.has_value()) return log;
  LogSettings standard = settings.log;
  standard.error = "-";
  LogOfProcess other = logging::ProcessLog::open(standard, "supervisor");
  if (other.has_value())
    (*other)->warning("log not opened", {{"error", log.error().text()}, {"next", "writing to standard error"}});
  return other;
}

int serve(const cli::Serve& command, supervisor::Program program, const Settings& settings,
          std::variant<supervisor::FreshStart, supervisor::Continuation> beginning, logging::ProcessLog& log) {
  ::setproctitle("-stint: supervisor %s", settings.app.name.c_str());
  supervisor::Supervisor supervisor(
      settings, config::to_toml(settings), std::move(beginning), std::move(program), log,
      [&log](const LogSettings& settings, UniqueFd file) { return log.change(settings, std::move(file)); },
      [&command](const Settings& current) { return read_fresh_settings(command, current); },
      cli::settings_path(command.settings));
  return supervisor.run();
}

int serve_role(const cli::Serve& command, supervisor::Program program) {
  supervisor::raise_descriptor_limit();
  // The first process of a container gets no signal that it does not handle yet; this one waits.
  if (::getpid() == 1) control::hold_signals();
  supervisor::ServiceManagerSettings service_manager = supervisor::take_service_manager_settings();
  Result<net::InheritedSockets> inherited = net::InheritedSockets::take_from_environment();
  if (!inherited.has_value()) return fail(failed, inherited.error().text());

  const std::variant<config::Loaded, config::Problems> loaded = cli::load_settings(command.settings);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    cli::print_problems(*problems);
    return invalid;
  }
  const Settings& settings = std::get<config::Loaded>(loaded).settings;

  Result<supervisor::Listeners> listeners = open_all(settings, *inherited);
  if (!listeners.has_value()) return fail(failed, listeners.error().text());

  LogOfProcess log = open_logs(settings);
  if (!log.has_value()) return fail(failed, log.error().text());
  if (const std::string left = inherited->names_left(); !left.empty()) {
    (*log)->warning("inherited sockets that no listener names", {{"names", left}, {"next", "closing them"}});
    *inherited = {};
  }

  return serve(command, std::move(program), settings,
               supervisor::FreshStart{std::move(*listeners), std::move(service_manager)}, **log);
}

// What the program before this one in this process has left, as far as it can be read without owning anything.
struct Legacy {
  supervisor::UpgradeState state;
  Settings settings;
  std::unique_ptr<logging::ProcessLog> log;
};

Result<Legacy> read_legacy(int file, LogOfProcess (*open_log)(const Settings&)) {
  const Result<std::string> text = control::read_sealed_text(file, "read the state of the running server");
  if (!text.has_value()) return text.error();
  Result<supervisor::UpgradeState> state = supervisor::decode_upgrade_state(*text);
  if (!state.has_value()) return state.error();
  if (const Result<void> can = supervisor::check_adoption(*state); !can.has_value()) return can.error();
  const config::Input input{.source = config::Source{"settings of the running server", state->settings},
                            .overrides = {},
                            .port = std::nullopt,
                            .working_directory = "/",
                            .check_folders = false};  // those of the code that runs may be gone
  std::variant<config::Loaded, config::Problems> loaded = config::load(input);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) return error_because(one_text(*problems));
  Legacy legacy{std::move(*state), std::move(std::get<config::Loaded>(loaded).settings), nullptr};
  LogOfProcess log = open_log(legacy.settings);
  if (!log.has_value()) return log.error();
  legacy.log = std::move(*log);
  return legacy;
}

int rehearse_role(const cli::Rehearse& command) {
  const Result<Legacy> legacy = read_legacy(command.state, open_logs);
  if (!legacy.has_value()) return fail(failed, legacy.error().text());
  // The reload that follows reads these.
  if (const auto fresh = read_fresh_settings(command.serve, legacy->settings); !fresh.has_value())
    return fail(failed, fresh.error().text());
  std::fputs(supervisor::rehearsed_text(STINT_VERSION).c_str(), stdout);
  return std::fflush(stdout) == 0 ? done : failed;
}

// `why_returned` empty: this program is the new one. Where it cannot go on, `former` can.
int continue_role(const cli::Serve& command, supervisor::Program program, UniqueFd state_file, UniqueFd former,
                  const std::string& why_returned) {
  supervisor::raise_descriptor_limit();
  supervisor::close_at_exec({state_file.get(), former.get()});
  Result<Legacy> legacy = read_legacy(state_file.get(), open_log_or_standard_error);
  if (!legacy.has_value()) {
    fail(failed, legacy.error().text());
    if (!former.is_open()) return failed;
    return fail(failed, supervisor::go_back(former.get(), state_file.get(), {}, legacy.error().text(), program).text());
  }
  supervisor::Continuation continuation{std::move(legacy->state), std::move(state_file), std::move(former),
                                        why_returned};
  return serve(command, std::move(program), legacy->settings, std::move(continuation), *legacy->log);
}

// One named step of a start, timed.
template <class Make>
auto step(std::vector<StartStep>& steps, const char* name, Make make) {
  const auto began = std::chrono::steady_clock::now();
  auto made = make();
  steps.push_back(
      {name, std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)});
  return made;
}

// A link that a deploy switches is followed once, at the start: packages imported later come from where the first ones
// did. One that leads nowhere is told by whoever wants to go there.
std::string resolved(const std::string& folder) {
  std::error_code unknown;
  const std::filesystem::path place = std::filesystem::canonical(folder, unknown);
  return unknown ? folder : place.string();
}

worker::RuntimeStarter runtime_starter(const Settings& settings, WorkerIdentity identity, Log& log) {
  return [&settings, &log, identity = std::move(identity)](
             std::vector<StartStep>& steps, worker::StartedRuntime& started) -> std::optional<LoadFailure> {
    const auto python = step(steps, "python", [&] { return runtime_loader::ask_python(resolved(settings.app.venv)); });
    if (!python.has_value()) return LoadFailure{"python", python.error().text(), {}};
    const auto opened = step(steps, "libpython", [&] { return runtime_loader::open_runtime(*python); });
    if (!opened.has_value()) return LoadFailure{"libpython", opened.error().text(), {}};
    Result<std::unique_ptr<Runtime>> runtime =
        opened->module->start({.app = &settings.app, .worker = identity, .python = python->executable, .log = &log});
    if (!runtime.has_value()) return LoadFailure{"interpreter", runtime.error().text(), {}};
    started.runtime = std::move(*runtime);
    started.python = python->version + " (" + python->executable + ")";
    return std::nullopt;
  };
}

// The supervisor starts no worker that is not the user of app.user (supervisor/worker_rights.h). Whatever else might
// start one: none goes on as root.
std::optional<LoadFailure> root_in_spite_of_user(const std::string& user) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (user.empty()) return std::nullopt;
  if (::getresuid(&real, &effective, &saved) == 0 && real != 0 && effective != 0 && saved != 0) return std::nullopt;
  return LoadFailure{"user", "this process is root, and app.user is " + user, {}};
}

// Before there is a worker or a zygote that could tell it.
int fail_start(UniqueFd channel_end, LoadFailure failure) {
  const std::string sentence = failure.step + ": " + failure.summary;
  control::Channel channel(std::move(channel_end));
  const Result<void> told = channel.send(control::StartFailed{std::move(failure)});
  return told.has_value() ? failed : fail(failed, sentence);
}

// Those that the supervisor has checked; or, with the reason printed, an exit code.
std::variant<Settings, int> settings_handed_down(int file) {
  Result<std::string> text = control::read_sealed_text(file, "read the settings handed down");
  if (!text.has_value()) return fail(failed, text.error().text());
  const config::Input input{.source = config::Source{"settings of the supervisor", std::move(*text)},
                            .overrides = {},
                            .port = std::nullopt,
                            .working_directory = "/",
                            .check_folders = false,
                            .find_account = false};
  const std::variant<config::Loaded, config::Problems> loaded = config::load(input);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    cli::print_problems(*problems);
    return invalid;
  }
  return std::get<config::Loaded>(loaded).settings;
}

void set_title(const std::string& title) { ::setproctitle("-stint: %s", title.c_str()); }

// No destructors: Python is still there, and threads of the application may be.
[[noreturn]] void leave(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

int worker_role(const cli::Worker& command) {
  Result<control::WorkerInheritance> inheritance = control::take_inheritance(command.arguments);
  if (!inheritance.has_value()) return fail(invalid, inheritance.error().text());
  const std::variant<Settings, int> handed_down = settings_handed_down(inheritance->settings.get());
  if (const int* code = std::get_if<int>(&handed_down)) return *code;
  const Settings& settings = std::get<Settings>(handed_down);

  const std::string place = settings.app.name + "/" + std::to_string(inheritance->slot);

  if (std::optional<LoadFailure> failure = root_in_spite_of_user(settings.app.user))
    return fail_start(std::move(inheritance->channel), std::move(*failure));
  Result<std::unique_ptr<logging::ProcessLog>> log = logging::ProcessLog::open(settings.log, "worker " + place);
  if (!log.has_value()) return fail_start(std::move(inheritance->channel), {"log", log.error().text(), {}});

  worker::RuntimeStarter starter = runtime_starter(settings, {inheritance->slot, inheritance->generation}, **log);
  worker::Worker worker(
      settings, std::move(*inheritance), std::move(starter), **log, [&log] { (*log)->reopen(); }, set_title);
  leave(worker.run());
}

// All that is made here lives on in the workers: a fork copies it.
int zygote_role(const cli::Zygote& command) {
  Result<control::ZygoteInheritance> inheritance = control::take_zygote_inheritance(command.arguments);
  if (!inheritance.has_value()) return fail(invalid, inheritance.error().text());
  const std::variant<Settings, int> handed_down = settings_handed_down(inheritance->settings.get());
  if (const int* code = std::get_if<int>(&handed_down)) return *code;
  const Settings& settings = std::get<Settings>(handed_down);
  const std::string name = settings.app.name;
  const unsigned generation = inheritance->generation;
  set_title("zygote " + name + " gen " + std::to_string(generation));

  if (std::optional<LoadFailure> failure = root_in_spite_of_user(settings.app.user))
    return fail_start(std::move(inheritance->channel), std::move(*failure));
  Result<std::unique_ptr<logging::ProcessLog>> opened = logging::ProcessLog::open(settings.log, "zygote " + name);
  if (!opened.has_value()) return fail_start(std::move(inheritance->channel), {"log", opened.error().text(), {}});
  logging::ProcessLog& log = **opened;
  const auto reopen_log = [&log] { log.reopen(); };
  if (auto passed_over = worker::pass_over_signals(); !passed_over.has_value())
    return fail_start(std::move(inheritance->channel), {"signals", passed_over.error().text(), {}});

  worker::StartedApplication started;
  const worker::RuntimeStarter starter = runtime_starter(settings, {0, generation}, log);
  const auto preload = [&](std::vector<StartStep>& steps, zygote::Preloaded& preloaded) {
    auto failure = worker::start_application(settings, starter, log, [] {}, steps, started);
    preloaded = {started.runtime.runtime.get(), started.runtime.python};
    return failure;
  };
  std::optional<worker::Worker> worker;
  const auto begin_worker = [&](control::WorkerInheritance inherited) {
    worker::claim_signals();
    log.become("worker " + name + "/" + std::to_string(inherited.slot));
    worker.emplace(settings, std::move(inherited), starter, log, reopen_log, set_title);
    worker->limit_start();
    if (const Result<void> kept = worker->start_keeper(); !kept.has_value())
      log.warning("no keeper", {{"error", kept.error().text()}, {"next", "starting it later"}});
  };
  std::optional<zygote::Zygote> zygote;
  zygote.emplace(std::move(*inheritance), preload, log, reopen_log, begin_worker);
  for (;;) {
    zygote::Outcome outcome = zygote->run();
    if (!outcome.fork) leave(outcome.exit_code);
    // A new process, and a worker from here on; once more a zygote, perhaps, when it has retired.
    worker->take(std::move(started), std::move(*outcome.fork));
    const int code = worker->run();
    if (code != done || !worker->becomes_zygote()) leave(code);
    worker::Worker::Remains remains = worker->leave_application();
    started = std::move(remains.application);
    worker.reset();
    log.become("zygote " + name);
    set_title("zygote " + name + " gen " + std::to_string(generation));
    const auto is_loaded = [&](std::vector<StartStep>&, zygote::Preloaded& preloaded) {
      preloaded = {started.runtime.runtime.get(), started.runtime.python};
      return std::optional<LoadFailure>();
    };
    control::ZygoteInheritance own{.generation = generation, .channel = std::move(remains.channel), .settings = {}};
    zygote.emplace(std::move(own), is_loaded, log, reopen_log, begin_worker);
  }
}

template <class Order>
int with_server(const cli::ServerArguments& server, Order order) {
  const std::variant<std::string, config::Problems> path = cli::find_control_socket(server);
  if (const auto* problems = std::get_if<config::Problems>(&path)) {
    cli::print_problems(*problems);
    return invalid;
  }
  return order(std::get<std::string>(path));
}

struct Run {
  const std::string& name;                    // argv[0]
  const std::vector<std::string>& arguments;  // behind it

  // Three words in front are the upgrade's, which has also given this program its name.
  supervisor::Program upgraded_program() const { return {name, {arguments.begin() + 3, arguments.end()}}; }

  int operator()(const cli::Serve& command) const {
    return serve_role(command, {supervisor::file_of_this_program(name), arguments});
  }
  int operator()(const cli::Rehearse& command) const { return rehearse_role(command); }
  int operator()(const cli::Resume& command) const {
    return continue_role(command.serve, upgraded_program(), UniqueFd(command.state), UniqueFd(command.former), "");
  }
  int operator()(const cli::Return& command) const {
    return continue_role(command.serve, upgraded_program(), UniqueFd(command.state), UniqueFd(), command.why);
  }
  int operator()(const cli::Worker& command) const { return worker_role(command); }
  int operator()(const cli::Zygote& command) const { return zygote_role(command); }
  int operator()(const cli::Check& command) const { return cli::run(command); }
  int operator()(const cli::ConfigShow& command) const { return cli::run(command); }
  int operator()(const cli::ConfigDefault& command) const { return cli::run(command); }
  int operator()(const cli::ConfigSchema& command) const { return cli::run(command); }
  int operator()(const cli::Status& command) const {
    return with_server(command.server, [&](const std::string& path) { return cli::run_status(path, command.is_json); });
  }
  int operator()(const cli::Top& command) const { return with_server(command.server, cli::run_top); }
  int operator()(const cli::Recycle& command) const {
    return with_server(command.server, [&](const std::string& path) { return cli::run_recycle(path, command.slot); });
  }
  int operator()(const cli::Reload& command) const {
    return with_server(command.server, [&](const std::string& path) {
      return cli::run_reload(path, command.only_settings, command.waits);
    });
  }
  int operator()(const cli::Upgrade& command) const {
    return with_server(command.server, [&](const std::string& path) { return cli::run_upgrade(path, command.waits); });
  }
  int operator()(const cli::Trace& command) const {
    return with_server(command.server,
                       [&](const std::string& path) { return cli::run_trace(path, command.slot, command.is_json); });
  }
  int operator()(const cli::ReopenLogs& command) const { return with_server(command.server, cli::run_reopen_logs); }
  int operator()(const cli::Stop& command) const {
    return with_server(command.server, [&](const std::string& path) { return cli::run_stop(path, command.waits); });
  }
  int operator()(const cli::Version&) const {
    std::puts("stint " STINT_VERSION);
    return done;
  }
  int operator()(const cli::Help& command) const {
    std::fputs(command.text.c_str(), stdout);
    return done;
  }
  int operator()(const cli::UsageError& command) const {  // names the command itself
    std::fprintf(stderr, "%s\n", command.text.c_str());
    return invalid;
  }
};

}  // namespace
}  // namespace stint

int main(int argc, char** argv, char** environment) {
  // Whoever started us may have left it ignored, and then the kernel would reap our children.
  std::signal(SIGCHLD, SIG_DFL);
  const std::string name = argv[0];
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  ::setproctitle_init(argc, argv, environment);
  try {
    return std::visit(stint::Run{name, arguments}, stint::cli::parse_command_line(arguments));
  } catch (const std::exception& failure) {  // of a start; what serves ends where it is thrown (worker::Crew)
    return stint::fail(stint::failed, failure.what());
  }
}
