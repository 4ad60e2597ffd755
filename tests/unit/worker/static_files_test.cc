#include "server/worker/static_files.h"

#include "tests/unit/worker/worker_bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

struct Root {
  Root() {
    char name[] = "/tmp/stint-static-XXXXXX";
    base = ::mkdtemp(name);
    fs::create_directories(base / "root/css");
    std::ofstream(base / "root/css/site.css") << "body{color:red}";
    std::ofstream(base / "secret") << "secret";
    fs::create_symlink(base / "secret", base / "root/leak");
    fs::create_symlink("css/site.css", base / "root/inside.css");
  }
  ~Root() { fs::remove_all(base); }
  Settings settings() const {
    Settings settings = bench_settings();
    settings.static_roots = {{"/static/", (base / "root").string()}};
    return settings;
  }
  fs::path base;
};

// Until it goes no descriptor can be opened.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

std::string get(const std::string& target, const std::string& fields = "", const std::string& method = "GET") {
  return method + " " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + fields + "\r\n";
}

std::string answer(WorkerBench& bench, const std::string& request) {
  Client client = bench.connect();
  client.send(request);
  bench.run_until([&] { return client.receive(), client.is_closed; });
  return client.received;
}

}  // namespace

TEST_CASE("a static file comes with its type, length and validators, to GET and HEAD", "[worker]") {
  const Root root;
  WorkerBench bench(root.settings());
  const std::string whole = answer(bench, get("/static/css/site.css"));
  CHECK_THAT(whole, ContainsSubstring("HTTP/1.1 200 OK"));
  CHECK_THAT(whole, ContainsSubstring("Content-Type: text/css"));
  CHECK_THAT(whole, ContainsSubstring("Content-Length: 15"));
  CHECK_THAT(whole, ContainsSubstring("Last-Modified: "));
  CHECK(whole.ends_with("\r\n\r\nbody{color:red}"));

  const std::string head = answer(bench, get("/static/css/site.css", "", "HEAD"));
  CHECK_THAT(head, ContainsSubstring("Content-Length: 15"));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(answer(bench, get("/static/inside.css")).ends_with("body{color:red}"));
  CHECK(bench.application.calls == 0);
}

TEST_CASE("a known version is 304, a range 206, a range outside 416", "[worker]") {
  const Root root;
  WorkerBench bench(root.settings());
  const std::string whole = answer(bench, get("/static/css/site.css"));
  const std::size_t at = whole.find("ETag: ") + 6;
  const std::string etag = whole.substr(at, whole.find("\r\n", at) - at);
  const std::string same = answer(bench, get("/static/css/site.css", "If-None-Match: " + etag + "\r\n"));
  CHECK_THAT(same, ContainsSubstring("HTTP/1.1 304 "));
  CHECK(same.ends_with("\r\n\r\n"));

  const std::string part = answer(bench, get("/static/css/site.css", "Range: bytes=5-9\r\n"));
  CHECK_THAT(part, ContainsSubstring("HTTP/1.1 206 "));
  CHECK_THAT(part, ContainsSubstring("Content-Range: bytes 5-9/15"));
  CHECK(part.ends_with("\r\n\r\ncolor"));
  CHECK_THAT(answer(bench, get("/static/css/site.css", "Range: bytes=99-\r\n")), ContainsSubstring("HTTP/1.1 416 "));
}

TEST_CASE("no path leads out of the root", "[worker]") {
  const Root root;
  WorkerBench bench(root.settings());
  const auto target =
      GENERATE(as<std::string>{}, "/static/../secret", "/static/%2e%2e/secret", "/static/css/../../secret",
               "/static/leak", "/static//etc/passwd", "/static/..%2fsecret", "/static/", "/static/css");
  const std::string got = answer(bench, get(target));
  CHECK_THAT(got, ContainsSubstring("HTTP/1.1 404 "));
  CHECK_THAT(got, !ContainsSubstring("secret"));
}

TEST_CASE("other methods than GET and HEAD are 405, other paths are the application's", "[worker]") {
  const Root root;
  WorkerBench bench(root.settings());
  const std::string post = answer(bench, get("/static/css/site.css", "Content-Length: 0\r\n", "POST"));
  CHECK_THAT(post, ContainsSubstring("HTTP/1.1 405 "));
  CHECK_THAT(post, ContainsSubstring("Allow: GET, HEAD"));
  CHECK(answer(bench, get("/statics/x")).ends_with("/statics/x"));
}

TEST_CASE("a file that cannot be opened for want of descriptors is 503 and has a line in the log", "[worker]") {
  const Root root;
  WorkerBench bench(root.settings());
  static_cast<void>(answer(bench, get("/static/css/site.css")));  // all that serves is open by now
  const auto lines = [&] {
    return std::count(bench.log.messages.begin(), bench.log.messages.end(), std::string("file not sent"));
  };

  Client client = bench.connect();
  {
    const NoMoreDescriptors limit;
    client.send(get("/static/css/site.css"));
    bench.run_until([&] { return client.receive(), client.is_closed; });
  }
  CHECK_THAT(client.received, ContainsSubstring("HTTP/1.1 503 "));
  CHECK(lines() == 1);
  CHECK(answer(bench, get("/static/css/site.css")).ends_with("body{color:red}"));
  CHECK_THAT(answer(bench, get("/static/none.css")), ContainsSubstring("HTTP/1.1 404 "));
  CHECK_THAT(answer(bench, get("/static/css/site.css/x")), ContainsSubstring("HTTP/1.1 404 "));
  CHECK_THAT(answer(bench, get("/static/" + std::string(300, 'n'))), ContainsSubstring("HTTP/1.1 404 "));
  CHECK(lines() == 1);
}
