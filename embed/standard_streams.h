// sys.stdout and sys.stderr of a worker: what is printed where nobody reads any more is lost, and never raised.
// Otherwise `stint serve … 2>&1 | logger` would answer each request that prints with 500 once logger has died: SIGPIPE,
// which ends other programs, is ignored here.
#pragma once

#include "embed/gil.h"

namespace stint::embed {

// Once a process, before the application is imported. The streams stay text streams on the same descriptors, unbuffered
// as Python made them. One that Python has not made (sitecustomize may wrap them) stays as it is. False: a Python error
// is set.
bool ready_standard_streams(const Gil& gil);

}  // namespace stint::embed
