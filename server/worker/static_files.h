// [[static]]: files below a root, answered by the worker without the application, or, from an internal root, because
// the application named one in its answer. The kernel itself keeps the path below the root (openat2 with
// RESOLVE_BENEATH), so neither ".." nor a symbolic link leads out of it.
//
// 404 says that there is no such file. When one cannot be opened for another reason the log tells it.
#pragma once

#include "server/worker/response_writer.h"
#include "stint/log.h"
#include "stint/request.h"
#include "stint/settings.h"

#include <vector>

namespace stint::worker {

class StaticFiles {
 public:
  StaticFiles(const std::vector<StaticSettings>& roots, Log& log) : roots_(roots), log_(log) {}

  // The path is below one of the urls.
  bool has(std::string_view path) const { return root_of(path) != nullptr; }
  // Answers when the path is below one of the urls (then also with 404, 405); false: the request is not for static
  // files.
  bool answer(const Request& request, ResponseWriter& writer) const;

  // Any root is internal: answers may name files.
  static bool takes_named_files(const std::vector<StaticSettings>& roots);
  // Replaces the answer by the file that it names, with the application's fields but those that tell of a body
  // (length, range, validators). 404 when there is no such file, 5xx when it cannot be opened; an error when it is in
  // no internal root: the answer is then still the application's. REQUIRES: the answer names a file.
  Result<void> answer_named(const Request& request, ResponseWriter& writer) const;

 private:
  struct Place {
    const StaticSettings* root = nullptr;  // null: in none
    std::string name;                      // below it
  };
  const StaticSettings* root_of(std::string_view path) const;
  Place place_of(const http::NamedFile& file) const;
  void answer_from(const std::string& root, const std::string& name, const Request& request,
                   ResponseWriter& writer) const;

  const std::vector<StaticSettings>& roots_;
  Log& log_;
};

}  // namespace stint::worker
