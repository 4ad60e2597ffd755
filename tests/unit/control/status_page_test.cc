#include "server/control/status_page.h"

#include "tests/support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

using namespace stint;
using namespace stint::control;

TEST_CASE("a new status page tells of an idle worker without requests", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  auto page = StatusPage::map(file->get());
  REQUIRE(page.has_value());
  const WorkerReport report = page->report();
  CHECK(report.requests == 0);
  CHECK(report.connections == 0);
  CHECK_FALSE(report.is_busy);
}

TEST_CASE("what a worker writes is read in another process", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  auto page = StatusPage::map(file->get());
  REQUIRE(page.has_value());
  const TimePoint since = std::chrono::steady_clock::now();

  const pid_t worker = ::fork();
  if (worker == 0) {
    auto mine = StatusPage::map(file->get());
    if (!mine) ::_exit(1);
    for (int i = 0; i < 3; ++i) mine->count_request();
    for (int i = 0; i < 2; ++i) mine->count_failure();
    mine->count_bad_request();
    mine->set_connections(7);
    mine->set_busy(since);
    mine->set_private_memory(40_MiB);
    ::_exit(0);
  }
  int status = -1;
  REQUIRE(::waitpid(worker, &status, 0) == worker);
  REQUIRE(status == 0);

  file->reset();  // the mapping needs no descriptor
  const WorkerReport report = page->report();
  CHECK(report.requests == 3);
  CHECK(report.failures == 2);
  CHECK(report.bad_requests == 1);
  CHECK(report.connections == 7);
  CHECK(report.is_busy);
  CHECK(report.busy_since == since);
  CHECK(report.private_memory == 40_MiB);
}

TEST_CASE("idle ends busy", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  auto page = StatusPage::map(file->get());
  REQUIRE(page.has_value());
  page->set_busy(std::chrono::steady_clock::now());
  CHECK(page->report().is_busy);
  page->set_idle();
  CHECK_FALSE(page->report().is_busy);
}

TEST_CASE("a worker cannot take the page away from under the supervisor", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  CHECK(::ftruncate(file->get(), 0) != 0);
  CHECK(errno == EPERM);
}
