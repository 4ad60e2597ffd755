// A text that one of our processes hands to another: in an anonymous file that nobody can change any more
// (memfd_create(2), F_ADD_SEALS of fcntl(2)), so that what is read later is what was written.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <string>
#include <string_view>

namespace stint::control {

// `name` is what /proc/PID/fd shows; `doing` begins the error's text. Closed by exec unless that is changed.
Result<UniqueFd> seal_text(const char* name, std::string_view text, const std::string& doing);

// The whole text, wherever the file's position is, which others may share.
Result<std::string> read_sealed_text(int file, const std::string& doing);

}  // namespace stint::control
