// What every story includes. A story starts the real binary, talks to it as a client would, and ends with
// server.expect_clean_exit().
#pragma once

#include "tests/support/catch.h"
#include "tests/support/eventually.h"
#include "tests/support/http_client.h"
#include "tests/support/process_table.h"
#include "tests/support/server_process.h"
#include "tests/support/strict_client.h"

namespace stint::test {

inline ServerOptions with_workers(unsigned count) {
  ServerOptions options;
  options.workers = count;
  return options;
}

}  // namespace stint::test
