#include "server/supervisor/log_text.h"

namespace stint::supervisor {

std::string seconds_text(Duration duration) {
  const auto tenths = (duration.count() + 99) / 100;
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text.append(".").append(std::to_string(tenths % 10));
  return text.append("s");
}

std::string mebibytes_text(Bytes bytes) {
  const auto tenths = (bytes.count * 10 + (1 << 19)) >> 20;
  return std::to_string(tenths / 10).append(".").append(std::to_string(tenths % 10)).append("MiB");
}

}  // namespace stint::supervisor
