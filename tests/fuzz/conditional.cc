// Conditional and range requests on a file. The input: one byte that says which method and file, then lines
// "Name: value". Promises:
// - a part is a part of the file and never empty; a status comes only with a field that asks for it;
// - who has the file gets 304, or 412 when another condition fails;
// - a date that is understood is understood again as it is written, to the second.
#include "server/http/conditional.h"

#include "server/http/date.h"

#include "tests/fuzz/field_lines.h"
#include "tests/fuzz/promise.h"

#include <cstdint>
#include <limits>
#include <string>

namespace stint::fuzz {
namespace {

void check_answer(std::string_view method, const FieldLines& lines, const http::FileVersion& file) {
  const http::FileAnswer answer = http::decide(method, fields_of(lines), file);
  const std::string text = std::to_string(answer.status) + " from " + std::to_string(answer.offset) + ", " +
                           std::to_string(answer.length) + " of " + std::to_string(file.size);
  const auto has = [&lines](std::string_view name) { return count_named(lines, name) > 0; };
  switch (answer.status) {
    case 200:
      promise(answer.offset == 0 && answer.length == file.size, "200 is the whole file", text);
      break;
    case 206:
      promise(method == "GET" && count_named(lines, "range") == 1, "a part was asked for", text);
      promise(answer.length > 0 && answer.length <= file.size && answer.offset <= file.size - answer.length,
              "a part is a part of the file", text);
      break;
    case 304:
      promise(has("if-none-match") || has("if-modified-since"), "304 was asked for", text);
      break;
    case 412:
      promise(has("if-match") || has("if-unmodified-since"), "412 was asked for", text);
      break;
    case 416:
      promise(method == "GET" && count_named(lines, "range") == 1, "416 is about a range", text);
      break;
    default:
      promise(false, "an answer is one of five", text);
  }
  if (answer.status != 200) promise(method == "GET" || method == "HEAD", "other methods have no conditions", text);
  if (method != "GET" && method != "HEAD") return;
  FieldLines known = lines;
  known.emplace_back("If-None-Match", file.etag);
  const int status = http::decide(method, fields_of(known), file).status;
  promise(status == 304 || status == 412, "who has the file does not get it again", std::to_string(status));
}

void check_date(std::string_view text) {
  const auto time = http::parse_date(text);
  if (!time) return;
  const std::string written = http::format_date(*time);
  promise(written.size() == 29, "a date has one length", written);
  promise(http::parse_date(written) == time, "a date is understood again", written);
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stint;
  if (size == 0) return 0;
  const char* const methods[] = {"GET", "HEAD", "POST", "GET"};
  const std::uint64_t sizes[] = {0, 1, 1000, std::numeric_limits<std::uint64_t>::max()};
  http::FileVersion file{sizes[data[0] / 4 % 4], 784111777, ""};  // Sun, 06 Nov 1994 08:49:37 GMT
  file.etag = data[0] / 16 % 2 == 0 ? http::make_etag(file.size, 784111777'000'000'000) : "W/\"weak\"";
  const auto lines = fuzz::field_lines({reinterpret_cast<const char*>(data) + 1, size - 1});
  fuzz::check_answer(methods[data[0] % 4], lines, file);
  for (const auto& [name, value] : lines) fuzz::check_date(value);
  return 0;
}
