// Conditional and range requests on a file (RFC 9110 §13, §14), as pure functions of the request's fields.
#pragma once

#include "stint/request.h"

#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <string_view>

namespace stint::http {

struct FileVersion {
  std::uint64_t size = 0;
  std::time_t modified{};
  std::string etag;  // strong or weak, quotes included
};

std::string make_etag(std::uint64_t size, std::int64_t modified_nanoseconds);

// What to answer to GET or HEAD of the file. status 200: all of it; 206: `offset`, `length`; 304, 412 and 416: no body.
// Several ranges are answered with the whole file (RFC 9110 §14.2 allows it).
struct FileAnswer {
  int status = 200;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
FileAnswer decide(std::string_view method, std::span<const HeaderField> fields, const FileVersion& file);

// Value of the first field of that name (ASCII case ignored), or empty.
std::string_view find_field(std::span<const HeaderField> fields, std::string_view name);

}  // namespace stint::http
