#include "server/worker/static_files.h"

#include "server/http/bytes_table.h"
#include "server/http/conditional.h"
#include "server/http/date.h"
#include "server/http/media_types.h"
#include "server/http/request_target.h"
#include "stint/unique_fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
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

// openat2(2) gives up with EAGAIN while files are renamed on its way, and asks to be called again.
constexpr int attempts_most = 10;

// The root is opened for each request: a deploy may have switched the link it is.
UniqueFd open_below(const std::string& root, const std::string& name) {
  const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return {};
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  long file = -1;
  for (int attempt = 0; attempt < attempts_most; ++attempt) {
    file = ::syscall(SYS_openat2, folder.get(), name.c_str(), &how, sizeof how);
    if (file >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  if (file < 0 && (errno == ENOSYS || errno == EPERM)) return open_below_by_name(root, name);
  return UniqueFd(static_cast<int>(file));
}

struct FoundFile {
  UniqueFd file;
  struct stat status{};
};

// Error: "open /srv/site/static/css/site.css: Too many open files".
Result<FoundFile> find_below(const std::string& root, const std::string& name) {
  FoundFile found{.file = open_below(root, name.empty() ? "." : name)};
  if (!found.file.is_open() || ::fstat(found.file.get(), &found.status) < 0)
    return system_error("open " + root + "/" + name);
  return found;
}

// There is no file of that name below the root, or none that could be sent (a socket: ENXIO).
bool means_none(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG || error == EXDEV ||
         error == ENXIO;
}

// Of a file that could not be opened. One that only others may read is none to the client.
int status_of(int error) {
  if (means_none(error) || error == EACCES) return 404;
  const bool may_pass = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN || error == EINTR;
  return may_pass ? 503 : 500;
}

}  // namespace

const StaticSettings* StaticFiles::root_of(std::string_view path) const {
  for (const StaticSettings& root : roots_) {
    if (!root.is_internal && path.starts_with(root.url)) return &root;
  }
  return nullptr;
}

bool StaticFiles::answer(const Request& request, ResponseWriter& writer) const {
  const StaticSettings* root = root_of(request.path);
  if (root == nullptr) return false;
  answer_from(root->root, std::string(request.path.substr(root->url.size())), request, writer);
  return true;
}

namespace {

// What an application has said about the file that it named.
struct Wrapping {
  std::string_view status =
      "200 OK";  // another one: all of the file is sent under it, whatever the request's conditions
  std::vector<HeaderField> fields;
  bool has_type = false;  // Content-Type is among them
};

// The file's answer to this request.
void send(FoundFile found, std::string_view name, const Request& request, Wrapping wrapping, ResponseWriter& writer) {
  const struct stat& status = found.status;
  if (!S_ISREG(status.st_mode)) return writer.answer(404);

  const auto size = static_cast<std::uint64_t>(status.st_size);
  // It may be any that the file system can hold; the count then begins anew.
  const std::uint64_t nanoseconds = static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000U +
                                    static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
  const http::FileVersion version{size, status.st_mtim.tv_sec,
                                  http::make_etag(size, static_cast<std::int64_t>(nanoseconds))};
  const bool is_plain = wrapping.status.starts_with("200") && (request.method == "GET" || request.method == "HEAD");
  const http::FileAnswer decision =
      is_plain ? http::decide(request.method, request.fields, version) : http::FileAnswer{.length = size};

  const std::string modified = http::format_date(version.modified);
  const std::string length = std::to_string(decision.length);
  std::string range;
  std::vector<HeaderField>& fields = wrapping.fields;
  fields.insert(fields.end(), {{"Last-Modified", modified}, {"ETag", version.etag}, {"Accept-Ranges", "bytes"}});
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
      if (!wrapping.has_type) fields.push_back({"Content-Type", http::media_type_of(name)});
      fields.push_back({"Content-Length", length});
  }
  const std::string code =
      decision.status == 200 ? std::string(wrapping.status)
                             : std::to_string(decision.status).append(" ").append(http::reason_phrase(decision.status));
  if (const Result<void> is_set = writer.set_head(code, fields); !is_set.has_value()) return writer.answer(500);
  if (decision.status != 304 && decision.length > 0)
    writer.write_file(std::move(found.file), decision.offset, decision.length);
}

// The file's answer, or why there is none.
void send_below(const std::string& root, const std::string& name, const Request& request, Wrapping wrapping,
                ResponseWriter& writer, Log& log) {
  Result<FoundFile> found = find_below(root, name);
  if (found.has_value()) return send(std::move(*found), name, request, std::move(wrapping), writer);
  const int error = found.error().code.value();
  const int status = status_of(error);
  if (!means_none(error)) {
    log.error("file not sent", {{"error", found.error().text()},
                                {"target", request.target},
                                {"request", request.id},
                                {"next", std::to_string(status) + " to the client"}});
  }
  writer.answer(status);
}

// What the application's fields say about a body that is not sent.
bool is_about_the_body(std::string_view name) {
  for (const std::string_view other : {"content-length", "content-range", "accept-ranges", "etag", "last-modified"}) {
    if (http::equals_ignoring_case(name, other)) return true;
  }
  return false;
}

// "Name: value\r\n" lines → fields, which point into them.
std::vector<HeaderField> fields_of(std::string_view lines) {
  std::vector<HeaderField> fields;
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::size_t colon = lines.find(": ");
    fields.push_back({lines.substr(0, colon), lines.substr(colon + 2, end - colon - 2)});
    lines.remove_prefix(end + 2);
  }
  return fields;
}

}  // namespace

void StaticFiles::answer_from(const std::string& root, const std::string& name, const Request& request,
                              ResponseWriter& writer) const {
  if (request.method != "GET" && request.method != "HEAD") {
    const HeaderField allow{"Allow", "GET, HEAD"};
    return writer.answer(405, {&allow, 1});
  }
  send_below(root, name, request, {}, writer, log_);
}

bool StaticFiles::takes_named_files(const std::vector<StaticSettings>& roots) {
  return std::any_of(roots.begin(), roots.end(), [](const StaticSettings& root) { return root.is_internal; });
}

StaticFiles::Place StaticFiles::place_of(const http::NamedFile& file) const {
  std::string name = file.name;
  const bool is_url = file.kind == http::NamedFile::Kind::url;
  if (is_url) {
    name.resize(std::min(name.find('?'), name.size()));
    if (!http::has_valid_percents(name)) return {};
    std::string decoded;
    http::decode_percents(name, decoded);
    name = std::move(decoded);
  }
  for (const StaticSettings& root : roots_) {
    const std::string prefix = is_url ? root.url : root.root + "/";
    if (root.is_internal && name.starts_with(prefix)) return {&root, name.substr(prefix.size())};
  }
  return {};
}

Result<void> StaticFiles::answer_named(const Request& request, ResponseWriter& writer) const {
  const Place place = place_of(writer.named_file());
  if (place.root == nullptr) {
    return error_because("the application named the file '" + writer.named_file().name +
                         "', which is below no [[static]] root with internal = true");
  }
  const std::string status(writer.head_status()), lines(writer.head_lines());  // the writer's go with its head
  Wrapping wrapping{.status = status, .fields = {}};
  for (const HeaderField& field : fields_of(lines)) {
    if (is_about_the_body(field.name)) continue;
    wrapping.has_type = wrapping.has_type || http::equals_ignoring_case(field.name, "content-type");
    wrapping.fields.push_back(field);
  }
  send_below(place.root->root, place.name, request, std::move(wrapping), writer, log_);
  return {};
}

}  // namespace stint::worker
