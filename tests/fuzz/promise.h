// What a target promises about every input. When one is broken the process ends, and libFuzzer keeps the input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace stint::fuzz {

inline void promise(bool is_kept, const char* sentence) {
  if (is_kept) return;
  std::fprintf(stderr, "broken promise: %s\n", sentence);
  std::abort();
}

// The same, with what was found instead.
inline void promise(bool is_kept, const char* sentence, const std::string& found) {
  if (is_kept) return;
  std::fprintf(stderr, "broken promise: %s\n%s\n", sentence, found.c_str());
  std::abort();
}

}  // namespace stint::fuzz
