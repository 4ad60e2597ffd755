// A running server's status, and its requests' stacks, as people read them: what the server says in JSON, as text of
// several lines. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <string>

namespace stint::cli {

// With the requests that have run for `shown_from` or longer. Throws what Boost.JSON throws when something is missing.
std::string status_text(const boost::json::object& status, std::chrono::milliseconds shown_from);

// What became of a reload ("reload" of the status): what changed, and which generation serves. Throws likewise.
std::string reload_text(const boost::json::object& reload);

// What the workers' running requests do (`stint trace`). Throws likewise.
std::string trace_text(const boost::json::object& trace);

std::string text_of(const boost::json::value& value);  // of a string or number; "-" for anything else

}  // namespace stint::cli
