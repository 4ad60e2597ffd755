// Stories of deploys: new code and settings start beside the old and take over, or nothing changes.
#include "tests/process/deployed_site.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <deque>
#include <filesystem>
#include <thread>

namespace stint::test {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a reload serves the new code when it returns, and no client notices", "[process][reload]") {
  Site site(2);
  ClientsOfThreeKinds clients(site.server->address());

  HttpClient client(site.server->address());
  for (int version = 2; version <= 6; ++version) {
    site.deploy(code(version));
    const CommandResult reloaded = site.reload();
    INFO(reloaded.error << reloaded.output);
    REQUIRE(reloaded.exit_code == 0);
    CHECK_THAT(reloaded.output, ContainsSubstring("generation " + std::to_string(version) + " serves: started 2"));
    for (int i = 0; i < 20; ++i) {
      CHECK(client.get("/").body == std::to_string(version));
      CHECK(site.version() == std::to_string(version));
    }
  }
  clients.expect_nothing_noticed();
  CHECK(eventually([&] { return site.server->ready_workers().size() == 2; }));
  site.server->expect_clean_exit();
}

TEST_CASE("a broken deploy changes nothing and says which step failed", "[process][reload]") {
  struct Broken {
    const char* what;
    std::string code;
    const char* step;
    const char* error;
  };
  const Broken broken[] = {
      {"a syntax error", "def application(:\n", "import", "SyntaxError"},
      {"an import error", code(2, "import no_such_module_of_ours"), "import", "ModuleNotFoundError"},
      {"no callable", "application_ = None\n", "import", "has no attribute 'application'"},
      {"an exit when imported", code(2, "import sys; sys.exit(3)"), "import", "SystemExit"},
      {"a crash when imported", code(2, "os.kill(os.getpid(), 9)"), "start", "SIGKILL"},
      {"an end soon after it was ready", code(2, "import threading; threading.Timer(0.02, os._exit, [7]).start()"), "",
       "code 7"},
  };
  Site site(2);
  Load load;
  load.address = site.server->address();
  load.requests = 1'000'000'000;
  load.connections = 4;
  load.pause = std::chrono::milliseconds(1);
  load.problem_of = [](const LoadAnswer& answer) { return answer.body == "1" ? std::string() : "another version"; };
  BackgroundLoad clients(load);
  const auto before = site.server->ready_workers();

  for (const Broken& one : broken) {
    INFO(one.what);
    site.deploy(one.code);
    const CommandResult reloaded = site.reload();
    INFO(reloaded.error << reloaded.output);
    CHECK(reloaded.exit_code == 1);
    CHECK_THAT(reloaded.error, ContainsSubstring(std::string("reload failed: ") + one.step));
    CHECK_THAT(reloaded.error, ContainsSubstring(one.error));
    CHECK_THAT(reloaded.error, ContainsSubstring("generation 1 goes on"));
    CHECK(eventually([&] { return site.server->ready_workers() == before; }));
  }
  CHECK(site.server->log_count("Traceback (most recent call last)") >= 2);

  site.deploy(code(7));
  CHECK(site.reload().exit_code == 0);
  CHECK(site.version() == "7");
  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == report.wrong_body);  // those of version 7
  site.server->expect_clean_exit();
}

TEST_CASE("a failing warm-up request and a start that takes too long fail a reload, too", "[process][reload]") {
  Site site(1);
  site.deploy(code(2) + "    raise ValueError('cold')\n");
  site.write_settings(1, "[app.warmup]\nrequests = [\"/\"]\n");
  site.deploy("def application(environ, start_response):\n    raise ValueError('cold')\n");
  const CommandResult cold = site.reload();
  CHECK(cold.exit_code == 1);
  CHECK_THAT(cold.error, ContainsSubstring("reload failed: warmup") && ContainsSubstring("ValueError: cold"));

  site.deploy(code(2, "import time; time.sleep(300)"));
  site.server->folder().write("stint.toml",
                              "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = "
                              "\"site_app:application\"\n[app.workers]\ncount = 1\nstartup_timeout = \"300ms\"\n");
  const CommandResult late = site.reload();
  CHECK(late.exit_code == 1);
  CHECK_THAT(late.error, ContainsSubstring("startup_timeout") && ContainsSubstring("app.workers.startup_timeout"));
  CHECK(site.version() == "1");
  site.server->expect_clean_exit();
}

TEST_CASE("settings are read anew as a whole, and each change is told", "[process][reload]") {
  Site site(2);
  site.server->folder().write("stint.toml",
                              "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"site_app:application\"\nnonsense = "
                              "1\n[app.workers]\ncount = -1\n");
  const CommandResult wrong = site.reload();
  CHECK(wrong.exit_code == 1);
  CHECK_THAT(wrong.error, ContainsSubstring("reload failed: settings") &&
                              ContainsSubstring("stint.toml:4:1: unknown key") && ContainsSubstring("stint.toml:6:9"));

  site.write_settings(3);
  const auto before = site.server->ready_workers();
  const CommandResult grown = site.reload({"--settings", "--wait"});
  INFO(grown.error << grown.output);
  CHECK(grown.exit_code == 0);
  CHECK_THAT(grown.output, ContainsSubstring("app.workers.count 2 → 3") && ContainsSubstring("generation 1 goes on"));
  REQUIRE(site.server->wait_for_ready_workers(3));
  const auto after = site.server->ready_workers();
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));

  site.write_settings(1, "listen = [\"127.0.0.1:0\", \"unix:new.sock\"]\n");
  const CommandResult moved = site.reload();
  INFO(moved.error << moved.output);
  CHECK(moved.exit_code == 0);
  CHECK_THAT(moved.output, ContainsSubstring("app.workers.count 3 → 1") && ContainsSubstring("listen "));
  CHECK(fetch("unix:" + site.server->folder().file("new.sock"), "/").body == "1");
  CHECK(site.version() == "1");
  REQUIRE(site.server->wait_for_ready_workers(1));

  site.write_settings(1, "listen = [\"127.0.0.1:0\"]\n");
  CHECK(site.reload().exit_code == 0);
  CHECK(site.version() == "1");
  CHECK(eventually([&] { return !std::filesystem::exists(site.server->folder().file("new.sock")); }));
  site.server->expect_clean_exit();
}

TEST_CASE("a link that is switched is followed at a reload, and by no worker before", "[process][reload]") {
  auto folder = std::make_unique<TemporaryFolder>();
  for (const char* release : {"one", "two"}) {
    folder->write(std::string(release) + "/site_app.py",
                  "def application(environ, start_response):\n    import late\n    start_response('200 OK', [])\n"
                  "    return [late.text]\n");
    folder->write(std::string(release) + "/late.py", "text = b'" + std::string(release) + "'\n");
  }
  const std::filesystem::path current = folder->path() / "current";
  std::filesystem::create_directory_symlink("one", current);
  ServerOptions options;
  options.module = "site_app:application";
  options.directory = current.string();
  options.set = {{"reload.settle", "0"}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();

  std::filesystem::remove(current);
  std::filesystem::create_directory_symlink("two", current);
  CHECK(fetch(server.address(), "/").body == "one");  // its first import of `late` comes after the switch
  CHECK(server.command({"reload", "--wait"}).exit_code == 0);
  CHECK(fetch(server.address(), "/").body == "two");
  server.expect_clean_exit();
}

TEST_CASE("a canary that answers with errors is taken back by itself", "[process][reload]") {
  Site site(2, "");
  site.server->folder().write("stint.toml",
                              "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = "
                              "\"site_app:application\"\n[app.workers]\ncount = 2\n[reload]\nsettle = \"0s\"\n"
                              "canary = { workers = 1, requests = 20, max_errors = 0 }\n");
  Load load;
  load.address = site.server->address();
  load.requests = 1'000'000'000;
  load.connections = 8;
  load.answers_per_connection = 2;
  load.pause = std::chrono::milliseconds(1);
  load.tolerated_statuses = {500};
  BackgroundLoad clients(load);

  site.deploy(
      "def application(environ, start_response):\n    start_response('500 Internal Server Error', [])\n    return "
      "[b'']\n");
  const CommandResult bad = site.reload();
  INFO(bad.error << bad.output);
  CHECK(bad.exit_code == 1);
  CHECK_THAT(bad.error, ContainsSubstring("reload failed: canary") && ContainsSubstring("were 5xx"));
  CHECK(site.version() == "1");

  site.deploy(code(3));
  const CommandResult good = site.reload();
  INFO(good.error << good.output);
  CHECK(good.exit_code == 0);
  CHECK(site.version() == "3");
  CHECK(site.server->log_count("canary serves") == 2);
  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  site.server->expect_clean_exit();
}

TEST_CASE("SIGHUP reloads, and the newest reload is the one that counts", "[process][reload]") {
  Site site(1);
  site.deploy(code(2, "import time; time.sleep(300)"));
  site.server->signal(SIGHUP);
  REQUIRE(eventually([&] { return site.server->log_count("reloading") == 1; }));
  site.deploy(code(3));
  CHECK(site.reload().exit_code == 0);
  CHECK(site.version() == "3");
  CHECK(site.server->log_count("a newer reload has begun") == 1);
  site.server->expect_clean_exit();
}

const std::string with_new_socket = "listen = [\"127.0.0.1:0\", \"unix:new.sock\"]\n";

// A reload with a listener more that does not come to its end. Returns the new socket's file.
std::string begin_endless_reload(Site& site) {
  std::string socket = site.server->folder().file("new.sock");
  site.deploy(code(2, "import time; time.sleep(300)"));
  site.write_settings(1, with_new_socket);
  site.server->signal(SIGHUP);
  REQUIRE(eventually([&] { return site.server->log_count("worker started") == 2; }));
  REQUIRE(std::filesystem::exists(socket));
  return socket;
}

TEST_CASE("a reload that supersedes another one takes its new listeners", "[process][reload]") {
  Site site(1);
  const std::string socket = begin_endless_reload(site);
  site.deploy(code(3));
  const CommandResult reloaded = site.reload();
  INFO(reloaded.error << reloaded.output);
  CHECK(reloaded.exit_code == 0);
  CHECK(fetch("unix:" + socket, "/").body == "3");
  CHECK(site.version() == "3");
  site.server->expect_clean_exit();
}

TEST_CASE("a reload that is refused ends the one before it, and nothing of either is left", "[process][reload]") {
  Site site(1);
  const std::string socket = begin_endless_reload(site);
  const std::string cannot_open = "listen = [\"127.0.0.1:0\", \"unix:new.sock\", \"unix:/nonexistent/a.sock\"]\n";
  site.write_settings(1, GENERATE_COPY(std::string("nonsense = 1\n"), cannot_open));
  const CommandResult refused = site.reload();
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.error, ContainsSubstring("reload failed:") && ContainsSubstring("generation 1 goes on"));
  CHECK(site.server->log_count("a newer reload has begun, and failed") == 1);
  CHECK_FALSE(std::filesystem::exists(socket));
  CHECK(eventually([&] { return site.server->workers().size() == 1; }));

  site.deploy(code(3));
  site.write_settings(1, with_new_socket);
  CHECK(site.reload().exit_code == 0);
  CHECK(fetch("unix:" + socket, "/").body == "3");
  CHECK(site.version() == "3");
  site.server->expect_clean_exit();
}

TEST_CASE("a reload that fails leaves no listener behind", "[process][reload]") {
  Site site(1);
  const std::string socket = site.server->folder().file("new.sock");
  site.deploy("raise ValueError('broken')\n");
  site.write_settings(1, with_new_socket);
  CHECK(site.reload().exit_code == 1);
  CHECK_FALSE(std::filesystem::exists(socket));
  CHECK(site.version() == "1");
  site.server->expect_clean_exit();
}

TEST_CASE("of two listeners with any port a reload keeps both", "[process][reload]") {
  Site site(1, "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n");
  const std::string other = site.server->address(1);
  REQUIRE(other != site.server->address());
  site.deploy(code(2));
  CHECK(site.reload().exit_code == 0);
  CHECK(site.version() == "2");
  CHECK(fetch(other, "/").body == "2");
  site.server->expect_clean_exit();
}

TEST_CASE("a reload takes the log along", "[process][reload]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string first = folder->file("first.log"), second = folder->file("second.log");
  const auto logged_to = [](const std::string& file) { return "[log]\nerror = \"" + file + "\"\n"; };
  Site site(1, "", {}, {}, std::move(folder));
  site.write_settings(1, "listen = [\"127.0.0.1:0\"]\n" + logged_to(first));
  CHECK(site.reload().exit_code == 0);
  site.write_settings(1, "listen = [\"127.0.0.1:0\"]\n" + logged_to(second));
  CHECK(site.reload().exit_code == 0);
  const auto workers = site.server->ready_workers();
  kill(workers.front(), SIGKILL);
  CHECK(eventually([&] { return read_file(second).find("worker died") != std::string::npos; }));
  CHECK(read_file(first).find("worker died") == std::string::npos);
  site.server->expect_clean_exit();
}

// Where nothing were replaced while canaries are waited for, which may be for ever, nobody would be left to answer.
TEST_CASE("what is lost while canaries are tried is replaced", "[process][reload]") {
  Site site(2);
  site.deploy(
      "import time\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/hang': "
      "time.sleep(300)\n"
      "    start_response('200 OK', [])\n    return [b'served']\n");
  const std::string settings =
      "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"site_app:application\"\n"
      "[app.workers]\ncount = 2\nrequest_timeout = \"2s\"\n[reload]\nsettle = \"0s\"\n";
  site.server->folder().write("stint.toml", settings);
  REQUIRE(site.reload().exit_code == 0);
  REQUIRE(site.server->wait_for_ready_workers(2));
  const auto before = site.server->ready_workers();
  site.server->folder().write("stint.toml", settings + "canary = { workers = 1, requests = 1000, max_errors = 5 }\n");
  site.server->signal(SIGHUP);
  REQUIRE(eventually([&] { return site.server->log_count("canary serves") == 1; }));

  std::vector<HttpClient> hanging;
  for (int i = 0; i < 3; ++i) {
    hanging.emplace_back(site.server->address());
    hanging.back().send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  for (HttpClient& client : hanging) CHECK(client.receive().status == 504);
  CHECK(site.version() == "served");
  CHECK(eventually([&] {
    const auto now = site.server->ready_workers();
    return now.size() >= 2 && std::none_of(now.begin(), now.end(), [&](pid_t pid) {
             return std::find(before.begin(), before.end(), pid) != before.end();
           });
  }));
  site.server->expect_clean_exit();
}

// They may be tried for ever, too.
TEST_CASE("while canaries are tried a pool follows its load, and the death of one is told as such",
          "[process][reload]") {
  Site site(2);
  const std::string waiting =
      "import os, time\ndef application(environ, start_response):\n    while environ['PATH_INFO'] == '/wait': "
      "time.sleep(0.01)\n"
      "    start_response('200 OK', [('X-Worker-Pid', str(os.getpid()))])\n    return [b'served']\n";
  site.deploy(waiting);
  const std::string settings =
      "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"site_app:application\"\n"
      "[app.workers]\ncount = { min = 2, max = 3 }\n[reload]\nsettle = \"0s\"\n";
  site.server->folder().write("stint.toml", settings);
  REQUIRE(site.reload().exit_code == 0);
  REQUIRE(site.server->wait_for_ready_workers(2));
  const auto before = site.server->ready_workers();
  site.server->folder().write("stint.toml",
                              settings + "canary = { workers = 1, requests = 1000000, max_errors = 5 }\n");
  site.server->signal(SIGHUP);
  REQUIRE(eventually([&] { return site.server->log_count("canary serves") == 1; }));
  const auto now = site.server->ready_workers();
  const auto canary = std::find_if(now.begin(), now.end(), [&before](pid_t pid) {
    return std::find(before.begin(), before.end(), pid) == before.end();
  });
  REQUIRE(canary != now.end());

  std::deque<HttpClient> busy;
  for (int i = 0; i < 8; ++i) {
    busy.emplace_back(site.server->address());
    busy.back().send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  CHECK(eventually([&] { return site.server->log_count("one worker more") == 1; }));
  CHECK(site.server->log_count("reload failed") == 0);

  ::kill(*canary, SIGKILL);
  CHECK(eventually([&] { return site.server->log_count("reload failed") == 1; }));
  CHECK(site.server->log_count("step=canary error=\"the worker was ended by SIGKILL while it was tried by clients\"") ==
        1);
  CHECK(eventually([&] { return site.server->log_count("worker died") == 1; }));
  site.server->signal(SIGQUIT);  // the views do not end
  CHECK(site.server->wait_for_exit(patience).has_value());
}

// 5 s behind the supervisor, which has the new limit.
TEST_CASE("settings that cost nothing reach the workers that start after them", "[process][reload]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string hold = folder->file("hold");
  const auto settings = [&hold](const std::string& limit) {
    return "listen = [\"unix:site.sock\"]\n[app]\nmodule = \"held_start:application\"\nenv = { HOLD = \"" + hold +
           "\" }\n[app.workers]\ncount = 1\nstartup_timeout = \"" + limit + "\"\n";
  };
  ServerOptions options;
  options.module = "";
  options.workers = 0;
  options.listen.clear();
  options.toml = settings("5s");
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  const pid_t before = server.ready_workers().at(0);
  server.folder().write("stint.toml", settings("60s"));
  CHECK(server.command({"reload", "--wait", "--settings"}).exit_code == 0);
  server.folder().write("hold", "");
  CHECK(server.command({"recycle"}).exit_code == 0);
  std::this_thread::sleep_for(std::chrono::seconds(11));
  std::filesystem::remove(hold);
  CHECK(eventually([&] { return server.wait_for_ready_workers(1) && server.ready_workers().at(0) != before; }));
  CHECK(server.log_count("failed to start") == 0);
  CHECK(server.log_count("died") == 0);
  server.expect_clean_exit();
}

TEST_CASE("who waits in the queue of a listener that a reload takes away is answered", "[process][reload]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string leaving = "unix:" + folder->file("leaving.sock");
  Site site(2, "listen = [\"127.0.0.1:0\", \"" + leaving + "\"]\n", {}, {}, std::move(folder));
  const auto old_workers = site.server->ready_workers();
  // Workers that do not look: all who connect now wait in the kernel's queue.
  for (const pid_t worker : old_workers) kill(worker, SIGSTOP);
  std::vector<std::unique_ptr<HttpClient>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<HttpClient>(leaving));
    if (i % 2 == 0) waiting.back()->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  site.write_settings(2);
  site.deploy(code(2));
  CHECK(site.reload({}).exit_code == 0);
  CHECK(eventually([&] { return site.server->log_count("generation takes over") == 1; }));
  for (const pid_t worker : old_workers) kill(worker, SIGCONT);
  for (int i = 0; i < 20; ++i) {
    INFO(i);
    if (i % 2 != 0) waiting[i]->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(waiting[i]->receive().body == "2");
  }
  CHECK(eventually([&] { return site.server->workers().size() == 2; }));
  site.server->expect_clean_exit();
}

// Each worker has 40 MiB of its own, and one fits beside the three.
std::string large_code(int version, const std::string& more = "") {
  return code(version, "HELD = b'x' * (40 << 20)\n" + more);
}
const char* const room_for_one = "[memory]\nbudget = \"210MiB\"\n";

TEST_CASE("where two generations do not fit into memory a reload goes slot by slot", "[process][reload]") {
  if (!has_honest_memory) return;
  Site site(3, room_for_one);
  site.deploy(large_code(2));
  REQUIRE(site.reload().exit_code == 0);  // beside small ones, all fit
  CHECK(site.server->log_count("not enough memory") == 0);
  CHECK(eventually([&] { return site.server->workers().size() == 3; }));

  Load load;
  load.address = site.server->address();
  load.requests = 1'000'000'000;
  load.connections = 4;
  load.pause = std::chrono::milliseconds(1);
  BackgroundLoad kept_alive(load);
  load.answers_per_connection = 3;
  BackgroundLoad short_lived(load);
  std::atomic<bool> is_over = false;
  std::size_t most = 0;
  std::thread watching([&] {
    while (!is_over) {
      std::size_t living = 0;
      for (const auto& worker : site.server->workers()) living += worker.state != "retiring" ? 1 : 0;
      most = std::max(most, living);
    }
  });
  for (int version = 3; version <= 4; ++version) {
    site.deploy(large_code(version));
    const CommandResult reloaded = site.reload();
    INFO(reloaded.error << reloaded.output << site.server->log());
    CHECK(reloaded.exit_code == 0);
    CHECK_THAT(reloaded.output, ContainsSubstring("not enough memory for both generations: 1 beside the old workers"));
    for (int i = 0; i < 20; ++i) CHECK(site.version() == std::to_string(version));
    CHECK(eventually([&] { return site.server->workers().size() == 3; }));
  }
  is_over = true;
  watching.join();
  CHECK(most == 4);
  for (BackgroundLoad* each : {&kept_alive, &short_lived}) {
    const LoadReport report = each->stop();
    INFO(report.text());
    CHECK(report.failures() == 0);
    CHECK(report.answers > 0);
  }

  // What is broken shows with the first, before anything has changed.
  const auto before = site.server->ready_workers();
  site.deploy("import no_such_module_of_ours\n");
  const CommandResult broken = site.reload();
  CHECK(broken.exit_code == 1);
  CHECK_THAT(broken.error, ContainsSubstring("generation 4 goes on"));
  CHECK(site.server->ready_workers() == before);
  site.server->expect_clean_exit();
}

TEST_CASE("a reload slot by slot that fails in the middle says so, and goes on when it can", "[process][reload]") {
  if (!has_honest_memory) return;
  Site site(3, room_for_one);
  site.deploy(large_code(2));
  REQUIRE(site.reload().exit_code == 0);
  const std::string first = site.server->folder().file("first");
  site.deploy(large_code(
      3, "if os.path.exists('" + first + "'): raise RuntimeError('once only')\nopen('" + first + "', 'w').close()\n"));
  const CommandResult reloaded = site.reload();
  INFO(reloaded.error << reloaded.output << site.server->log());
  CHECK(reloaded.exit_code == 1);
  CHECK_THAT(reloaded.error, ContainsSubstring("reload failed: import: RuntimeError: once only"));
  CHECK_THAT(reloaded.error,
             ContainsSubstring("generation 3 serves with some workers; the others are of generation 2"));
  CHECK(site.server->ready_workers().size() == 3);
  for (int i = 0; i < 20; ++i) CHECK(fetch(site.server->address(), "/").status == 200);

  site.deploy(large_code(4));
  CHECK(eventually([&] {
    const auto workers = site.server->status().at("pool").at("workers").as_array();
    return std::all_of(workers.begin(), workers.end(),
                       [](const boost::json::value& worker) { return worker.at("generation").to_number<int>() == 3; });
  }));
  site.server->expect_clean_exit();
}

TEST_CASE("the supervisor does not grow with reloads", "[process][reload]") {
  Site site(1);
  const auto resident = [&] {
    return site.server->status().at("supervisor").at("rss_bytes").to_number<std::int64_t>();
  };
  for (int i = 0; i < 5; ++i) REQUIRE(site.reload().exit_code == 0);
  const std::int64_t before = resident();
  for (int i = 0; i < 20; ++i) REQUIRE(site.reload().exit_code == 0);
  if (has_honest_memory) CHECK(resident() - before < 1 << 20);
  site.server->expect_clean_exit();
}

// What the site answers in the end: reloads come by themselves here.
bool answers(const Site& site, int status, const std::string& text) {
  return eventually([&] {
    const HttpResponse response = fetch(site.server->address(), "/");
    return response.status == status && response.body.find(text) != std::string::npos;
  });
}

TEST_CASE("while it is written, a site follows its sources, and shows what is wrong with them", "[process][reload]") {
  Site site(1, "", {"--dev"});
  REQUIRE(eventually([&] { return site.server->log_count("watching sources") == 1; }));
  site.deploy(code(2));
  CHECK(answers(site, 200, "2"));
  site.server->folder().write("templates/page.html", "no reason to reload");
  site.deploy("def application(:\n");
  CHECK(answers(site, 500, "SyntaxError"));
  CHECK_THAT(fetch(site.server->address(), "/").body, ContainsSubstring("site_app.py"));
  site.deploy(code(3));
  CHECK(answers(site, 200, "3"));

  // A module in a folder that has only just come, and an error while a request runs.
  site.server->folder().write("package/part.py", "NUMBER = 4\n");
  site.deploy("from package.part import NUMBER\n" + code(4));
  CHECK(answers(site, 200, "4"));
  site.server->folder().write("package/part.py", "NUMBER = no_such_name\n");
  CHECK(answers(site, 500, "NameError"));
  site.server->folder().write("package/part.py", "NUMBER = 5\n");
  CHECK(answers(site, 200, "4"));

  const std::size_t reloads = site.server->log_count("sources changed");
  site.server->folder().write("templates/page.html", "still none");
  site.server->folder().write("__pycache__/x.py", "");
  site.server->folder().write(".git/x.py", "");
  site.deploy(code(6));
  CHECK(answers(site, 200, "6"));
  CHECK(site.server->log_count("sources changed") == reloads + 1);
  site.server->expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
