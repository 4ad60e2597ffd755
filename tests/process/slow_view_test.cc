// Stories of views that take long, and of those who come meanwhile.
#include "tests/process/story.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

namespace stint::test {
namespace {

// A request whose view lasts until the story lets it end; running when this is made.
class LongView {
 public:
  LongView(const ServerProcess& server, const std::string& name)
      : LongView(server, name, HttpClient(server.address())) {}
  LongView(const ServerProcess& server, const std::string& name, HttpClient on)
      : file_(server.folder().file(name)), client(std::move(on)) {
    client.send("GET /until?touch=" + file_ + ".runs&file=" + file_ + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return read_file(file_ + ".runs") != ""; }));
  }
  pid_t worker() const { return std::stoi(read_file(file_ + ".runs")); }
  void let_end() { std::ofstream(file_).put('x'); }
  // Its worker's pid.
  pid_t end() {
    let_end();
    const HttpResponse response = client.receive();
    CHECK(response.body == "it is there\n");
    return std::stoi(*response.field("X-Worker-Pid"));
  }

 private:
  const std::string file_;

 public:
  HttpClient client;
};

pid_t worker_of(const HttpResponse& response) { return std::stoi(response.field("X-Worker-Pid").value_or("0")); }

TEST_CASE("a view that lasts delays nobody while another worker is free, on whichever connection (issue 7)",
          "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  // While one worker is inside a view, connections are the other's. Then that one is, on one of them.
  std::deque<HttpClient> clients;
  LongView first(server, "first");
  for (int i = 0; i < 8; ++i) clients.emplace_back(server.address());
  std::set<pid_t> workers;
  for (HttpClient& client : clients) workers.insert(worker_of(client.get("/")));
  REQUIRE(workers.size() == 1);
  CHECK(workers.count(first.end()) == 0);

  LongView slow(server, "slow", std::move(clients.back()));
  clients.pop_back();
  std::set<pid_t> answered_by;
  for (int round = 0; round < 3; ++round) {
    for (HttpClient& client : clients) answered_by.insert(worker_of(client.get("/")));
  }
  for (int i = 0; i < 8; ++i) answered_by.insert(worker_of(fetch(server.address(), "/")));
  CHECK(clients[0].get("/retried").body.find("\"retried\": false") != std::string::npos);
  const HttpResponse echoed = clients[1].request("POST", "/echo", {}, std::string(300'000, 'b'));
  CHECK(echoed.body == std::string(300'000, 'b'));
  const pid_t stuck = slow.end();
  CHECK(workers.count(stuck) == 1);
  CHECK(answered_by.count(stuck) == 0);
  CHECK(answered_by.size() == 1);
  CHECK(worker_of(slow.client.get("/")) == stuck);  // it stays where it was
  server.expect_clean_exit();
}

TEST_CASE("a request that waits because all are busy is served by the first worker that is free (issue 7)",
          "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  LongView one(server, "one"), other(server, "other");
  HttpClient waiting(server.address());
  waiting.send("GET /retried HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_FALSE(waiting.is_readable_within(200ms));
  const pid_t free = other.end();
  const HttpResponse response = waiting.receive();
  CHECK(worker_of(response) == free);
  CHECK(response.body.find("\"retried\": false") != std::string::npos);
  CHECK(one.end() != free);
  server.expect_clean_exit();
}

// A view that lasts, asked for on a connection but not waited for.
void ask_for_long_view(const ServerProcess& server, HttpClient& client, const std::string& name) {
  const std::string file = server.folder().file(name);
  client.send("GET /until?touch=" + file + ".runs&file=" + file + " HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST_CASE("requests that wait because all are busy have one queue, whichever worker they came to (issue 7)",
          "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  // While one worker is inside a view, connections are the other's.
  std::deque<HttpClient> of_first, of_second;
  LongView second(server, "second");
  for (int i = 0; i < 3; ++i) of_first.emplace_back(server.address());
  for (HttpClient& client : of_first) CHECK(client.get("/").status == 200);
  LongView first(server, "first", std::move(of_first.back()));
  of_first.pop_back();
  const pid_t second_pid = second.end();
  of_second.emplace_back(server.address());
  REQUIRE(worker_of(of_second[0].get("/")) == second_pid);
  LongView again(server, "again");
  // Answered by the loop: the second time its worker has found that it is stuck.
  for (int i = 0; i < 2; ++i) CHECK(of_second[0].request("OPTIONS", "*").status == 200);

  // The older one comes to the worker that stays busy, the other one to the worker that will be free.
  ask_for_long_view(server, of_first[0], "older");
  CHECK(of_first[1].request("OPTIONS", "*").status == 200);  // it is behind the older one
  ask_for_long_view(server, of_second[0], "newer");
  CHECK(again.end() == second_pid);

  const auto runs = [&](const char* name) { return std::filesystem::exists(server.folder().file(name) + ".runs"); };
  REQUIRE(eventually([&] { return runs("older") || runs("newer"); }));
  CHECK(runs("older"));
  CHECK_FALSE(runs("newer"));
  std::ofstream(server.folder().file("older")).put('x');
  CHECK(worker_of(of_first[0].receive()) == second_pid);
  std::ofstream(server.folder().file("newer")).put('x');
  CHECK(worker_of(of_second[0].receive()) == second_pid);
  CHECK(first.end() != second_pid);
  server.expect_clean_exit();
}

TEST_CASE("while its only worker is inside a view the server does all but that (issue 7)", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  std::filesystem::create_directory(folder->path() / "public");
  folder->write("public/style.css", "body { }");
  ServerOptions options;
  options.toml = "[[static]]\nurl = \"/static/\"\nroot = \"" + folder->file("public") + "\"\n";
  options.set = {{"http.head_timeout", "\"300ms\""}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  HttpClient kept(server.address());
  CHECK(kept.get("/").status == 200);

  LongView slow(server, "slow");
  CHECK(kept.get("/static/style.css").body == "body { }");
  CHECK(fetch(server.address(), "/static/style.css").status == 200);
  HttpClient wrong(server.address());
  wrong.send("GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n");
  CHECK(wrong.receive().status == 400);
  HttpClient half(server.address());
  half.send("GET / HT");
  CHECK(half.receive().status == 408);
  kept.send("GET /pid HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_FALSE(kept.is_readable_within(100ms));
  slow.end();
  CHECK(kept.receive().status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a worker with four threads runs four views at once (issue 7)", "[process]") {
  ServerOptions options;
  options.words = {"--threads", "4"};
  ServerProcess server(options);
  server.wait_until_ready();
  std::deque<LongView> views;
  for (int i = 0; i < 3; ++i) views.emplace_back(server, "view" + std::to_string(i));
  for (int i = 0; i < 20; ++i) CHECK(fetch(server.address(), "/").status == 200);
  views.emplace_back(server, "view3");
  HttpClient fifth(server.address());
  fifth.send("GET /pid HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_FALSE(fifth.is_readable_within(100ms));
  views[2].end();
  CHECK(fifth.receive().status == 200);
  for (int i : {0, 1, 3}) views[static_cast<std::size_t>(i)].end();
  server.expect_clean_exit();
}

// Two workers, one inside a view, the other never without requests that wait: as soon as one of its clients has its
// answer it asks for the next.
class SaturatedServer {
 public:
  SaturatedServer() : SaturatedServer(std::make_unique<TemporaryFolder>()) {}

  // No worker can be started from here on.
  void hold_starts() { server.folder().write("hold", ""); }
  void let_start() { std::filesystem::remove(server.folder().file("hold")); }
  // The view that runs comes to its end, the next begins, and its client asks for one more, which waits.
  void go_on() {
    REQUIRE(eventually([this] { return running() != nullptr; }));
    Asking& one = *running();
    std::ofstream(one.file).put('x');
    CHECK(one.client.receive().body == "it is there\n");
    ask(one);
  }
  // What is in the inbox now has its turn soon: not after so and so many milliseconds, but before many others.
  template <class Condition>
  void expect_soon(Condition&& is_answered) {
    unsigned others = 0;
    while (!is_answered() && others < 50) {
      go_on();
      ++others;
    }
    INFO(others << " other requests were served meanwhile");
    CHECK(is_answered());
  }
  void come_to_an_end() {
    for (Asking& one : all_) std::ofstream(one.file).put('x');
    for (Asking& one : all_) CHECK(one.client.receive().body == "it is there\n");
  }
  std::uint64_t connections_of_leaving() const {
    const boost::json::object status = server.status();
    for (const boost::json::value& worker : status.at("pool").at("workers").as_array())
      if (worker.at("pid").to_number<pid_t>() == leaving.pid)
        return worker.at("connections").to_number<std::uint64_t>();
    return 0;
  }

  ServerProcess server;
  ServerProcess::WorkerRow leaving;     // in the last slot; inside a view
  std::optional<HttpClient> resting;    // a connection of its, idle
  std::optional<LongView> in_its_view;  // the other one

 private:
  struct Asking {
    HttpClient client;
    std::string file;
  };

  explicit SaturatedServer(std::unique_ptr<TemporaryFolder> folder)
      : server{options(*folder), std::move(folder)} {  // in this order
    server.wait_until_ready();
    for (const ServerProcess::WorkerRow& row : server.workers())
      if (row.slot == 2) leaving = row;
    LongView one(server, "one"), other(server, "other");  // the second goes to whom the first has left idle
    const bool is_the_first = one.worker() == leaving.pid;
    LongView& of_leaving = is_the_first ? one : other;
    of_leaving.end();
    resting = std::move(of_leaving.client);
    in_its_view.emplace(server, "in_its_view");
    REQUIRE(in_its_view->worker() == leaving.pid);
    (is_the_first ? other : one).end();
    for (int i = 0; i < 10; ++i) {
      HttpClient client(server.address());
      REQUIRE(worker_of(client.get("/")) != leaving.pid);
      all_.push_back({std::move(client), ""});
    }
    for (Asking& each : all_) ask(each);
    for (int i = 0; i < 10; ++i) go_on();
  }

  static ServerOptions options(const TemporaryFolder& folder) {
    ServerOptions options = with_workers(2);
    options.module = "held_start:application";
    options.set = {{"app.env", "{ HOLD = \"" + folder.file("hold") + "\" }"}};
    return options;
  }
  void ask(Asking& one) {
    one.file = server.folder().file("asked" + std::to_string(++asked_));
    one.client.send("GET /until?touch=" + one.file + ".runs&file=" + one.file + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  Asking* running() {
    for (Asking& one : all_)
      if (std::filesystem::exists(one.file + ".runs")) return &one;
    return nullptr;
  }

  std::deque<Asking> all_;
  unsigned asked_ = 0;
};

TEST_CASE("a dead worker's connections are served where requests wait all the time (issue 7)", "[process]") {
  SaturatedServer saturated;
  ServerProcess& server = saturated.server;
  saturated.hold_starts();
  kill(saturated.leaving.pid, SIGKILL);
  saturated.in_its_view->let_end();  // when it is served once more
  HttpClient& interrupted = saturated.in_its_view->client;
  saturated.resting->send("GET /retried HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return !is_running(saturated.leaving.keeper); }));  // all that it had is in the inbox
  saturated.expect_soon(
      [&] { return saturated.resting->is_readable_within(0ms) && interrupted.is_readable_within(0ms); });
  CHECK(server.ready_workers().size() == 1);  // no other one has taken them
  saturated.let_start();
  CHECK(saturated.resting->receive().status == 200);
  CHECK(interrupted.receive().body == "it is there\n");
  saturated.come_to_an_end();
  CHECK(server.wait_for_ready_workers(2));
  server.expect_clean_exit();
}

TEST_CASE("a retired worker's connections are served where requests wait all the time (issue 7)", "[process]") {
  SaturatedServer saturated;
  ServerProcess& server = saturated.server;
  server.signal(SIGTTOU);                                                        // one fewer: none comes in its place
  REQUIRE(eventually([&] { return saturated.connections_of_leaving() == 1; }));  // the other is in the inbox
  saturated.resting->send("GET /retried HTTP/1.1\r\nHost: a\r\n\r\n");
  saturated.expect_soon([&] { return saturated.resting->is_readable_within(0ms); });
  CHECK(worker_of(saturated.resting->receive()) != saturated.leaving.pid);
  CHECK(is_running(saturated.leaving.pid));
  CHECK(saturated.in_its_view->end() == saturated.leaving.pid);
  saturated.come_to_an_end();
  CHECK(server.wait_for_ready_workers(1));
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
