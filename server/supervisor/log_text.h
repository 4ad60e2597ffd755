// How the log writes what this room often tells of.
#pragma once

#include "stint/bytes.h"
#include "stint/settings.h"

#include <string>

namespace stint::supervisor {

std::string seconds_text(Duration duration);  // "0.1s", "30s"
std::string mebibytes_text(Bytes bytes);      // "41.5MiB"

}  // namespace stint::supervisor
