#include "config/suggestion.h"

#include <algorithm>
#include <vector>

namespace stint::config {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_previous, previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] != b[j - 1]);
      current[j] = std::min({replaced, previous[j] + 1, current[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before_previous[j - 2] + 1);
    }
    before_previous.swap(previous);
    previous.swap(current);
    current.resize(b.size() + 1);
  }
  return previous[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> words) {
  std::string_view best;
  // A third of the letters may be wrong: further away, a suggestion is a riddle.
  std::size_t limit = std::max<std::size_t>(1, word.size() / 3) + 1;
  if (word.size() > 64) return best;  // nothing of ours is that long; keep the work small
  for (const std::string_view candidate : words) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < limit && distance < candidate.size()) {
      limit = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace stint::config
