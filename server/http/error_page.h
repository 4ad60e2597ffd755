// The page that a developer sees when the application has raised (app.show_errors). Never for anybody else: a traceback
// tells of code, paths and data.
#pragma once

#include "stint/request.h"

#include <string>
#include <string_view>

namespace stint::http {

// HTML of its own, without anything from elsewhere. `traceback` is Python's, UTF-8, and may be empty. Everything that
// came from the client or the application is escaped.
std::string error_page(const Request& request, std::string_view summary, std::string_view traceback);

}  // namespace stint::http
