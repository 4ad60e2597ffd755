// Statements 49 to 51, wsgi.file_wrapper, as a client sees it.
#include "tests/conformance/wsgi_server.h"

#include <filesystem>

namespace stint::test {
namespace {

std::string content_of_the_case() {
  std::string content;
  for (int i = 0; i < 10; ++i) content += "0123456789";
  return content;
}

TEST_CASE("WSGI 49: file_wrapper makes an iterable that closes its file once", "[conformance]") {
  const std::string callable = GENERATE("application", "validated");
  WsgiServer server(callable);
  const std::string content = content_of_the_case();
  CHECK(server.text("/file_wrapped?plain") == content);
  CHECK(server.text("/file_state") == "(True, 7, True)");
  CHECK(server.text("/file_wrapped?plain,middleware") == content);
  CHECK(server.text("/file_wrapped?bytesio") == content);
  CHECK(server.text("/file_from_pipe") == "through a pipe");
  const std::string file = server.folder().write("content", content);
  CHECK(server.text("/file_closing/disk?file=" + file) == content);
  CHECK(server.text("/file_closing/memory?file=" + server.file("memory")) == "in memory");
  for (const std::string name : {"content.closed", "memory.closed"}) {
    CHECK(eventually([&] { return read_file(server.file(name)) == "closed\n"; }));
  }
  server.expect_clean_exit();
}

TEST_CASE("WSGI 50: it begins where the file stands, honours Content-Length, and takes what is no file",
          "[conformance]") {
  WsgiServer server("application");
  HttpClient client(server.address());
  const std::string content = content_of_the_case();
  for (const std::string kind : {"plain", "raw", "proxy", "bytesio", "gzip", "subclass"}) {
    INFO(kind);
    CHECK(client.get("/file_wrapped?" + kind).body == content);
    CHECK(client.get("/file_wrapped?" + kind + ",skip").body == content.substr(5));
    CHECK(client.get("/file_wrapped?" + kind + ",length=10").body == content.substr(0, 10));
    const HttpResponse head = client.request("HEAD", "/file_wrapped?" + kind + ",length=100");
    CHECK(head.field("Content-Length") == "100");
    HttpClient old_client(server.address());
    old_client.send("GET /file_wrapped?" + kind + ",skip HTTP/1.0\r\n\r\n");
    CHECK(old_client.receive().body == content.substr(5));
  }
  CHECK(client.get("/file_wrapped?plain").field("Content-Length") == "100");
  CHECK(client.get("/file_wrapped?plain,end").body == "");

  std::string large(20 << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  const std::string file = server.folder().write("large", large);
  CHECK((client.get("/file_of_the_disk?file=" + file).body == large));
  server.expect_clean_exit();
}

TEST_CASE("WSGI 51: a file that ends before its length leaves the answer visibly short", "[conformance]") {
  WsgiServer server("application");
  const std::string file = server.folder().write("shrinking", "");
  std::filesystem::resize_file(file, 512 << 20);
  HttpClient client(server.address());
  client.send("GET /file_of_the_disk?file=" + file + " HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string head = client.receive_up_to("\r\n\r\n");
  CHECK(head.find("Content-Length: 536870912\r\n") != head.npos);
  client.receive_exactly(1 << 20);
  std::filesystem::resize_file(file, 1 << 20);
  CHECK(client.receive_until_close().size() < (400u << 20));
  CHECK(eventually([&] { return server.log_count("file not sent to its end") == 1; }));
  CHECK(server.text("/hello") == "hello\n");
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
