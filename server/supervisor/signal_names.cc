#include "server/supervisor/signal_names.h"

#include <cstring>

namespace stint::supervisor {

std::string signal_name(int number) {
  const char* abbreviation = ::sigabbrev_np(number);  // glibc 2.32
  return abbreviation != nullptr ? std::string("SIG") + abbreviation : "signal " + std::to_string(number);
}

}  // namespace stint::supervisor
