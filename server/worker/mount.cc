#include "server/worker/mount.h"

namespace stint::worker {

std::optional<Request> below_mount(const std::string& mount, const Request& request, std::string& script_name) {
  if (!request.path.starts_with(mount)) return std::nullopt;
  Request below = request;
  below.path.remove_prefix(mount.size());
  if (!mount.empty() && !below.path.empty() && !below.path.starts_with('/')) return std::nullopt;
  below.script_name = mount;
  if (!request.script_name.empty()) {
    script_name.assign(request.script_name).append(mount);
    below.script_name = script_name;
  }
  return below;
}

}  // namespace stint::worker
