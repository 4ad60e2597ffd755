// What a short-lived program prints.
#pragma once

#include "stint/result.h"

#include <chrono>
#include <string>
#include <vector>

namespace stint::runtime_loader {

struct SubprocessOutput {
  int status = 0;  // of waitpid(2)
  std::string out;
  std::string err;
};

// Runs the program with our environment and nothing on its standard input; kills it after `limit`. Waits for its own
// child only.
Result<SubprocessOutput> output_of(const std::string& program, const std::vector<std::string>& arguments,
                                   std::chrono::milliseconds limit);

}  // namespace stint::runtime_loader
