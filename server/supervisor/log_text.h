// How the log writes what this room often tells of.
#pragma once

#include "stint/bytes.h"
#include "stint/runtime.h"
#include "stint/settings.h"

#include <string>
#include <vector>

namespace stint::supervisor {

std::string seconds_text(Duration duration);               // "0.1s", "30s"
std::string mebibytes_text(Bytes bytes);                   // "41.5MiB"
std::string text_of(const std::vector<StartStep>& steps);  // "interpreter 9ms, import 212ms"

}  // namespace stint::supervisor
