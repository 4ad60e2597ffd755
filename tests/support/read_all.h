// What is there now of a descriptor that does not block.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <string>

namespace stint::test {

inline std::string read_all(int descriptor) {
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = ::read(descriptor, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  return text;
}

}  // namespace stint::test
