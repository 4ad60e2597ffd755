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
  CHECK(report.counts.requests == 0);
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
    mine->count_refusal(RefusalReason::bare_lf);
    mine->count_refusal(RefusalReason::handed_over_body);
    mine->count_refusal(RefusalReason::handed_over_body);
    mine->count_client_gone();
    mine->count_dropped_fields(5);
    for (const bool is_full : {true, true, false, true}) mine->set_full(is_full);
    mine->set_connections(7);
    mine->set_calls(3, since);
    mine->set_private_memory(40_MiB);
    ::_exit(0);
  }
  int status = -1;
  REQUIRE(::waitpid(worker, &status, 0) == worker);
  REQUIRE(status == 0);

  file->reset();  // the mapping needs no descriptor
  const WorkerReport report = page->report();
  CHECK(report.counts.requests == 3);
  CHECK(report.counts.failures == 2);
  CHECK(report.counts.refused[static_cast<std::size_t>(RefusalReason::bare_lf)] == 1);
  CHECK(report.counts.bad_requests() == 3);
  CHECK(report.counts.clients_gone == 1);
  CHECK(report.counts.dropped_fields == 5);
  CHECK(report.counts.times_full == 2);
  CHECK(report.is_full);
  CHECK(report.connections == 7);
  CHECK(report.is_busy);
  CHECK(report.busy_since == since);
  CHECK(report.calls == 3);
  CHECK(report.private_memory == 40_MiB);
}

TEST_CASE("idle ends busy", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  auto page = StatusPage::map(file->get());
  REQUIRE(page.has_value());
  page->set_calls(1, std::chrono::steady_clock::now());
  CHECK(page->report().is_busy);
  page->set_calls(0, std::nullopt);
  CHECK_FALSE(page->report().is_busy);
  CHECK(page->report().calls == 0);
}

TEST_CASE("a worker cannot take the page away from under the supervisor", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  CHECK(::ftruncate(file->get(), 0) != 0);
  CHECK(errno == EPERM);
}

TEST_CASE("a page of another version is refused", "[control]") {
  auto file = make_status_page();
  REQUIRE(file.has_value());
  const std::uint32_t other = status_page_version + 1;
  REQUIRE(::pwrite(file->get(), &other, sizeof other, 0) == sizeof other);
  CHECK_FALSE(StatusPage::map(file->get()).has_value());
}
