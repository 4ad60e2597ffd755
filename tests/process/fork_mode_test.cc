// Stories of start = "fork": workers that are forked from a zygote. Whatever the zygote does, workers are the
// supervisor's children and behave as others.
#include "tests/process/deployed_site.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

namespace stint::test {
namespace {

namespace json = boost::json;

// `workers`: what stands in [app.workers] beside its count.
std::string settings(unsigned count, const std::string& workers, const std::string& more = "") {
  return "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"site_app:application\"\n[app.workers]\ncount = " +
         std::to_string(count) + "\nstartup_timeout = \"25s\"\n" + workers + "\n[reload]\nsettle = \"50ms\"\n" + more;
}
const std::string forks = "start = \"fork\"";

// A site of its own, like Site, with everything in its file.
struct ForkedSite {
  std::unique_ptr<ServerProcess> server;

  explicit ForkedSite(const std::string& text, const std::string& toml = settings(2, forks)) {
    auto folder = std::make_unique<TemporaryFolder>();
    folder->write("site_app.py", text);
    ServerOptions options;
    options.module = "";
    options.directory = folder->path().string();
    options.listen.clear();
    options.workers = 0;
    options.toml = toml;
    server = std::make_unique<ServerProcess>(options, std::move(folder));
  }
  void deploy(const std::string& text) { server->folder().write("site_app.py", text); }
  CommandResult reload() { return server->command({"reload", "--wait"}); }
  std::string version() { return fetch(server->address(), "/").body; }

  // Those that are ready, by generation.
  std::map<unsigned, pid_t> zygotes() const {
    std::map<unsigned, pid_t> found;
    const json::object status = server->status();
    if (status.empty()) return found;
    for (const json::value& row : status.at("pool").at("zygotes").as_array())
      if (row.at("state").as_string() == "ready")
        found[row.at("generation").to_number<unsigned>()] = row.at("pid").to_number<pid_t>();
    return found;
  }
};

// What an application sees of its process, and what it has kept since its import.
const std::string introspective = R"(
import json, os, random, signal, threading, time
events = []
os.register_at_fork(before=lambda: events.append("before"), after_in_parent=lambda: events.append("parent"),
                    after_in_child=lambda: events.append("child"))
imported_in = os.getpid()
kept = os.urandom(1024) * (48 * 1024)
def application(environ, start_response):
    time.sleep(0.002)
    signal.pthread_kill(threading.main_thread().ident, 0)     # the C library knows the main thread as the kernel does
    body = json.dumps({"pid": os.getpid(), "parent": os.getppid(), "imported_in": imported_in, "events": events,
                       "slot": environ["stint.worker"], "generation": environ["stint.generation"],
                       "random": random.random()})
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body.encode()]
)";

// An answer of each worker, by pid: of as many clients at a time as it takes for all of them to have one.
std::map<pid_t, json::object> answers_of_workers(const ServerProcess& server, std::size_t workers) {
  std::map<pid_t, json::object> answers;
  Load load;
  load.address = server.address();
  load.connections = 12;
  load.requests = 120;
  load.problem_of = [&answers](const LoadAnswer& answer) {
    const json::object told = json::parse(std::string(answer.body)).as_object();
    answers.emplace(told.at("pid").to_number<pid_t>(), told);
    return "";
  };
  eventually([&] {
    CHECK(run_load(load).failures() == 0);
    return answers.size() >= workers;
  });
  return answers;
}

TEST_CASE("forked workers share what was loaded once, and are the supervisor's children", "[process]") {
  ForkedSite site(introspective, settings(3, forks));
  site.server->wait_until_ready();
  const auto zygotes = site.zygotes();
  REQUIRE(zygotes.size() == 1);
  CHECK(command_line_of(zygotes.at(1)).find("stint: zygote site_app gen 1") == 0);

  const auto answers = answers_of_workers(*site.server, 3);
  REQUIRE(answers.size() == 3);
  std::set<unsigned> slots;
  std::set<double> numbers;
  for (const auto& [pid, answer] : answers) {
    INFO(answer);
    CHECK(answer.at("imported_in").to_number<pid_t>() == zygotes.at(1));
    CHECK(answer.at("parent").to_number<pid_t>() == site.server->pid());
    CHECK(answer.at("generation").to_number<unsigned>() == 1);
    slots.insert(answer.at("slot").to_number<unsigned>());
    numbers.insert(answer.at("random").as_double());
    const auto& events = answer.at("events").as_array();
    CHECK(events.back() == "child");
    CHECK(std::count(events.begin(), events.end(), "child") == 1);
    CHECK(events.at(events.size() - 2) == "before");
    if (has_honest_memory) CHECK(memory_kib(pid, "RssAnon") > 48 * 1024);
    if (has_honest_memory) CHECK(own_memory_kib(pid) < 24 * 1024);
  }
  CHECK(slots == std::set<unsigned>{1, 2, 3});
  CHECK(numbers.size() == 3);  // seeded anew in each
  CHECK(site.server->log_count("steps=\"fork ") == 3);
  site.server->expect_clean_exit();
}

TEST_CASE("a forked worker that is killed has an heir of the same zygote, and is reaped", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const auto zygotes = site.zygotes();
  const pid_t victim = site.server->ready_workers().at(0);
  ::kill(victim, SIGKILL);
  CHECK(eventually([&] {
    const auto ready = site.server->ready_workers();
    return ready.size() == 2 && std::find(ready.begin(), ready.end(), victim) == ready.end();
  }));
  CHECK(site.server->log_count("worker died") == 1);
  CHECK(site.server->log_count("signal=SIGKILL") == 1);
  CHECK(site.zygotes() == zygotes);
  CHECK(eventually([&] { return zombies_of(site.server->pid()) == 0; }));
  CHECK(site.version() == "1");
  site.server->expect_clean_exit();
}

TEST_CASE("a zygote that is killed is replaced, while its workers go on", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const pid_t first = site.zygotes().at(1);
  const auto workers = site.server->ready_workers();
  ::kill(first, SIGKILL);
  CHECK(eventually([&] {
    const auto zygotes = site.zygotes();
    return zygotes.contains(1) && zygotes.at(1) != first;
  }));
  CHECK(site.server->ready_workers() == workers);
  CHECK(site.server->log_count("zygote died") == 1);
  // And the new one forks.
  ::kill(workers.at(0), SIGKILL);
  CHECK(eventually([&] {
    const auto ready = site.server->ready_workers();
    return ready.size() == 2 && ready != workers;
  }));
  CHECK(eventually([&] { return zombies_of(site.server->pid()) == 0; }));
  site.server->expect_clean_exit();
}

TEST_CASE("a zygote and all its workers are killed at once, and all are there again", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const auto workers = site.server->ready_workers();
  ::kill(site.zygotes().at(1), SIGKILL);
  for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  CHECK(eventually([&] {
    const auto ready = site.server->ready_workers();
    return ready.size() == 2 && std::none_of(ready.begin(), ready.end(), [&](pid_t pid) {
             return std::find(workers.begin(), workers.end(), pid) != workers.end();
           });
  }));
  CHECK(site.version() == "1");
  site.server->expect_clean_exit();
}

TEST_CASE("a reload has a zygote of its own, and the old one ends", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const pid_t first = site.zygotes().at(1);
  BackgroundLoad load({.address = site.server->address(), .connections = 8, .requests = 10'000'000});
  site.deploy(code(2));
  const auto reloaded = site.reload();
  INFO(reloaded.error << site.server->log());
  CHECK(reloaded.exit_code == 0);
  CHECK(site.version() == "2");
  const LoadReport report = load.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(eventually([&] { return !is_running(first) && site.zygotes().contains(2); }));
  CHECK(site.zygotes().size() == 1);
  site.server->expect_clean_exit();
}

TEST_CASE("a deploy that does not import fails in its zygote, and the old generation serves on", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const auto workers = site.server->ready_workers();
  const auto zygotes = site.zygotes();
  site.deploy(code(2, "raise LookupError('half deployed')"));
  const auto reloaded = site.reload();
  CHECK(reloaded.exit_code == 1);
  CHECK(reloaded.error.find("LookupError: half deployed") != std::string::npos);
  CHECK(site.version() == "1");
  CHECK(site.server->ready_workers() == workers);
  CHECK(site.zygotes() == zygotes);
  site.server->expect_clean_exit();
}

TEST_CASE("a reload changes between workers that start by themselves and forked ones, both ways", "[process]") {
  ForkedSite site(code(1), settings(2, ""));
  site.server->wait_until_ready();
  CHECK(site.zygotes().empty());
  const auto change = [&](const std::string& workers) {
    BackgroundLoad load({.address = site.server->address(), .connections = 4, .requests = 10'000'000});
    site.server->folder().write("stint.toml", settings(2, workers));
    const auto reloaded = site.reload();
    INFO(reloaded.error);
    CHECK(reloaded.exit_code == 0);
    const LoadReport report = load.stop();
    INFO(report.text());
    CHECK(report.failures() == 0);
  };
  change(forks);
  CHECK(site.zygotes().size() == 1);
  change("");
  CHECK(eventually([&] { return site.server->status().at("pool").at("zygotes").as_array().empty(); }));
  CHECK(site.server->wait_for_ready_workers(2));
  site.server->expect_clean_exit();
}

// What the module does in its import, and what of it the refusal names.
void expect_refusal(const std::string& import, const std::vector<std::string>& names) {
  ForkedSite site(code(1, import));
  const auto exit_code = site.server->wait_for_exit(patience);
  INFO(site.server->log());
  REQUIRE(exit_code.has_value());
  CHECK(*exit_code == 1);
  CHECK(site.server->log_count("step=fork_safety") == 1);
  for (const std::string& name : names) CHECK(site.server->log().find(name) != std::string::npos);
  site.server->expect_nothing_left();
}

TEST_CASE("a thread that runs after the import is refused, with its name", "[process]") {
  expect_refusal(
      "import threading, time\n"
      "threading.Thread(target=time.sleep, args=(300,), daemon=True, name='metrics-flusher').start()",
      {"thread 'metrics-flusher' runs"});
}

TEST_CASE("a thread that Python does not know is refused, with the kernel's name for it", "[process]") {
  expect_refusal(
      "import _thread, ctypes, time\n"
      "named = _thread.allocate_lock(); named.acquire()\n"
      "def poll():\n"
      "    ctypes.CDLL(None).prctl(15, b'grpc-poller', 0, 0, 0)\n"
      "    named.release()\n"
      "    time.sleep(300)\n"
      "_thread.start_new_thread(poll, ())\n"
      "named.acquire()",
      {"thread 'grpc-poller', which Python does not know, runs"});
}

TEST_CASE("connections and databases that are open after the import are refused, with their names", "[process]") {
  expect_refusal(
      "import socket, sqlite3\n"
      "queue = socket.create_server(('127.0.0.1', 0))\n"
      "client = socket.create_connection(queue.getsockname())\n"
      "database = sqlite3.connect('orders.db'); database.execute('create table t (a)'); database.commit()",
      {"is a connection to 127.0.0.1:", "is the open database /", "orders.db"});
}

TEST_CASE("a reload to code that must not be forked is rolled back", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  site.deploy(code(2,
                   "import threading, time\n"
                   "threading.Thread(target=time.sleep, args=(300,), daemon=True, name='late-agent').start()"));
  const auto reloaded = site.reload();
  CHECK(reloaded.exit_code == 1);
  CHECK(reloaded.error.find("fork_safety") != std::string::npos);
  CHECK(reloaded.error.find("thread 'late-agent' runs") != std::string::npos);
  CHECK(site.version() == "1");
  site.server->expect_clean_exit();
}

TEST_CASE("forked workers are replaced by count of requests, and no client notices", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.workers.start", "fork"}, {"app.recycle.max_requests", "200"}};
  ServerProcess server(options);
  server.wait_until_ready();

  Load load;
  load.address = server.address();
  load.connections = 16;
  load.requests = 20'000;
  load.paths = {"/work?us=300"};
  const LoadReport report = run_load(load);
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.answers_by_worker.size() > 20);
  CHECK(eventually([&] { return zombies_of(server.pid()) == 0; }));
  server.expect_clean_exit();
}

// What it has learned since its import, as a cache does.
const std::string learning = R"(
import os, threading, time
answers = 0
def application(environ, start_response):
    global answers
    answers += 1
    if environ["PATH_INFO"] == "/poll":
        threading.Thread(target=threading.Event().wait, daemon=True, name="poller").start()
    time.sleep(0.001)
    start_response("200 OK", [("X-Worker-Pid", str(os.getpid())), ("X-Parent", str(os.getppid()))])
    return [str(answers).encode()]
)";

// nullopt: it has gone.
std::optional<unsigned> pidfds_of(pid_t pid) {
  std::error_code gone;
  unsigned count = 0;
  for (std::filesystem::directory_iterator file("/proc/" + std::to_string(pid) + "/fd", gone), end;
       !gone && file != end; file.increment(gone)) {
    std::error_code closed;
    count += std::filesystem::read_symlink(file->path(), closed) == "anon_inode:[pidfd]" ? 1 : 0;
  }
  return gone ? std::nullopt : std::optional(count);
}

TEST_CASE(
    "after so many requests a worker becomes the zygote, all others are forked from it, and no client notices "
    "(issue 7)",
    "[process]") {
  ForkedSite site(learning, settings(3, forks, "[app.recycle]\nrefork_after = 300\n"));
  ServerProcess& server = *site.server;
  server.wait_until_ready();
  const std::vector<pid_t> first = server.ready_workers();
  const pid_t zygote = site.zygotes().at(1);
  Load load;
  load.address = server.address();
  load.connections = 6;
  load.requests = 100'000'000;
  BackgroundLoad background(load);
  // Twice: each zygote has grown out of a worker of the one before.
  pid_t before = zygote;
  for (int i = 0; i < 2; ++i) {
    CHECK(eventually([&] { return site.zygotes().contains(1) && site.zygotes().at(1) != before; }));
    before = site.zygotes().at(1);
  }
  const LoadReport report = background.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.announced_closes == 0);
  CHECK(report.answers_by_worker.contains(before));  // it was a worker
  CHECK(eventually([&] {
    const std::vector<pid_t> now = server.ready_workers();
    return now.size() == 3 && std::none_of(now.begin(), now.end(), [&](pid_t pid) {
             return pid == before || std::find(first.begin(), first.end(), pid) != first.end();
           });
  }));
  CHECK(eventually([&] { return std::stoi(fetch(server.address(), "/").body) > 300; }));
  CHECK(fetch(server.address(), "/").field("X-Parent") == std::to_string(server.pid()));
  CHECK_FALSE(is_running(zygote));
  // What watched it as a worker. The next one may be its heir already.
  CHECK(eventually([&] {
    const auto now = site.zygotes();
    return now.contains(1) && pidfds_of(now.at(1)) == 0U;
  }));
  CHECK(server.log_count("keeper died") == 0);
  CHECK(server.log_count("died") == 0);
  server.expect_clean_exit();
}

TEST_CASE("a worker with a thread is not fit to become the zygote, which says so once and goes on (issue 7)",
          "[process]") {
  ForkedSite site(learning, settings(2, forks, "[app.recycle]\nrefork_after = 50\n"));
  ServerProcess& server = *site.server;
  server.wait_until_ready();
  const pid_t zygote = site.zygotes().at(1);
  for (int i = 0; i < 4; ++i) CHECK(fetch(server.address(), "/poll").status == 200);
  CHECK(eventually([&] {
    CHECK(fetch(server.address(), "/poll").status == 200);
    return server.log_count("worker not fit to become the zygote") == 1;
  }));
  CHECK_THAT(server.log(), Catch::Matchers::ContainsSubstring("thread 'poller' runs"));
  for (int i = 0; i < 120; ++i) CHECK(fetch(server.address(), "/poll").status == 200);
  CHECK(site.zygotes().at(1) == zygote);
  CHECK(server.log_count("worker not fit") == 1);
  CHECK(server.wait_for_ready_workers(2));
  server.expect_clean_exit();
}

// Handlers of the application, as its import left them; and a time in which a new worker has only those of its zygote.
const std::string with_handlers = R"(
import os, signal, time
heard = []
signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
def after_fork():
    open("forked", "a").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
os.register_at_fork(after_in_child=after_fork)
def application(environ, start_response):
    start_response("200 OK", [("X-Worker-Pid", str(os.getpid()))])
    return [str(len(heard)).encode()]
)";

TEST_CASE("a forked worker hears the application's signals, and passes the supervisor's over from the beginning",
          "[process]") {
  ForkedSite site(with_handlers, settings(1, forks));
  ServerProcess& server = *site.server;
  REQUIRE(eventually([&] { return std::filesystem::exists(server.folder().file("forked")); }));
  for (const pid_t pid : server.processes())
    if (pid != server.pid()) ::kill(pid, SIGUSR1);
  server.folder().write("go", "");
  server.wait_until_ready();
  ::kill(server.ready_workers().at(0), SIGUSR2);
  CHECK(eventually([&] { return fetch(server.address(), "/").body == "1"; }));
  CHECK(server.log_count("SIGUSR") == 0);
  server.expect_clean_exit();
}

TEST_CASE("a forked worker's keeper rescues its connections", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.workers.start", "fork"}};
  ServerProcess server(options);
  server.wait_until_ready();

  Load load;
  load.address = server.address();
  load.connections = 16;
  load.requests = 1'000'000;
  load.paths = {"/work?us=500"};    // safe to ask once more
  load.tolerated_statuses = {502};  // but not twice: workers die faster here than some requests are served
  BackgroundLoad background(load);
  for (int i = 0; i < 5; ++i) {
    const auto ready = server.ready_workers();
    if (!ready.empty()) ::kill(ready.front(), SIGKILL);
    CHECK(eventually([&] { return server.ready_workers().size() == 2 && server.ready_workers() != ready; }));
  }
  const LoadReport report = background.stop();
  WARN(report.text());
  // A death may cost an answer that had begun, and nothing else.
  CHECK(report.refused + report.resets + report.new_resets + report.timeouts == 0);
  CHECK(report.malformed + report.wrong_status + report.wrong_body + report.idle_closes == 0);
  CHECK(report.answers > 10);
  server.expect_clean_exit();
}

TEST_CASE("limits of memory count what is a forked worker's own", "[process]") {
  if (!has_honest_memory) return;
  const std::string app = R"(
import os
from urllib.parse import parse_qs
shared = os.urandom(1024) * (64 * 1024)
kept = []
def application(environ, start_response):
    mib = int(parse_qs(environ["QUERY_STRING"]).get("mib", ["0"])[0])
    if mib: kept.append(os.urandom(1024) * (mib * 1024))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
)";
  ForkedSite site(app, settings(1, forks, "[app.recycle]\nmax_rss = \"32MiB\"\nkill_rss = \"60MiB\"\n"));
  site.server->wait_until_ready();
  const pid_t first = site.server->ready_workers().at(0);
  const std::string address = site.server->address();
  // With what it shares it has twice the limit. Once the worker has looked, the supervisor has as well, many times.
  std::uint64_t own = 0;
  CHECK(eventually([&] {
    fetch(address, "/");
    const json::object status = site.server->status();
    if (status.empty()) return false;
    own = status.at("pool").at("workers").as_array().at(0).at("private_bytes").to_number<std::uint64_t>();
    return own > 0;
  }));
  CHECK(own < std::uint64_t{32} << 20);
  CHECK(memory_kib(first, "RssAnon") > 64 * 1024);
  CHECK(fetch(address, "/").body == std::to_string(first));
  CHECK(site.server->log_count("worker retiring") == 0);
  CHECK(site.server->log_count("killing a worker") == 0);

  CHECK(fetch(address, "/?mib=40").body == std::to_string(first));
  CHECK(eventually([&] { return !is_running(first); }));
  CHECK(site.server->log_count("reason=max_rss") == 1);
  CHECK(site.server->wait_for_ready_workers(1));
  const pid_t second = site.server->ready_workers().at(0);
  fetch(address, "/?mib=100");
  CHECK(eventually([&] { return !is_running(second); }));
  CHECK(site.server->log_count("reason=kill_rss") == 1);
  site.server->expect_clean_exit();
}

TEST_CASE("a server of forked workers stops at once, and leaves nothing behind", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  site.server->signal(SIGQUIT);
  CHECK(site.server->wait_for_exit(patience).has_value());
  site.server->expect_nothing_left();
}

TEST_CASE("an upgrade goes on with forked workers, and has a zygote of the new program's", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const pid_t first = site.zygotes().at(1);
  BackgroundLoad load({.address = site.server->address(), .connections = 4, .requests = 10'000'000});
  const auto upgraded = site.server->command({"upgrade", "--wait"});
  INFO(upgraded.error << site.server->log());
  CHECK(upgraded.exit_code == 0);
  const LoadReport report = load.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(eventually([&] { return !is_running(first) && site.zygotes().size() == 1; }));
  CHECK(eventually([&] { return zombies_of(site.server->pid()) == 0; }));
  site.server->expect_clean_exit();
}

TEST_CASE("a zygote that outlives its supervisor ends, and so do its workers", "[process]") {
  ForkedSite site(code(1));
  site.server->wait_until_ready();
  const auto all = site.server->processes();
  CHECK(all.size() >= 4);
  site.server->signal(SIGKILL);
  CHECK(eventually([&] { return std::none_of(all.begin(), all.end(), [](pid_t pid) { return is_running(pid); }); }));
}

}  // namespace
}  // namespace stint::test
