#include "server/http/media_types.h"

#include "server/http/bytes_table.h"

#include <algorithm>
#include <array>

namespace stint::http {
namespace {

struct MediaType {
  std::string_view ending;
  std::string_view type;
};

// Sorted by ending. Text carries its charset: what people serve today is UTF-8.
constexpr std::array media_types = {
    MediaType{"7z", "application/x-7z-compressed"},
    MediaType{"aac", "audio/aac"},
    MediaType{"apng", "image/apng"},
    MediaType{"atom", "application/atom+xml"},
    MediaType{"avif", "image/avif"},
    MediaType{"bmp", "image/bmp"},
    MediaType{"bz2", "application/x-bzip2"},
    MediaType{"css", "text/css; charset=utf-8"},
    MediaType{"csv", "text/csv; charset=utf-8"},
    MediaType{"doc", "application/msword"},
    MediaType{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    MediaType{"eot", "application/vnd.ms-fontobject"},
    MediaType{"epub", "application/epub+zip"},
    MediaType{"flac", "audio/flac"},
    MediaType{"geojson", "application/geo+json"},
    MediaType{"gif", "image/gif"},
    MediaType{"gz", "application/gzip"},
    MediaType{"htm", "text/html; charset=utf-8"},
    MediaType{"html", "text/html; charset=utf-8"},
    MediaType{"ico", "image/vnd.microsoft.icon"},
    MediaType{"ics", "text/calendar; charset=utf-8"},
    MediaType{"jpeg", "image/jpeg"},
    MediaType{"jpg", "image/jpeg"},
    MediaType{"js", "text/javascript; charset=utf-8"},
    MediaType{"json", "application/json"},
    MediaType{"jsonld", "application/ld+json"},
    MediaType{"jxl", "image/jxl"},
    MediaType{"m3u8", "application/vnd.apple.mpegurl"},
    MediaType{"m4a", "audio/mp4"},
    MediaType{"m4v", "video/mp4"},
    MediaType{"map", "application/json"},
    MediaType{"md", "text/markdown; charset=utf-8"},
    MediaType{"mjs", "text/javascript; charset=utf-8"},
    MediaType{"mov", "video/quicktime"},
    MediaType{"mp3", "audio/mpeg"},
    MediaType{"mp4", "video/mp4"},
    MediaType{"mpeg", "video/mpeg"},
    MediaType{"odp", "application/vnd.oasis.opendocument.presentation"},
    MediaType{"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    MediaType{"odt", "application/vnd.oasis.opendocument.text"},
    MediaType{"oga", "audio/ogg"},
    MediaType{"ogg", "audio/ogg"},
    MediaType{"ogv", "video/ogg"},
    MediaType{"opus", "audio/ogg"},
    MediaType{"otf", "font/otf"},
    MediaType{"pdf", "application/pdf"},
    MediaType{"png", "image/png"},
    MediaType{"ppt", "application/vnd.ms-powerpoint"},
    MediaType{"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    MediaType{"rss", "application/rss+xml"},
    MediaType{"rtf", "application/rtf"},
    MediaType{"svg", "image/svg+xml"},
    MediaType{"tar", "application/x-tar"},
    MediaType{"tif", "image/tiff"},
    MediaType{"tiff", "image/tiff"},
    MediaType{"ts", "video/mp2t"},
    MediaType{"ttf", "font/ttf"},
    MediaType{"txt", "text/plain; charset=utf-8"},
    MediaType{"vtt", "text/vtt; charset=utf-8"},
    MediaType{"wasm", "application/wasm"},
    MediaType{"wav", "audio/wav"},
    MediaType{"weba", "audio/webm"},
    MediaType{"webm", "video/webm"},
    MediaType{"webmanifest", "application/manifest+json"},
    MediaType{"webp", "image/webp"},
    MediaType{"woff", "font/woff"},
    MediaType{"woff2", "font/woff2"},
    MediaType{"xhtml", "application/xhtml+xml"},
    MediaType{"xls", "application/vnd.ms-excel"},
    MediaType{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    MediaType{"xml", "application/xml"},
    MediaType{"xz", "application/x-xz"},
    MediaType{"yaml", "application/yaml"},
    MediaType{"yml", "application/yaml"},
    MediaType{"zip", "application/zip"},
    MediaType{"zst", "application/zstd"},
};

constexpr bool is_before(const MediaType& a, const MediaType& b) { return a.ending < b.ending; }
static_assert(std::is_sorted(media_types.begin(), media_types.end(), is_before));

constexpr std::string_view unknown = "application/octet-stream";

}  // namespace

std::string_view media_type_of(std::string_view file_name) {
  file_name.remove_prefix(file_name.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t dot = file_name.rfind('.');
  if (dot == file_name.npos || dot == 0) return unknown;
  const std::string_view written = file_name.substr(dot + 1);
  std::array<char, 12> lower{};
  if (written.size() > lower.size()) return unknown;
  std::transform(written.begin(), written.end(), lower.begin(), to_lower);
  const MediaType wanted{{lower.data(), written.size()}, {}};
  const auto found = std::lower_bound(media_types.begin(), media_types.end(), wanted, is_before);
  return found != media_types.end() && found->ending == wanted.ending ? found->type : unknown;
}

}  // namespace stint::http
