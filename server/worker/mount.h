// Where the application is in the site: the path that it has below app.mount.
#pragma once

#include "stint/request.h"

#include <optional>
#include <string>

namespace stint::worker {

// The request as the application below `mount` sees it ("" is all of the site): SCRIPT_NAME and PATH_INFO. nullopt: it
// is not for the application; "/shop" has "/shop" and "/shop/…" below it, not "/shops" (RFC 3875 §4.1.13).
// `script_name` holds what the request may point to.
std::optional<Request> below_mount(const std::string& mount, const Request& request, std::string& script_name);

}  // namespace stint::worker
