#include "tests/support/server_process.h"

#include "tests/support/catch.h"
#include "tests/support/eventually.h"
#include "tests/support/process_table.h"

#include <signal.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <stdexcept>

namespace stint::test {
namespace {

// The addresses in the log line that begins with "serving", in the order of the settings.
std::vector<std::string> addresses_in(const std::string& log) {
  static const std::regex line(R"((^|\n)[^\n]*\bserving\b[^\n]*\n)");
  static const std::regex address(R"((\d+\.\d+\.\d+\.\d+:\d+|\[[0-9a-f:.]+\]:\d+|unix:[^\s",\]]+))");
  std::smatch found;
  std::vector<std::string> addresses;
  if (!std::regex_search(log, found, line)) return addresses;
  const std::string text = found.str();
  for (std::sregex_iterator it(text.begin(), text.end(), address), end; it != end; ++it) addresses.push_back(it->str());
  return addresses;
}

using Setting = std::pair<std::string, std::string>;

std::optional<Setting> setting_for_this_run() {
  const char* variable = std::getenv("STINT_TEST_SET");
  if (variable == nullptr) return std::nullopt;
  const std::string text = variable;
  const std::size_t key_end = text.find('=');
  if (key_end == text.npos) throw std::runtime_error("STINT_TEST_SET is not KEY=VALUE: " + text);
  return Setting(text.substr(0, key_end), text.substr(key_end + 1));
}

bool runs(pid_t pid, const std::string& program) {
  std::error_code gone;
  return std::filesystem::equivalent("/proc/" + std::to_string(pid) + "/exe", program, gone);
}

}  // namespace

std::string apps_folder() { return STINT_SOURCE_DIR "/tests/apps/stories"; }

std::optional<std::string> set_for_this_run(std::string_view key) {
  const auto setting = setting_for_this_run();
  return setting && setting->first == key ? std::optional(setting->second) : std::nullopt;
}

ServerProcess::ServerProcess(ServerOptions options, std::unique_ptr<TemporaryFolder> folder)
    : options_(std::move(options)), folder_(folder ? std::move(folder) : std::make_unique<TemporaryFolder>()) {
  CommandLine command;
  command.arguments = options_.wrapper;
  if (options_.program.empty()) options_.program = stint_binary();
  command.arguments.insert(command.arguments.end(), {options_.program, "serve"});
  const auto add = [&command](std::string option, std::string value) {
    command.arguments.push_back(std::move(option));
    command.arguments.push_back(std::move(value));
  };
  if (!options_.module.empty()) command.arguments.push_back(options_.module);
  if (!options_.toml.empty()) add("-c", folder_->write("stint.toml", options_.toml));
  for (std::string& address : options_.listen) {
    if (address.starts_with("unix:") && !address.starts_with("unix:/")) address.insert(5, folder_->file(""));
    add("--listen", address);
  }
  if (options_.workers > 0) add("--workers", std::to_string(options_.workers));
  if (!options_.directory.empty()) add("--directory", options_.directory);
  add("--set", "control.socket=\"" + control_socket() + "\"");
  if (auto setting = setting_for_this_run())
    options_.set.insert(options_.set.begin(), std::move(*setting));  // last wins
  for (const auto& [key, value] : options_.set) add("--set", key + "=" + value);
  command.arguments.insert(command.arguments.end(), options_.words.begin(), options_.words.end());
  command.environment = options_.environment;
  command.sockets = options_.sockets;
  command.environment.push_back("PYTHONDONTWRITEBYTECODE=1");
  command.working_directory = folder_->path();
  command.output = folder_->file("output");
  command.error = folder_->file("error");
  pid_ = start(command);
}

ServerProcess::~ServerProcess() {
  if (!exit_code_) {
    kill(pid_, SIGKILL);
    wait_for_exit(patience);
  }
  // Workers may still be starting while these are killed: again until none is found.
  eventually([this] {
    const auto left = processes();
    for (const pid_t pid : left) kill(pid, SIGKILL);
    return left.empty();
  });
}

void ServerProcess::wait_until_serving() {
  const bool is_serving = eventually([this] {
    addresses_ = addresses_in(log());
    return addresses_.size() >= std::max<std::size_t>(1, options_.listen.size()) || wait_for_exit(0ms).has_value();
  });
  if (!is_serving || exit_code_) FAIL("the server does not serve; its log:\n" << log() << output());
}

void ServerProcess::wait_until_ready() {
  wait_until_serving();
  // At least: with short limits one more is on its way at any time.
  if (!eventually([this] { return ready_workers().size() >= std::max(1u, options_.workers); })) {
    FAIL("workers are not ready; status: " << boost::json::serialize(status()) << "\nlog:\n" << log());
  }
  // What the check at the end relies on: our way to find processes finds the workers.
  CHECK(eventually([this] {
    const auto ready = ready_workers();
    const auto found = processes();
    return std::all_of(ready.begin(), ready.end(), [&](pid_t worker) {
      return runs(worker, options_.program) && std::count(found.begin(), found.end(), worker) == 1;
    });
  }));
}

const std::string& ServerProcess::address(std::size_t listener) const { return addresses_.at(listener); }

std::string ServerProcess::log() const { return read_file(folder_->file("error")); }
std::string ServerProcess::output() const { return read_file(folder_->file("output")); }

std::size_t ServerProcess::log_count(std::string_view text) const {
  const std::string all = log();
  std::size_t count = 0;
  for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size())) ++count;
  return count;
}

void ServerProcess::signal(int number) const { REQUIRE(kill(pid_, number) == 0); }

std::optional<int> ServerProcess::wait_for_exit(std::chrono::milliseconds limit) {
  if (!exit_code_) exit_code_ = test::wait_for_exit(pid_, limit);
  return exit_code_;
}

std::vector<pid_t> ServerProcess::processes() const { return processes_of_session(pid_); }

CommandResult ServerProcess::command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), stint_binary());
  arguments.push_back("--socket");
  arguments.push_back(control_socket());
  return run(std::move(arguments));
}

boost::json::object ServerProcess::status() const {
  const CommandResult result = command({"status", "--json"});
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(result.output, error);
  if (result.exit_code != 0 || error || !value.is_object()) return {};
  return value.as_object();
}

std::vector<ServerProcess::WorkerRow> ServerProcess::workers() const {
  std::vector<WorkerRow> rows;
  const boost::json::object all = status();
  if (all.empty()) return rows;
  for (const boost::json::value& worker : all.at("pool").at("workers").as_array()) {
    const boost::json::value& keeper = worker.at("keeper");
    rows.push_back({worker.at("slot").to_number<unsigned>(), worker.at("pid").to_number<pid_t>(),
                    keeper.is_null() ? 0 : keeper.to_number<pid_t>(), std::string(worker.at("state").as_string())});
  }
  return rows;
}

std::vector<pid_t> ServerProcess::ready_workers() const {
  std::vector<pid_t> pids;
  for (const WorkerRow& row : workers()) {
    if (row.state == "ready") pids.push_back(row.pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

bool ServerProcess::wait_for_ready_workers(std::size_t n) {
  return eventually([this, n] {
    const auto rows = workers();
    return rows.size() == n &&
           std::all_of(rows.begin(), rows.end(), [](const WorkerRow& row) { return row.state == "ready"; });
  });
}

void ServerProcess::expect_clean_exit() {
  if (!exit_code_) {
    signal(SIGTERM);
    if (!wait_for_exit(patience)) FAIL("the server does not end after SIGTERM; its log:\n" << log());
  }
  INFO("log:\n" << log());
  CHECK(*exit_code_ == 0);
  expect_nothing_left();
}

void ServerProcess::expect_nothing_left() {
  REQUIRE(wait_for_exit(patience));
  const std::string text = log();
  INFO("log:\n" << text);
  std::string left;
  // Ours are gone before the supervisor. A program that a worker was just starting when it was killed, which looks like
  // the worker until it is exec'd, dies with it, and may take a moment longer.
  for (const pid_t pid : processes()) {
    if (!eventually([pid] { return !test::is_running(pid); })) {
      left += std::to_string(pid) + " " + command_line_of(pid) + "\n";
    }
  }
  if (std::filesystem::exists(control_socket())) left += control_socket() + "\n";
  for (const std::string& address : addresses_) {  // files of inherited sockets are not the server's
    const bool is_its_own = std::find(options_.listen.begin(), options_.listen.end(), address) != options_.listen.end();
    if (is_its_own && address.starts_with("unix:") && std::filesystem::exists(address.substr(5)))
      left += address + "\n";
  }
  CHECK(left == "");
  for (const char* bug : {"stint: bug at", "Sanitizer", "runtime error:", "terminate called", "Fatal Python error"}) {
    CHECK(text.find(bug) == std::string::npos);
  }
}

}  // namespace stint::test
