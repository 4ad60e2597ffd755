// Stories of [[static]]: files a worker answers without calling the application.
#include "tests/process/story.h"

#include <filesystem>

namespace stint::test {
namespace {

// A site with a folder "public" for /static/, and a file beside it that must never be served.
std::unique_ptr<TemporaryFolder> make_site() {
  auto folder = std::make_unique<TemporaryFolder>();
  folder->write("public/css/site.css", "body { color: teal }\n");
  folder->write("public/a b.txt", "a name with a space\n");
  folder->write("public/empty.bin", "");
  folder->write("secret.txt", "never served\n");
  std::string large(3 << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  folder->write("public/large.bin", large);
  std::filesystem::create_symlink("../secret.txt", folder->path() / "public/link-out.txt");
  std::filesystem::create_directory_symlink("..", folder->path() / "public/link-up");
  std::filesystem::create_symlink("css/site.css", folder->path() / "public/link-within.css");
  return folder;
}

ServerOptions static_site(const TemporaryFolder& folder) {
  ServerOptions options;
  options.toml = "[[static]]\nurl = \"/static/\"\nroot = \"" + folder.file("public") + "\"\n";
  return options;
}

TEST_CASE("a static file has its type, length and validators, by GET and HEAD", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());

  const HttpResponse response = client.get("/static/css/site.css?v=1");
  CHECK(response.status == 200);
  CHECK(response.body == "body { color: teal }\n");
  CHECK(response.field("Content-Type").value_or("").starts_with("text/css"));
  CHECK(response.field("Content-Length") == "21");
  CHECK(response.field("Last-Modified").has_value());
  CHECK(response.field("ETag").has_value());

  const HttpResponse head = client.request("HEAD", "/static/css/site.css");
  CHECK(head.status == 200);
  CHECK(head.field("Content-Length") == "21");
  CHECK(head.field("ETag") == response.field("ETag"));

  CHECK(client.get("/static/a%20b.txt").body == "a name with a space\n");
  CHECK(client.get("/static/empty.bin").status == 200);
  CHECK(client.get("/static/large.bin").body == read_file(server.folder().path() / "public/large.bin"));
  CHECK(client.get("/static/link-within.css").status == 200);
  CHECK(client.get("/").body == "Hello, stint\n");
  server.expect_clean_exit();
}

TEST_CASE("a client that has the file already gets 304", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());
  const HttpResponse first = client.get("/static/css/site.css");

  const auto again = [&](const std::string& name, const std::string& value) {
    return client.request("GET", "/static/css/site.css", {{name, value}}).status;
  };
  CHECK(again("If-None-Match", first.field("ETag").value_or("")) == 304);
  CHECK(again("If-None-Match", "\"another\"") == 200);
  CHECK(again("If-Modified-Since", first.field("Last-Modified").value_or("")) == 304);
  CHECK(again("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT") == 200);
  server.expect_clean_exit();
}

TEST_CASE("a part of a file: 206 with its range, 416 when there is none", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());
  const auto part = [&](const std::string& range) {
    return client.request("GET", "/static/css/site.css", {{"Range", range}});
  };

  const HttpResponse middle = part("bytes=7-11");
  CHECK(middle.status == 206);
  CHECK(middle.body == "color");
  CHECK(middle.field("Content-Range") == "bytes 7-11/21");
  CHECK(part("bytes=-2").body == "}\n");
  CHECK(part("bytes=19-").body == "}\n");

  const HttpResponse outside = part("bytes=21-");
  CHECK(outside.status == 416);
  CHECK(outside.field("Content-Range") == "bytes */21");
  CHECK(client.get("/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("nothing outside the root is served, however it is asked for", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());

  for (const char* target :
       {"/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/css/../../secret.txt", "/static/..%2fsecret.txt",
        "/static/%2e%2e%2fsecret.txt", "/static/css/..%2f..%2fsecret.txt", "/static//../secret.txt",
        "/static/.%2e/secret.txt", "/static/..%5csecret.txt", "/static/link-out.txt", "/static/link-up/secret.txt",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/css/../../public/../secret.txt"}) {
    INFO(target);
    const HttpResponse response = client.get(target);
    CHECK((response.status == 404 || response.status == 403 || response.status == 400));
    CHECK(response.body.find("never served") == std::string::npos);
    CHECK(response.body.find("root:") == std::string::npos);
    if (response.announces_close()) client = HttpClient(server.address());
  }
  server.expect_clean_exit();
}

TEST_CASE("folders and missing files are 404, other methods are refused", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());

  CHECK(client.get("/static/missing.css").status == 404);
  CHECK(client.get("/static/css").status == 404);
  CHECK(client.get("/static/css/").status == 404);
  CHECK(client.get("/static/").status == 404);
  const HttpResponse posted = client.request("POST", "/static/css/site.css", {}, "x=1");
  CHECK(posted.status == 405);
  CHECK(posted.field("Allow").has_value());
  server.expect_clean_exit();
}

TEST_CASE("static files under load while workers are replaced", "[process]") {
  auto site = make_site();
  ServerOptions options = static_site(*site);
  options.workers = 2;
  options.set = {{"app.recycle.max_requests", "300"}};
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  const std::string large = read_file(server.folder().path() / "public/large.bin");

  Load load;
  load.address = server.address();
  load.connections = 8;
  load.requests = 1'500;
  load.paths = {"/static/css/site.css", "/work?us=500", "/static/css/site.css", "/static/large.bin"};
  load.problem_of = [&large](const LoadAnswer& answer) -> std::string {
    return answer.path == "/static/large.bin" && answer.body != large ? "another body" : "";
  };
  const LoadReport report = run_load(load);
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.answers_by_worker.size() > 2);
  server.expect_clean_exit();
}

// What the application answers to /send-file with these fields, and what becomes of it.
std::string send_file(const std::string& fields, const std::string& more = "") {
  std::string target = "/send-file?fields=";
  for (const char c : fields) {
    static constexpr std::string_view special = "{}\": ,%?";
    static constexpr char digits[] = "0123456789ABCDEF";
    if (special.find(c) == special.npos) {
      target += c;
    } else {
      target += std::string("%") + digits[static_cast<unsigned char>(c) >> 4] + digits[c & 15];
    }
  }
  return target + more;
}

TEST_CASE("an application has a file of an internal root sent as its answer", "[process]") {
  auto site = make_site();
  ServerOptions options = static_site(*site);
  options.toml += "[[static]]\nurl = \"/kept/\"\nroot = \"" + site->file("public") + "\"\ninternal = true\n";
  const std::string path = site->file("public/css/site.css");
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  HttpClient client(server.address());

  const std::string by_path =
      "{\"X-Sendfile\": \"" + path + "\", \"Content-Type\": \"text/x-own\", \"Set-Cookie\": \"a=b\"}";
  const HttpResponse sent = client.get(send_file(by_path));
  CHECK(sent.status == 200);
  CHECK(sent.body == "body { color: teal }\n");
  CHECK(sent.field("Content-Type") == "text/x-own");
  CHECK(sent.field("Set-Cookie") == "a=b");
  CHECK(sent.field("Content-Length") == "21");
  CHECK_FALSE(sent.field("X-Sendfile").has_value());
  CHECK(sent.field("X-Worker-Pid").has_value());
  CHECK(client.get(send_file(by_path, "&iterator=1")).body == sent.body);

  const std::string by_url = "{\"X-Accel-Redirect\": \"/kept/a%20b.txt\"}";
  const HttpResponse redirected = client.get(send_file(by_url));
  CHECK(redirected.body == "a name with a space\n");
  CHECK(redirected.field("Content-Type").value_or("").starts_with("text/plain"));
  CHECK_FALSE(redirected.field("X-Accel-Redirect").has_value());

  // Conditions and ranges are about the file; another status is the application's word, and so is a POST's answer.
  const HttpResponse part = client.request("GET", send_file(by_url), {{"Range", "bytes=2-5"}});
  CHECK(part.status == 206);
  CHECK(part.body == "name");
  CHECK(client.request("GET", send_file(by_url), {{"If-None-Match", *redirected.field("ETag")}}).status == 304);
  const HttpResponse teapot =
      client.request("GET", send_file(by_url, "&status=418%20Teapot"), {{"Range", "bytes=2-5"}});
  CHECK(teapot.status == 418);
  CHECK(teapot.body == redirected.body);
  CHECK(client.request("POST", send_file(by_url), {}, "x").body == redirected.body);
  const HttpResponse head = client.request("HEAD", send_file(by_url));
  CHECK(head.field("Content-Length") == "20");

  CHECK(client.get(send_file("{\"X-Accel-Redirect\": \"/kept/none\"}")).status == 404);
  CHECK(client.get(send_file("{\"X-Accel-Redirect\": \"/kept/../../secret.txt\"}")).status == 404);
  CHECK(client.get(send_file("{\"X-Accel-Redirect\": \"/kept/link-out.txt\"}")).status == 404);
  // A root that everybody reaches is none for this, and nothing outside the roots is.
  CHECK(client.get(send_file("{\"X-Accel-Redirect\": \"/static/css/site.css\"}")).status == 500);
  CHECK(client.get(send_file("{\"X-Sendfile\": \"/etc/passwd\"}")).status == 500);
  CHECK(server.log_count("below no [[static]] root with internal = true") == 2);
  CHECK(client.get("/kept/css/site.css").status == 404);  // the application's 404: its urls are its own
  server.expect_clean_exit();
}

TEST_CASE("without an internal root X-Sendfile is a field like any other", "[process]") {
  auto site = make_site();
  const ServerOptions options = static_site(*site);
  ServerProcess server(options, std::move(site));
  server.wait_until_ready();
  const HttpResponse sent = fetch(server.address(), send_file("{\"X-Sendfile\": \"/etc/passwd\"}"));
  CHECK(sent.body == "ignored");
  CHECK(sent.field("X-Sendfile") == "/etc/passwd");
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
