// Each file of requests/invalid against the real binary, in each way its bytes can come: all that README.md says of a
// refused request as one check. The parser alone has the same files in tests/unit/http.
#include "tests/conformance/echo_server.h"
#include "tests/conformance/request_cases.h"

#include <algorithm>
#include <deque>

namespace stint::test {
namespace {

// Read as a request it would be called, and answered.
constexpr std::string_view behind = "GET /never HTTP/1.1\r\nHost: a.example\r\n\r\n";

// Every reason of `cases` has its own counter.
std::map<std::string, std::uint64_t> counted(const std::vector<InvalidCase>& cases, std::uint64_t times) {
  std::map<std::string, std::uint64_t> counts;
  for (const InvalidCase& one : cases) counts[one.reason] += times;
  return counts;
}

void expect_each_refused(Way way) {
  EchoServer server;
  const auto cases = invalid_cases();
  REQUIRE(cases.size() > 290);
  const pid_t worker = server.worker();
  for (const std::string& address : server.addresses()) {
    INFO(text_of(way) << ", " << address);
    for (const InvalidCase& one : cases) {
      INFO(one.name);
      const std::uint64_t calls_before = server.calls();
      HttpClient client = send(address, way, one.bytes, behind);
      expect_refusal(client, one.status);
      CHECK(server.calls() == calls_before + requests_before(way));
    }
  }
  CHECK(server.refused() == counted(cases, server.addresses().size()));
  CHECK(server.worker() == worker);
  server.expect_clean_exit();
}

TEST_CASE("each refused request in one segment: one answer, no call, nothing behind it read", "[conformance]") {
  expect_each_refused(Way::in_one_segment);
}

TEST_CASE("each refused request byte by byte", "[conformance]") {
  EchoServer server;
  const pid_t worker = server.worker();
  for (const std::string& address : server.addresses()) {
    for (const std::vector<InvalidCase>& group : in_groups(invalid_cases())) {
      std::vector<std::string_view> requests;
      for (const InvalidCase& one : group) requests.push_back(one.bytes);
      std::deque<HttpClient> clients = send_byte_by_byte(address, requests, behind);
      for (std::size_t i = 0; i < group.size(); ++i) {
        INFO(group[i].name << ", byte by byte, " << address);
        expect_refusal(clients[i], group[i].status);
      }
    }
  }
  CHECK(server.calls() == 0);
  CHECK(server.refused() == counted(invalid_cases(), server.addresses().size()));
  CHECK(server.worker() == worker);
  server.expect_clean_exit();
}

TEST_CASE("each refused request pipelined behind a good one, whose answer is whole", "[conformance]") {
  expect_each_refused(Way::behind_a_pipelined_one);
}

TEST_CASE("each refused request on a reused connection", "[conformance]") {
  expect_each_refused(Way::on_a_reused_connection);
}

// Half of the bytes come before the order to retire, the rest while it is carried out: to the old worker or to the
// next.
TEST_CASE("each refused request while its worker retires", "[conformance]") {
  EchoServer server;
  for (const std::vector<InvalidCase>& group : in_groups(invalid_cases())) {
    const pid_t worker = server.worker();
    const std::uint64_t calls_before = server.calls();
    std::deque<HttpClient> clients;
    for (const InvalidCase& one : group) {
      HttpClient& client = clients.emplace_back(server.addresses()[clients.size() % 2]);
      client.send(good_request);
      expect_good_answer(client);
      client.send(std::string_view(one.bytes).substr(0, one.bytes.size() / 2));
    }
    server.recycle();
    for (std::size_t i = 0; i < group.size(); ++i) {
      INFO(group[i].name);
      clients[i].send(group[i].bytes.substr(group[i].bytes.size() / 2).append(behind));
      expect_refusal(clients[i], group[i].status);
    }
    CHECK(server.calls() == calls_before + group.size());
    REQUIRE(eventually([&] { return !is_running(worker); }));
  }
  CHECK(server.refused() == counted(invalid_cases(), 1));
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
