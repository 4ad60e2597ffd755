// A Python exception as a value: none crosses into server/.
#pragma once

#include "embed/gil.h"

#include "stint/application.h"

#include <string>

namespace stint::embed {

struct PythonError {
  std::string summary;    // one line: "ZeroDivisionError: division by zero"
  std::string traceback;  // as Python prints it

  [[nodiscard]] ApplicationFailure as_failure() && { return {std::move(summary), std::move(traceback)}; }
};

// Takes the exception that is set and clears it. REQUIRES: one is set.
PythonError take_python_error(const Gil& gil);

// What exit status SystemExit asks for; takes the exception. Other exceptions: printed to stderr, status 1.
// REQUIRES: one is set.
int take_exit_status(const Gil& gil);

}  // namespace stint::embed
