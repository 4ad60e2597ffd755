#include "server/worker/static_files.h"

#include "server/http/conditional.h"
#include "server/http/date.h"
#include "server/http/media_types.h"
#include "stint/unique_fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <string>

namespace stint::worker {

namespace {

// Where openat2 is not to be had (Linux before 5.6, some seccomp filters): the resolved path has to be below the
// resolved root.
UniqueFd open_below_by_name(const std::string& root, const std::string& name) {
  char root_path[PATH_MAX];
  char file_path[PATH_MAX];
  if (::realpath(root.c_str(), root_path) == nullptr) return {};
  if (::realpath((root + "/" + name).c_str(), file_path) == nullptr) return {};
  const std::string below = std::string(root_path) + "/";
  if (std::string_view(file_path).substr(0, below.size()) != below) {
    errno = EXDEV;
    return {};
  }
  return UniqueFd(::open(file_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
}

// The root is opened for each request: a deploy may have switched the link it is.
UniqueFd open_below(const std::string& root, const std::string& name) {
  const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return {};
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long file = ::syscall(SYS_openat2, folder.get(), name.c_str(), &how, sizeof how);
  if (file < 0 && (errno == ENOSYS || errno == EPERM)) return open_below_by_name(root, name);
  return UniqueFd(static_cast<int>(file));
}

}  // namespace

bool StaticFiles::answer(const Request& request, ResponseWriter& writer) const {
  for (const StaticSettings& root : roots_) {
    if (!request.path.starts_with(root.url)) continue;
    answer_from(root.root, std::string(request.path.substr(root.url.size())), request, writer);
    return true;
  }
  return false;
}

void StaticFiles::answer_from(const std::string& root, const std::string& name, const Request& request,
                              ResponseWriter& writer) {
  if (request.method != "GET" && request.method != "HEAD") {
    const HeaderField allow{"Allow", "GET, HEAD"};
    return writer.answer(405, {&allow, 1});
  }
  UniqueFd file = open_below(root, name.empty() ? "." : name);
  struct stat status{};
  if (!file.is_open() || ::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode)) return writer.answer(404);

  const auto size = static_cast<std::uint64_t>(status.st_size);
  const http::FileVersion version{
      size, status.st_mtim.tv_sec,
      http::make_etag(size, status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec)};
  const http::FileAnswer decision = http::decide(request.method, request.fields, version);

  const std::string modified = http::format_date(version.modified);
  const std::string length = std::to_string(decision.length);
  std::string range;
  std::vector<HeaderField> fields{{"Last-Modified", modified}, {"ETag", version.etag}, {"Accept-Ranges", "bytes"}};
  switch (decision.status) {
    case 412:
      return writer.answer(412);
    case 416: {
      range = "bytes */" + std::to_string(size);
      const HeaderField content_range{"Content-Range", range};
      return writer.answer(416, {&content_range, 1});
    }
    case 304:
      break;
    case 206:
      range = "bytes " + std::to_string(decision.offset) + "-" + std::to_string(decision.offset + decision.length - 1) +
              "/" + std::to_string(size);
      fields.push_back({"Content-Range", range});
      [[fallthrough]];
    default:
      fields.push_back({"Content-Type", http::media_type_of(name)});
      fields.push_back({"Content-Length", length});
  }
  const std::string code = std::to_string(decision.status) + " " + std::string(http::reason_phrase(decision.status));
  if (const Result<void> is_set = writer.set_head(code, fields); !is_set.has_value()) return writer.answer(500);
  if (decision.status != 304 && decision.length > 0)
    writer.write_file(std::move(file), decision.offset, decision.length);
}

}  // namespace stint::worker
