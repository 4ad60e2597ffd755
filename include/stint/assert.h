// STINT_ASSERT: a condition only a bug of ours can break. On in release: the process says where and aborts;
// a worker is then replaced by its supervisor. Never for input of clients, applications or operators.
#pragma once

#include <cstdio>
#include <cstdlib>

#define STINT_ASSERT(condition)                                                                            \
  (__builtin_expect(static_cast<bool>(condition), 1)                                                       \
       ? static_cast<void>(0)                                                                              \
       : (std::fprintf(stderr, "stint: bug at %s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), \
          std::abort()))
