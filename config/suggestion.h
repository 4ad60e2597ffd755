// "did you mean": which of the known words a mistyped one stands for.
#pragma once

#include <span>
#include <string_view>

namespace stint::config {

// Insertions, deletions, replacements and swaps of neighbours between two words.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `words` when it is near enough to be meant; empty otherwise.
std::string_view nearest(std::string_view word, std::span<const std::string_view> words);

}  // namespace stint::config
