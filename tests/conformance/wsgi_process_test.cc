// Statements 52 to 60: the process and the threads that an application finds itself in.
#include "tests/conformance/wsgi_server.h"

#include <signal.h>

#include <algorithm>
#include <map>

namespace stint::test {
namespace {

std::string plain_or_validated() { return GENERATE("application", "validated"); }

TEST_CASE("WSGI 52: the module is imported once in each worker, in the main thread of a sane process",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::string directory = STINT_SOURCE_DIR "/tests/conformance/apps";
  const std::string facts = "[1, True, ['wsgi'], '" + directory + "', '" + directory + "', None, []]";
  for (int i = 0; i < 2; ++i) CHECK(server.text("/import_of_the_module") == facts);
  const pid_t worker = server.ready_workers().at(0);
  REQUIRE(server.command({"recycle"}).exit_code == 0);
  REQUIRE(eventually([&] { return !is_running(worker); }));
  CHECK(server.text("/import_of_the_module") == facts);
  server.expect_clean_exit();
}

TEST_CASE("WSGI 53: threading.local lasts from request to request, and close() is called for request_finished",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  // Which of its calls it is, says each thread: as many as there are may be at their first.
  std::map<int, unsigned> threads_at;
  for (int i = 0; i < 12; ++i) ++threads_at[std::stoi(server.text("/thread_local"))];
  CHECK(threads_at[1] >= 1);
  CHECK(threads_at[1] <= threads_of_a_worker());
  for (const auto& [count, threads] : threads_at) {
    if (count > 1) CHECK(threads <= threads_at[count - 1]);
  }
  const std::string file = server.file("closed");
  CHECK(server.text("/closing?kind=whole&file=" + file) == "onetwo");
  CHECK(eventually([&] { return read_file(file) == "closed\n"; }));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 54: what a request sets in its context is not there in the next", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  for (int i = 0; i < 3; ++i) CHECK(client.get("/context_variable").body == "unset set");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 55: signal handlers of the application do not break supervision", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const pid_t worker = std::stoi(server.text("/takes_signals"));
  REQUIRE(server.command({"recycle"}).exit_code == 0);
  CHECK(eventually([&] { return !is_running(worker) && server.ready_workers().size() == 1; }));
  const pid_t second = std::stoi(server.text("/takes_signals"));
  kill(second, SIGKILL);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return ready.size() == 1 && ready[0] != second;
  }));
  server.text("/takes_signals");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 55: subprocess and multiprocessing work, and their processes have none of the server's sockets",
          "[conformance]") {
  WsgiServer server(plain_or_validated());
  CHECK(server.text("/subprocess_runs") == "from a subprocess\n");
  CHECK(server.text("/descriptors_of_a_child") == "[]\n");
  CHECK(server.text("/multiprocessing_works") == "([], 0, 1)");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 56: at a graceful end threads are waited for and atexit handlers run", "[conformance]") {
  ServerOptions options;
  options.directory = STINT_SOURCE_DIR "/tests/apps";
  WsgiServer server("at_exit:application", options);
  const std::string notes = server.file("notes");
  CHECK(server.text("/?" + notes) == "ok");
  SECTION("of the server") { server.signal(SIGTERM); }
  SECTION("of one worker") { REQUIRE(server.command({"recycle"}).exit_code == 0); }
  CHECK(eventually([&] { return read_file(notes) == "thread ended\natexit ran\n"; }));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 56: a thread that never ends cannot keep a worker for ever", "[conformance]") {
  ServerOptions options;
  options.set = {{"app.recycle.drain_timeout", "\"100ms\""}};
  WsgiServer server("application", options);
  const pid_t worker = std::stoi(server.text("/never_ending_thread"));
  REQUIRE(server.command({"recycle"}).exit_code == 0);
  CHECK(server.text("/hello") == "hello\n");
  // After drain_timeout and ten seconds.
  if (!eventually(200s, [&] { return !is_running(worker); }))
    FAIL_CHECK("worker " << worker << " lives:\n" << server.log());
  server.expect_clean_exit();
}

TEST_CASE("WSGI 57: a child that the application forks does not answer", "[conformance]") {
  WsgiServer server(plain_or_validated());
  const std::pair<const char*, const char*> ways[] = {{"return", "0"}, {"write", "0"}, {"raise", "1"}, {"exit", "7"}};
  HttpClient client(server.address());
  for (const auto& [way, status] : ways) {
    CHECK(client.get("/forks?" + std::string(way)).body == std::string("(b'printed by the child\\n', ") + status + ")");
  }
  CHECK(client.get("/forks_in_the_iterable").body == "parent 0");
  CHECK(client.get("/hello").body == "hello\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 58: what is printed goes to the log, never to the client", "[conformance]") {
  WsgiServer server(plain_or_validated());
  HttpClient client(server.address());
  CHECK(client.get("/prints").body == "only this");
  CHECK(client.get("/hello").body == "hello\n");
  const auto written = [&] { return server.log() + server.output(); };
  for (const char* text : {"printed by the application\n", "printed as an error\n", "without a line's end"}) {
    CHECK(eventually([&] { return count_of(written(), text) == 1; }));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 58: writing where nobody reads does not raise", "[conformance]") {
  WsgiServer server(plain_or_validated());
  CHECK(server.text("/errors_of_closed_stderr") == "no error");
  CHECK(eventually([&] { return server.log_count("and this is heard again") == 1; }));
  CHECK(server.log_count("and so is this") == 1);
  CHECK(count_of(server.log() + server.output(), "and that, too") == 1);
  CHECK(count_of(server.log() + server.output(), "nor this") == 0);
  CHECK(server.text("/hello") == "hello\n");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 58: sys.stdout and sys.stderr are what they are in any Python", "[conformance]") {
  WsgiServer server(plain_or_validated());
  CHECK(server.text("/standard_streams") ==
        "(True, True, ('TextIOWrapper', 1, 1, False, '<stdout>', 'w', b'x', 'backslashreplace', True, 2, True), "
        "('TextIOWrapper', 2, 2, False, '<stderr>', 'w', b'x', 'backslashreplace', True, 2, True))");
  server.expect_clean_exit();
}

TEST_CASE("WSGI 59: threads of the application run while the server waits for a client", "[conformance]") {
  WsgiServer server("application");
  const std::string asked = server.file("asked"), ticks = server.file("ticks"), until = server.file("until");
  HttpClient client(server.address());
  client.send("GET /ticks?mib=100&file=" + asked + "&ticks=" + ticks + "&until=" + until +
              " HTTP/1.1\r\nHost: a\r\n\r\n");
  client.receive_up_to("\r\n\r\n");
  std::size_t stood_at = 0;
  REQUIRE(eventually([&] {  // the iterator stands still: the server waits for us
    const std::size_t before = std::exchange(stood_at, read_file(asked).size());
    std::this_thread::sleep_for(100ms);
    return stood_at > 0 && stood_at == before;
  }));
  const std::size_t ticked = read_file(ticks).size();
  CHECK(eventually([&] { return read_file(ticks).size() > ticked + 20; }));
  CHECK(read_file(asked).size() == stood_at);
  server.folder().write("until", "");
  client.reset();
  server.expect_clean_exit();
}

TEST_CASE("WSGI 59: faulthandler can be enabled by the settings", "[conformance]") {
  ServerOptions options;
  const bool is_asked_for = GENERATE(false, true);
  if (is_asked_for) options.set = {{"app.env", "{ PYTHONFAULTHANDLER = \"1\" }"}};
  WsgiServer server("application", options);
  CHECK(server.text("/faulthandler_state") == (is_asked_for ? "True" : "False"));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 60: the application runs with the GIL", "[conformance]") {
  WsgiServer server(plain_or_validated());
  CHECK(server.text("/gil_state") == "True");
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
