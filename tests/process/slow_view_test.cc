// Stories of views that take long, and of those who come meanwhile.
#include "tests/process/story.h"

#include <deque>
#include <filesystem>
#include <fstream>
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
    REQUIRE(eventually([&] { return std::filesystem::exists(file_ + ".runs"); }));
  }
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

}  // namespace
}  // namespace stint::test
