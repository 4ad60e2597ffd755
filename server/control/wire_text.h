// Text of unknown origin (paths, Python's tracebacks) → text that JSON and the log can carry, of limited size.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stint::control {

// Valid UTF-8 of about `limit` bytes at most: bytes that are no UTF-8 and control characters other than line feed and
// tab become "?". What is too long is cut in the middle, because a traceback says the most at its two ends.
std::string wire_text(std::string_view text, std::size_t limit);

}  // namespace stint::control
