// Stories of single requests: what a client sends and what it gets.
#include "tests/process/story.h"

#include <boost/json/value.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <utility>

namespace stint::test {
namespace {

TEST_CASE("hello is served over IPv4, IPv6 and a unix socket", "[process]") {
  ServerOptions options;
  options.listen = {"127.0.0.1:0", "[::1]:0", "unix:site.sock"};
  ServerProcess server(options);
  server.wait_until_ready();

  for (std::size_t listener = 0; listener < 3; ++listener) {
    INFO(server.address(listener));
    const HttpResponse response = fetch(server.address(listener), "/");
    CHECK(response.status == 200);
    CHECK(response.body == "Hello, stint\n");
    CHECK(response.field("Content-Length") == "13");
    CHECK(response.field("Date").has_value());
    CHECK_FALSE(response.announces_close());
  }
  server.expect_clean_exit();
}

TEST_CASE("one connection carries many requests, also after a 404 and after the application raised", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  CHECK(client.get("/").status == 200);
  CHECK(client.get("/no-such-page").status == 404);
  const HttpResponse failed = client.get("/raise");
  CHECK(failed.status == 500);
  CHECK(failed.body.find("ZeroDivisionError") == std::string::npos);
  CHECK(client.get("/").status == 200);

  CHECK(server.log_count("ZeroDivisionError: a story's own error") >= 1);
  CHECK(server.log_count("Traceback (most recent call last)") == 1);
  CHECK(server.ready_workers().size() == 1);
  server.expect_clean_exit();
}

TEST_CASE("pipelined requests are answered in order", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  std::string requests;
  for (int i = 0; i < 100; ++i) {
    const std::string body = "body " + std::to_string(i);
    requests += "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  client.send(requests);
  for (int i = 0; i < 100; ++i) REQUIRE(client.receive().body == "body " + std::to_string(i));
  server.expect_clean_exit();
}

TEST_CASE("a request arrives byte by byte", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  for (const char byte : std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")) {
    client.send({&byte, 1});
  }
  CHECK(client.receive().body == "hello");
  server.expect_clean_exit();
}

TEST_CASE("a chunked body reaches the application with its length", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  client.send(
      "POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
      "world\r\n0\r\n\r\n");
  CHECK(client.receive().body == "11 11 b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
  CHECK(client.get("/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a body too large for memory comes back as it was, by length and by chunks", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  std::string body(5 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);

  CHECK(client.request("POST", "/echo", {}, body).body == body);

  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (std::size_t at = 0; at < body.size(); at += 0x10000) {
    client.send("10000\r\n" + body.substr(at, 0x10000) + "\r\n");
  }
  client.send("0\r\n\r\n");
  CHECK(client.receive().body == body);
  server.expect_clean_exit();
}

TEST_CASE("a body the application leaves unread is not the next request", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  CHECK(client.request("POST", "/unread", {}, "GET /crash HTTP/1.1\r\nHost: a\r\n\r\n").status == 200);
  CHECK(client.get("/").body == "Hello, stint\n");
  server.expect_clean_exit();
}

TEST_CASE("HEAD has the head of GET and no body", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  const HttpResponse head = client.request("HEAD", "/pid");
  const HttpResponse full = client.get("/pid");
  CHECK(head.status == 200);
  CHECK(head.field("Content-Length") == full.field("Content-Length"));
  CHECK(full.body == std::to_string(server.ready_workers().at(0)));
  server.expect_clean_exit();
}

TEST_CASE("an answer without length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();

  const HttpResponse chunked = fetch(server.address(), "/stream?pieces=3");
  CHECK(chunked.field("Transfer-Encoding") == "chunked");
  CHECK(chunked.body == "piece 0\npiece 1\npiece 2\n");

  HttpClient old_client(server.address());
  old_client.send("GET /stream?pieces=3 HTTP/1.0\r\n\r\n");
  const HttpResponse until_close = old_client.receive();
  CHECK_FALSE(until_close.field("Transfer-Encoding").has_value());
  CHECK(until_close.body == "piece 0\npiece 1\npiece 2\n");
  server.expect_clean_exit();
}

TEST_CASE("a piece is with the client before the application makes the next one", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  const std::string go_on = server.folder().file("go-on");
  client.send("GET /stepwise?until=" + go_on + " HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.receive_up_to("first\n").find("second\n") == std::string::npos);
  server.folder().write("go-on", "");
  client.receive_up_to("second\n");
  server.expect_clean_exit();
}

TEST_CASE("an answer that fails after its first byte is visibly incomplete", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());

  client.send("GET /fail-midway HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string bytes = client.receive_until_close();
  CHECK(bytes.find("the beginning") != std::string::npos);
  CHECK(bytes.find("\r\n0\r\n\r\n") == std::string::npos);
  CHECK(server.log_count("RuntimeError: failed after the first byte") >= 1);
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("100 Continue is sent when the body is wanted, and only then", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();

  HttpClient client(server.address());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.receive().status == 100);
  client.send("hello");
  const HttpResponse response = client.receive();
  CHECK(response.status == 200);
  CHECK(response.body == "hello");

  HttpClient odd_client(server.address());
  odd_client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: coffee\r\n\r\n");
  CHECK(odd_client.receive().status == 417);
  CHECK(odd_client.receive_until_close() == "");
  server.expect_clean_exit();
}

TEST_CASE("refused bytes get one 400 with an announced close, and nothing behind them is read", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();

  const std::vector<std::string> refused = {
      "nonsense\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  };
  for (const std::string& bytes : refused) {
    INFO(bytes);
    HttpClient client(server.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes + "GET /raise HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.receive().status == 200);
    const HttpResponse response = client.receive();
    CHECK(response.status == 400);
    CHECK(response.announces_close());
    CHECK(client.receive_until_close() == "");
  }
  CHECK(server.log_count("ZeroDivisionError") == 0);
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("clients that leave in the middle of anything leave the worker as it was", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  const std::vector<std::string> beginnings = {"", "G", "GET / HTTP/1.1\r\nHo",
                                               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
                                               "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"};
  for (int round = 0; round < 20; ++round) {
    for (const std::string& beginning : beginnings) {
      HttpClient client(server.address());
      client.send(beginning);
    }
  }
  const pid_t worker = server.ready_workers().at(0);
  CHECK(fetch(server.address(), "/pid").body == std::to_string(worker));
  // All their descriptors are closed: what is left is less than the hundred clients there were.
  CHECK(eventually([worker] {
    const auto folder = std::filesystem::directory_iterator("/proc/" + std::to_string(worker) + "/fd");
    return std::distance(begin(folder), end(folder)) < 60;
  }));
  server.expect_clean_exit();
}

TEST_CASE("environ tells the application what PEP 3333 and DESIGN.md promise", "[process]") {
  ServerOptions options;
  options.environment = {"SERVERS_OWN_VARIABLE=secret"};
  ServerProcess server(options);
  server.wait_until_ready();

  const std::string environ =
      fetch(server.address(), "/environ?a=b%20c", {{"X-Story", "one"}, {"X_Story", "two"}, {"Proxy", "evil"}}).body;
  INFO(environ);
  for (const char* entry :
       {R"("REQUEST_METHOD": "GET")", R"("PATH_INFO": "/environ")", R"("SCRIPT_NAME": "")",
        R"("QUERY_STRING": "a=b%20c")", R"("SERVER_PROTOCOL": "HTTP/1.1")", R"("REMOTE_ADDR": "127.0.0.1")",
        R"("HTTP_HOST": "localhost")", R"("HTTP_X_STORY": "one")", R"("wsgi.url_scheme": "http")",
        R"("REQUEST_URI": "/environ?a=b%20c")", R"("stint.request_id": ")"}) {
    CHECK(environ.find(entry) != std::string::npos);
  }
  CHECK(environ.find("HTTP_PROXY") == std::string::npos);
  CHECK(environ.find("SERVERS_OWN_VARIABLE") == std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("an application below a mount gets its part of the path, and nothing beside it", "[process]") {
  ServerOptions options;
  options.set = {{"app.mount", "\"/sh\u00f6p\""}};
  ServerProcess server(options);
  server.wait_until_ready();

  const std::string environ = fetch(server.address(), "/sh%C3%B6p/environ?a=b").body;
  INFO(environ);
  CHECK(environ.find(R"("SCRIPT_NAME": "/sh\u00c3\u00b6p")") != std::string::npos);
  CHECK(environ.find(R"("PATH_INFO": "/environ")") != std::string::npos);
  CHECK(environ.find(R"("REQUEST_URI": "/sh%C3%B6p/environ?a=b")") != std::string::npos);
  CHECK(fetch(server.address(), "/sh%C3%B6p").body == "no such page\n");  // PATH_INFO "", which the application has not
  CHECK(fetch(server.address(), "/sh%C3%B6p/").body == "Hello, stint\n");    // "/"
  CHECK(fetch(server.address(), "/sh%C3%B6ps/").body == "404 Not Found\n");  // the server's own
  CHECK(fetch(server.address(), "/").body == "404 Not Found\n");
  server.expect_clean_exit();
}

TEST_CASE("with app.show_errors a developer sees the traceback, escaped", "[process]") {
  ServerOptions options;
  options.set = {{"app.show_errors", "true"}};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());

  const HttpResponse failed = client.get("/raise?a=<script>");
  CHECK(failed.status == 500);
  CHECK(failed.field("Content-Type") == "text/html; charset=utf-8");
  for (const char* part : {"<h1>ZeroDivisionError: a story's own error</h1>", "Traceback (most recent call last)",
                           "in raise_error", "GET /raise?a=&lt;script&gt;"}) {
    INFO(failed.body);
    CHECK(failed.body.find(part) != std::string::npos);
  }
  CHECK(client.request("HEAD", "/raise").body.empty());
  CHECK(client.get("/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("a client that leaves in the middle of its answer is 499 in the log, and close() runs", "[process]") {
  ServerOptions options;
  options.set = {{"log.access", "\"-\""}, {"log.format", "\"%m %U %>s %X\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  {
    HttpClient client(server.address());
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    client.receive_up_to("xxxx");
  }
  CHECK(eventually([&] { return server.output().find("GET /flood 499 X\n") != std::string::npos; }));
  CHECK(eventually([&] { return server.output().find("flood closed") != std::string::npos; }));
  CHECK(server.status().at("pool").at("totals").at("clients_gone").as_int64() == 1);
  server.expect_clean_exit();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // a sanitizer maps tebibytes
TEST_CASE("an answer for whose head there is no memory is a 500, and nothing of it stands before that", "[process]") {
  ServerProcess server(with_workers(1));
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  HttpClient client(server.address());
  client.send("GET /short-of-memory HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string all = client.receive_until_close();
  CHECK((all.empty() || all.starts_with("HTTP/1.1 500 ")));
  CHECK(all.find("HTTP/1.1 200") == std::string::npos);
  CHECK(server.log_count("MemoryError") == 1);
  CHECK(fetch(server.address(), "/").status == 200);
  CHECK(server.ready_workers().at(0) == worker);
  server.expect_clean_exit();
}
#endif

TEST_CASE("standard output that the environment has wrapped stays as it is", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  folder->write("sitecustomize.py",
                "import sys\n"
                "class Tee:\n"
                "    def __init__(self, stream): self.stream = stream\n"
                "    def write(self, text): return self.stream.write(text)\n"
                "    def __getattr__(self, name): return getattr(self.stream, name)\n"
                "sys.stdout = Tee(sys.stdout)\n");
  ServerOptions options;
  options.set = {{"app.env", "{ PYTHONPATH = \"" + folder->path().string() + "\" }"}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("an answer that fails in the middle does not look whole to HTTP/1.0 either", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient whole(server.address());
  whole.send("GET /stream?pieces=2 HTTP/1.0\r\n\r\n");
  CHECK_THAT(whole.receive_until_close(), Catch::Matchers::EndsWith("piece 1\n"));
  HttpClient cut(server.address());
  cut.send("GET /fail-midway HTTP/1.0\r\n\r\n");
  CHECK_THROWS(cut.receive_until_close());  // reset
  server.expect_clean_exit();
}

// A deploy removes old folders; a server outlives the one that it was started in.
TEST_CASE("a server whose working directory is gone replaces workers and reloads", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string gone = folder->file("gone"), settings = folder->file("stint.toml");
  std::filesystem::create_directory(gone);
  ServerOptions options;
  options.module = "";
  options.listen.clear();
  options.toml = "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"story_app:application\"\ndirectory = \"" +
                 apps_folder() + "\"\n[app.workers]\ncount = 1\n";
  options.wrapper = {"/usr/bin/env", "--chdir=" + gone};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  std::filesystem::remove(gone);
  const pid_t first = server.ready_workers().front();
  kill(first, SIGKILL);
  CHECK(eventually([&] { return server.ready_workers().size() == 1 && server.ready_workers().front() != first; }));
  const CommandResult reloaded = server.command({"reload", "--wait"});
  INFO(reloaded.error);
  CHECK(reloaded.exit_code == 0);
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

// One worker serves, and the other one cannot: that is for the operator to mend, by a reload for one.
TEST_CASE("a server that has fewer workers than it should counts as serving when it has tried", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string place = folder->path().string();
  folder->write("one_only.py",
                "import os, time\nfrom story_app import application\n"
                "try:\n    os.close(os.open('" +
                    place +
                    "/taken', os.O_CREAT | os.O_EXCL))\n"
                    "except FileExistsError:\n"
                    "    while not os.path.exists('" +
                    place +
                    "/fail'): time.sleep(0.01)\n"
                    "    raise RuntimeError('taken')\n");
  const auto settings = [&](unsigned count) {
    return "listen = [\"127.0.0.1:0\"]\n[app]\nmodule = \"one_only:application\"\nenv = { PYTHONPATH = \"" +
           apps_folder() + "\" }\n[app.workers]\ncount = " + std::to_string(count) + "\n";
  };
  ServerOptions options;
  options.module = "";
  options.listen.clear();
  options.workers = 0;
  options.directory = place;
  options.toml = settings(2);
  ServerProcess server(options, std::move(folder));
  REQUIRE(eventually([&] { return server.ready_workers().size() == 1; }));
  CHECK(server.command({"reload"}).error.find("the server is starting") != std::string::npos);
  server.folder().write("fail", "");
  server.wait_until_serving();
  CHECK(fetch(server.address(), "/").status == 200);

  server.folder().write("stint.toml", settings(1));
  std::filesystem::remove(server.folder().file("taken"));
  const CommandResult reloaded = server.command({"reload", "--wait"});
  INFO(reloaded.error);
  CHECK(reloaded.exit_code == 0);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
