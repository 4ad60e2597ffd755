// A site whose code and settings a story changes as a deploy does.
#pragma once

#include "tests/process/story.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stint::test {

inline std::string code(int version, const std::string& more = "") {
  return "import os\n" + more + "\nVERSION = b\"" + std::to_string(version) +
         "\"\n"
         "def application(environ, start_response):\n"
         "    start_response('200 OK', [('Content-Type', 'text/plain'), ('X-Worker-Pid', str(os.getpid()))])\n"
         "    return [VERSION]\n";
}

// A site in a folder of its own, whose code and settings a story changes as a deploy does.
class Site {
 public:
  // `options` of its own: more than what follows here sets.
  explicit Site(unsigned workers = 2, const std::string& toml = "", std::vector<std::string> words = {},
                ServerOptions options = {}, std::unique_ptr<TemporaryFolder> folder = nullptr) {
    if (!folder) folder = std::make_unique<TemporaryFolder>();
    folder_ = folder->path().string();
    folder->write("site_app.py", code(1));
    options.module = "";
    options.workers = 0;
    options.directory = folder_;
    options.listen.clear();
    options.words = std::move(words);
    options.toml = settings(workers, toml);
    server = std::make_unique<ServerProcess>(options, std::move(folder));
    server->wait_until_ready();
    REQUIRE(server->wait_for_ready_workers(workers));
  }

  void deploy(const std::string& text) { server->folder().write("site_app.py", text); }
  void write_settings(unsigned workers, const std::string& toml = "") {
    server->folder().write("stint.toml", settings(workers, toml));
  }
  CommandResult reload(std::vector<std::string> more = {"--wait"}) const {
    more.insert(more.begin(), "reload");
    return server->command(std::move(more));
  }
  std::string version() const { return fetch(server->address(), "/").body; }

  std::unique_ptr<ServerProcess> server;

 private:
  static std::string settings(unsigned workers, const std::string& toml) {
    return (toml.find("listen") == toml.npos ? "listen = [\"127.0.0.1:0\"]\n" : "") + toml +
           "\n[app]\nmodule = \"site_app:application\"\n[app.workers]\ncount = " + std::to_string(workers) +
           "\nstartup_timeout = \"20s\"\n[reload]\nsettle = \"100ms\"\n";
  }
  std::string folder_;
};

// Clients beside a story, of whom none may notice anything of it: with connections that last, with pipelined requests,
// and with a new connection for every three.
class ClientsOfThreeKinds {
 public:
  explicit ClientsOfThreeKinds(const std::string& address)
      : kept_alive_(load(address)), pipelined_(load(address, 4)), short_lived_(load(address, 1, 3)) {}

  // At the story's end: theirs, too.
  void expect_nothing_noticed() {
    for (BackgroundLoad* each : {&kept_alive_, &pipelined_, &short_lived_}) {
      const LoadReport report = each->stop();
      INFO(report.text());
      CHECK(report.failures() == 0);
      CHECK(report.idle_closes == 0);
      CHECK(report.answers > 0);
    }
  }

 private:
  static Load load(const std::string& address, unsigned pipeline = 1, unsigned answers_per_connection = 0) {
    Load load;
    load.address = address;
    load.requests = 1'000'000'000;
    load.connections = 6;
    load.pause = std::chrono::milliseconds(1);
    load.pipeline = pipeline;
    load.answers_per_connection = answers_per_connection;
    return load;
  }

  BackgroundLoad kept_alive_, pipelined_, short_lived_;
};

}  // namespace stint::test
