#include "server/http/media_types.h"

#include "tests/support/catch.h"

namespace stint::http {
namespace {

TEST_CASE("the last ending of a file's name tells its media type", "[http]") {
  CHECK(media_type_of("/static/site.css") == "text/css; charset=utf-8");
  CHECK(media_type_of("app.min.JS") == "text/javascript; charset=utf-8");
  CHECK(media_type_of("a.tar.gz") == "application/gzip");
  CHECK(media_type_of("x.svg") == "image/svg+xml");
  CHECK(media_type_of("font.woff2") == "font/woff2");
  CHECK(media_type_of("7.7z") == "application/x-7z-compressed");
  CHECK(media_type_of("a.zst") == "application/zstd");
}

TEST_CASE("names without a known ending are bytes", "[http]") {
  for (const char* name : {"", "README", ".css", "/a.css/README", "/a.css/.js", "x.", "x.nonsense", "x.cs", "x.csss",
                           "x.averylongendingindeed"}) {
    INFO(name);
    CHECK(media_type_of(name) == "application/octet-stream");
  }
}

}  // namespace
}  // namespace stint::http
