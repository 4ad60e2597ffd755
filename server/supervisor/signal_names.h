// 11 → "SIGSEGV", for the log.
#pragma once

#include <string>

namespace stint::supervisor {

std::string signal_name(int number);

}  // namespace stint::supervisor
