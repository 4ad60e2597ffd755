#include "server/supervisor/log_text.h"

#include <chrono>

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

std::string text_of(const std::vector<StartStep>& steps) {
  std::string text;
  for (const StartStep& step : steps) {
    if (!text.empty()) text.append(", ");
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(step.took);
    text.append(step.name).append(" ").append(std::to_string(took.count())).append("ms");
  }
  return text;
}

}  // namespace stint::supervisor
