// [[static]]: files below a root, answered by the worker without the application. The kernel itself keeps the path
// below the root (openat2 with RESOLVE_BENEATH), so neither ".." nor a symbolic link leads out of it.
#pragma once

#include "server/worker/response_writer.h"
#include "stint/request.h"
#include "stint/settings.h"

#include <vector>

namespace stint::worker {

class StaticFiles {
 public:
  explicit StaticFiles(const std::vector<StaticSettings>& roots) : roots_(roots) {}

  // Answers when the path is below one of the urls (then also with 404, 405); false: the request is not for static
  // files.
  bool answer(const Request& request, ResponseWriter& writer) const;

 private:
  static void answer_from(const std::string& root, const std::string& name, const Request& request,
                          ResponseWriter& writer);

  const std::vector<StaticSettings>& roots_;
};

}  // namespace stint::worker
