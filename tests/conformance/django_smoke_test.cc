// Statement 61: what Django does with its server, item by item, with real Django (apps/django_smoke).
// STINT_TEST_PYTHON_VENV names a virtual environment with Django (./dev test makes one); without it these are skipped.
#include "tests/conformance/wsgi_server.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

namespace stint::test {
namespace {

// True without an environment: the test is over. ctest knows the words.
bool is_skipped() {
  if (std::getenv("STINT_TEST_PYTHON_VENV") != nullptr) return false;
  std::cout << "skipped: STINT_TEST_PYTHON_VENV is not set\n";
  return true;
}

struct SmokeOptions {
  std::string variables;  // more of app.env
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::string> listen = {"127.0.0.1:0"};
};

class SmokeSite {
 public:
  explicit SmokeSite(const SmokeOptions& options = {}) : SmokeSite(options, std::make_unique<TemporaryFolder>()) {}

  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  std::size_t notes(const std::string& name) const { return read_file(file(name)).size(); }  // of the views
  const std::string& address() const { return server.address(); }

 private:
  SmokeSite(const SmokeOptions& options, std::unique_ptr<TemporaryFolder> folder)
      : folder_(folder->path().string()), server(options_of(options, folder_), std::move(folder)) {
    server.wait_until_ready();
  }
  static ServerOptions options_of(const SmokeOptions& smoke, const std::string& folder) {
    ServerOptions options;
    options.module = "django_smoke.wsgi:application";
    options.directory = STINT_SOURCE_DIR "/tests/conformance/apps";
    options.listen = smoke.listen;
    options.set = smoke.set;
    options.set.emplace_back("app.venv", "\"" + std::string(std::getenv("STINT_TEST_PYTHON_VENV")) + "\"");
    options.set.emplace_back("app.env", "{ DJANGO_SETTINGS_MODULE = \"django_smoke.settings\", SMOKE_DATA = \"" +
                                            folder + "\"" + smoke.variables + " }");
    return options;
  }

  std::string folder_;

 public:
  ServerProcess server;
};

boost::json::object json_of(const HttpResponse& response) {
  INFO(response.body);
  REQUIRE(response.status == 200);
  return boost::json::parse(response.body).as_object();
}

std::string text_of(const boost::json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

const std::string form_type = "application/x-www-form-urlencoded";
const std::string multipart_type = "multipart/form-data; boundary=smoke-boundary";

std::string part(const std::string& disposition, const std::string& content) {
  return "--smoke-boundary\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n";
}

std::string multipart_of(const std::string& content) {
  return part("name=\"field\"", "value") + part("name=\"file\"; filename=\"smoke.bin\"", content) +
         "--smoke-boundary--\r\n";
}

HttpResponse post(HttpClient& client, const std::string& target, const std::string& type, const std::string& body,
                  HttpFields fields = {}) {
  fields.emplace_back("Content-Type", type);
  return client.request("POST", target, fields, body);
}

HttpResponse post_chunked(HttpClient& client, const std::string& target, const std::string& type,
                          const std::string& body, const std::string& fields = "") {
  client.send("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: " + type +
              "\r\n" + fields + "\r\n");
  for (std::size_t at = 0; at < body.size(); at += 0x4000) {
    const std::string piece = body.substr(at, 0x4000);
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    client.send(size + piece + "\r\n");
  }
  client.send("0\r\n\r\n");
  return client.receive();
}

TEST_CASE("WSGI 61: an upload of more than 2.5 MB is a temporary file, by length and by chunks", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  const std::string content = pattern(3 << 20);
  for (const auto& send :
       {post, +[](HttpClient& c, const std::string& target, const std::string& type, const std::string& body,
                  HttpFields) { return post_chunked(c, target, type, body); }}) {
    const boost::json::object uploaded = json_of(send(client, "/upload", multipart_type, multipart_of(content), {}));
    CHECK(text_of(uploaded, "class") == "TemporaryUploadedFile");
    CHECK(text_of(uploaded, "name") == "smoke.bin");
    CHECK(text_of(uploaded, "field") == "value");
    CHECK(uploaded.at("size").to_number<std::size_t>() == content.size());
    CHECK(uploaded.at("is_in_file").as_bool());
    CHECK((read_file(site.file("uploaded")) == content));
    std::filesystem::remove(site.file("uploaded"));
  }
  const boost::json::object small = json_of(post(client, "/upload", multipart_type, multipart_of("small")));
  CHECK(text_of(small, "class") == "InMemoryUploadedFile");
  site.server.expect_clean_exit();
  for (const auto& entry : std::filesystem::directory_iterator(site.file(""))) {
    CHECK(entry.path().filename().string().find(".upload") ==
          std::string::npos);  // Django's temporary files are closed with their requests
  }
}

TEST_CASE("WSGI 61: request.body after a partial read raises, and the rest can be read", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  for (const HttpResponse& response : {post(client, "/partly-read", "text/plain", "hello world"),
                                       post_chunked(client, "/partly-read", "text/plain", "hello world")}) {
    const boost::json::object read = json_of(response);
    CHECK(text_of(read, "first") == "hello");
    CHECK(text_of(read, "raised") == "RawPostDataException");
    CHECK(text_of(read, "rest") == " world");
  }
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: StreamingHttpResponse streams", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  const std::string until = site.file("until");
  client.send("GET /stream?until=" + until + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive_up_to("first\n").find("second") == std::string::npos);
  site.server.folder().write("until", "");
  CHECK(client.receive_up_to("\r\n0\r\n\r\n").find("second\n") != std::string::npos);
  CHECK(client.get("/page").status == 200);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: FileResponse sends its file", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  const std::string content = pattern(5 << 20);
  const std::string file = site.server.folder().write("to-send", content);
  HttpClient client(site.address());
  const HttpResponse response = client.get("/file?file=" + file);
  CHECK(response.field("Content-Length") == std::to_string(content.size()));
  CHECK(response.field("Content-Disposition") == "attachment; filename=\"smoke.bin\"");
  CHECK((response.body == content));
  const HttpResponse head = client.request("HEAD", "/file?file=" + file);
  CHECK(head.field("Content-Length") == std::to_string(content.size()));
  CHECK(client.get("/page").status == 200);
  CHECK(site.notes("finished") == 3);
  CHECK(eventually([&] { return descriptors_of(site.server.ready_workers().at(0)) < 60; }));
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: ConditionalGetMiddleware answers 304", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  const HttpResponse first = client.get("/page");
  const auto tag = first.field("ETag");
  REQUIRE(tag.has_value());
  const HttpResponse second = client.request("GET", "/page", {{"If-None-Match", *tag}});
  CHECK(second.status == 304);
  CHECK(second.field("ETag") == tag);
  CHECK(second.body.empty());
  CHECK(client.get("/page").body == first.body);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: GZipMiddleware compresses pages and streams", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  for (const std::string query : {"", "?streamed"}) {
    const HttpResponse plain = client.get("/long-page" + query);
    CHECK(plain.body.size() == 2000 * 11);
    CHECK_FALSE(plain.field("Content-Encoding").has_value());
    const HttpResponse packed = client.request("GET", "/long-page" + query, {{"Accept-Encoding", "gzip"}});
    CHECK(packed.field("Content-Encoding") == "gzip");
    CHECK(packed.body.starts_with("\x1f\x8b"));
    CHECK(packed.body.size() < plain.body.size() / 2);
    CHECK(packed.field("Transfer-Encoding").has_value() == !query.empty());
  }
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: build_absolute_uri gives the URL that the client asked for", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  for (const std::string host : {"www.example.com", "www.example.com:8000"}) {
    client.send("GET /urls/a%20b/?q=%41+b HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Proto: https\r\n\r\n");
    const boost::json::object urls = json_of(client.receive());
    CHECK(text_of(urls, "path") == "/urls/a b/");
    CHECK(text_of(urls, "full_path") == "/urls/a%20b/?q=%41+b");
    CHECK(text_of(urls, "absolute") == "http://" + host + "/urls/a%20b/?q=%41+b");
    CHECK(text_of(urls, "of_another") == "http://" + host + "/urls/");
    CHECK(text_of(urls, "host") == host);
    CHECK(text_of(urls, "script_prefix") == "/");
    CHECK_FALSE(urls.at("is_secure").as_bool());  // a stranger's word
  }
  // Without Host Django asks SERVER_NAME and SERVER_PORT.
  HttpClient old_client(site.address());
  old_client.send("GET /urls/ HTTP/1.0\r\n\r\n");
  CHECK(text_of(json_of(old_client.receive()), "absolute") == "http://" + site.address() + "/urls/");
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: build_absolute_uri behind a proxy that ends TLS", "[conformance]") {
  if (is_skipped()) return;
  SmokeOptions options;
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  options.set = {{"proxy.trusted", "[\"127.0.0.1\", \"unix\"]"}};
  SmokeSite site(options);
  for (std::size_t listener = 0; listener < 2; ++listener) {
    HttpClient client(site.server.address(listener));
    client.send("GET /urls/?q HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-Proto: https\r\n\r\n");
    const boost::json::object urls = json_of(client.receive());
    CHECK(text_of(urls, "absolute") == "https://www.example.com/urls/?q");
    CHECK(text_of(urls, "scheme") == "https");
    CHECK(urls.at("is_secure").as_bool());
    client.send("GET /urls/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    CHECK(text_of(json_of(client.receive()), "absolute") == "http://www.example.com/urls/");
  }
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: below app.mount Django's URLs begin with it, without FORCE_SCRIPT_NAME", "[conformance]") {
  if (is_skipped()) return;
  SmokeOptions options;
  options.set = {{"app.mount", "\"/shop\""}};
  SmokeSite site(options);
  HttpClient client(site.address());
  const boost::json::object urls = json_of(client.get("/shop/urls/a%20b/?q"));
  CHECK(text_of(urls, "path") == "/shop/urls/a b/");
  CHECK(text_of(urls, "path_info") == "/urls/a b/");
  CHECK(text_of(urls, "script_prefix") == "/shop/");
  CHECK(text_of(urls, "absolute") == "http://localhost/shop/urls/a%20b/?q");
  CHECK(text_of(urls, "of_another") == "http://localhost/shop/urls/");
  CHECK(client.get("/shop").status == 404);  // Django's: no view at its root
  CHECK(client.get("/urls/").status == 404);
  CHECK(client.get("/shop/page").status == 200);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: CSRF protection finds its token in a chunked POST", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  const HttpResponse page = client.get("/protected-form");
  const std::string token = page.body, cookie = *page.field("Set-Cookie");
  const std::string fields = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  const std::string right = "message=hello+there&csrfmiddlewaretoken=" + token;
  CHECK(text_of(json_of(post_chunked(client, "/protected-form", form_type, right, fields)), "message") ==
        "hello there");
  CHECK(text_of(json_of(post_chunked(client, "/protected-form", form_type, "message=m",
                                     fields + "X-CSRFToken: " + token + "\r\n")),
                "message") == "m");
  CHECK(post_chunked(client, "/protected-form", form_type, "message=hello", fields).status == 403);
  CHECK(post_chunked(client, "/protected-form", form_type, right).status == 403);
  CHECK(client.get("/page").status == 200);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: DATA_UPLOAD_MAX_* hold for sized and chunked bodies", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  std::string many, files;
  for (int i = 0; i < 51; ++i) many += "f" + std::to_string(i) + "=v&";
  for (int i = 0; i < 4; ++i) files += part("name=\"f\"; filename=\"f\"", "x");
  files += "--smoke-boundary--\r\n";
  const std::pair<std::string, std::string> refused[] = {
      {form_type, "large=" + std::string(100'001, 'x')}, {form_type, many}, {multipart_type, files}};
  for (const auto& [type, body] : refused) {
    CHECK(post(client, "/form", type, body).status == 400);
    CHECK(post_chunked(client, "/form", type, body).status == 400);
  }
  CHECK(post(client, "/body", "text/plain", std::string(100'001, 'x')).status == 400);
  CHECK(post_chunked(client, "/body", "text/plain", std::string(100'001, 'x')).status == 400);
  const boost::json::object taken = json_of(post_chunked(client, "/body", "text/plain", std::string(100'000, 'x')));
  CHECK(text_of(taken, "length") == "100000");
  CHECK(taken.at("size").to_number<int>() == 100'000);
  CHECK(json_of(post_chunked(client, "/form", form_type, "a=1&b=2")).at("fields").to_number<int>() == 2);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: a client that aborts its upload never reaches the view, which would meet UnreadablePostError",
          "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  for (const bool is_chunked : {false, true}) {
    for (const bool is_reset : {false, true}) {
      HttpClient client(site.address());
      client.send("POST /body HTTP/1.1\r\nHost: localhost\r\n");
      client.send(is_chunked ? "Transfer-Encoding: chunked\r\n\r\n2710\r\n" : "Content-Length: 10000\r\n\r\n");
      client.send(std::string(5000, 'x'));
      if (is_reset) client.reset();
    }
  }
  CHECK(fetch(site.address(), "/page").status == 200);
  CHECK(site.notes("body-called") == 0);
  CHECK(site.server.log_count("UnreadablePostError") == 0);
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: paths, queries and hosts beyond ASCII", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  const std::string target = "/caf%C3%A9/na%C3%AFve%20%E2%82%AC?q=%E2%82%AC+%C3%A9";
  client.send("GET " + target + " HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n\r\n");
  const boost::json::object seen = json_of(client.receive());
  CHECK(text_of(seen, "path") == "/caf\xc3\xa9/na\xc3\xafve \xe2\x82\xac");
  CHECK(text_of(seen, "name") == "na\xc3\xafve \xe2\x82\xac");
  CHECK(text_of(seen, "query") == "\xe2\x82\xac \xc3\xa9");
  CHECK(text_of(seen, "absolute") == "http://xn--bcher-kva.example" + target);
  CHECK(text_of(seen, "reversed") == target.substr(0, target.find('?')));
  client.send(
      "GET /page HTTP/1.1\r\nHost: b\xc3\xbc"
      "cher.example\r\n\r\n");
  CHECK(client.receive().status == 400);  // the server's: a name is ASCII on the wire
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: an exception in a view is Django's page, with DEBUG the one that explains", "[conformance]") {
  if (is_skipped()) return;
  const bool has_debug = GENERATE(false, true);
  SmokeOptions options;
  if (has_debug) options.variables = ", SMOKE_DEBUG = \"1\"";
  SmokeSite site(options);
  HttpClient client(site.address());
  const HttpResponse response = client.get("/fails");
  CHECK(response.status == 500);
  CHECK((response.body.find("raised by a view") != std::string::npos) == has_debug);
  CHECK((response.body.find("Traceback") != std::string::npos) == has_debug);
  CHECK(client.get("/page").status == 200);
  CHECK(eventually([&] { return site.server.log_count("ZeroDivisionError: raised by a view") > 0; }));
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: database connections last as CONN_MAX_AGE says, across recycling", "[conformance]") {
  if (is_skipped()) return;
  const bool is_persistent = GENERATE(false, true);
  SmokeOptions options;
  if (is_persistent) options.variables = ", SMOKE_PERSISTENT = \"1\"";
  SmokeSite site(options);
  HttpClient client(site.address());
  std::set<int> workers;
  const int rounds = 3, requests = 5;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < requests; ++i) {
      const boost::json::object answer = json_of(client.get("/connection"));
      CHECK(answer.at("answer").to_number<int>() == 1);
      workers.insert(answer.at("pid").to_number<int>());
    }
    const pid_t worker = site.server.ready_workers().at(0);
    REQUIRE(site.server.command({"recycle"}).exit_code == 0);
    REQUIRE(eventually([&] { return !is_running(worker); }));
  }
  CHECK(workers.size() == rounds);
  // Django has connections of its own in each thread, and which of them call is the worker's choice.
  const std::size_t most = is_persistent ? rounds * threads_of_a_worker() : rounds * requests;
  CHECK(site.notes("connected") >= (is_persistent ? rounds : most));
  CHECK(site.notes("connected") <= most);
  CHECK(eventually([&] { return site.notes("finished") == rounds * requests; }));  // close() of each answer
  site.server.expect_clean_exit();
}

TEST_CASE("WSGI 61: a cache's client lasts from request to request, although contexts do not", "[conformance]") {
  if (is_skipped()) return;
  SmokeSite site;
  HttpClient client(site.address());
  // One for each thread that has asked.
  for (int i = 0; i < 12; ++i)
    CHECK(json_of(client.get("/cache")).at("clients").to_number<unsigned>() <= threads_of_a_worker());
  CHECK(client.get("/cache?alias=broken").status == 500);  // told to the request that wants it, not to the start
  site.server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
