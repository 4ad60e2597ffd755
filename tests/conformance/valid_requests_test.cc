// Each file of requests/valid against the real binary: whatever way its bytes come, the application sees exactly what
// NAME.expected says, and what follows is the next request.
#include "tests/conformance/echo_server.h"
#include "tests/conformance/request_cases.h"

#include <algorithm>
#include <deque>

namespace stint::test {
namespace {

// The final answer; interim ones before it are counted.
HttpResponse receive_final(HttpClient& client, const std::string& method, unsigned& interims) {
  for (;; ++interims) {
    HttpResponse response = client.receive(method);
    if (response.status >= 200) return response;
    CHECK(response.status == 100);
    CHECK(response.fields.empty());
  }
}

// The answer to `one`, and then what becomes of a good request behind it.
void expect_understood(HttpClient& client, const ValidCase& one) {
  unsigned interims = 0;
  const HttpResponse response = receive_final(client, one.method, interims);
  CHECK(interims <= (one.expects_continue ? 1U : 0U));  // none when the body was there already
  CHECK(response.status == 200);
  CHECK(response.announces_close() == !one.wants_keep_alive);
  const std::string& answer = one.is_about_the_server ? "200 OK\n" : one.answer;
  CHECK(response.field("Content-Length") == std::to_string(answer.size()));
  if (one.method != "HEAD") CHECK(response.body == answer);
  if (one.wants_keep_alive) {
    expect_good_answer(client);
  } else {
    REQUIRE(client.receive_until_close() == "");
  }
}

unsigned calls_of(const ValidCase& one) {
  return (one.is_about_the_server ? 0 : 1) + (one.wants_keep_alive ? 1 : 0);  // the one behind
}

void expect_each_understood(Way way) {
  const std::string callable = GENERATE("application", "validated");
  EchoServer server(callable);
  const auto cases = valid_cases();
  REQUIRE(cases.size() > 80);
  const pid_t worker = server.worker();
  for (const std::string& address : server.addresses()) {
    for (const ValidCase& one : cases) {
      INFO(one.name << ", " << text_of(way) << ", " << address << ", " << callable);
      const std::uint64_t calls_before = server.calls();
      HttpClient client = send(address, way, one.bytes, good_request);
      expect_understood(client, one);
      CHECK(server.calls() == calls_before + requests_before(way) + calls_of(one));
    }
  }
  CHECK(server.refused().empty());
  CHECK(server.worker() == worker);
  server.expect_clean_exit();
}

TEST_CASE("each valid request in one segment is what the application sees", "[conformance]") {
  expect_each_understood(Way::in_one_segment);
}

TEST_CASE("each valid request byte by byte", "[conformance]") {
  const std::string callable = GENERATE("application", "validated");
  EchoServer server(callable);
  const pid_t worker = server.worker();
  for (const std::string& address : server.addresses()) {
    for (const std::vector<ValidCase>& group : in_groups(valid_cases())) {
      const std::uint64_t calls_before = server.calls();
      std::vector<std::string_view> requests;
      unsigned calls = 0;
      for (const ValidCase& one : group) {
        requests.push_back(one.bytes);
        calls += calls_of(one);
      }
      std::deque<HttpClient> clients = send_byte_by_byte(address, requests, good_request);
      for (std::size_t i = 0; i < group.size(); ++i) {
        INFO(group[i].name << ", byte by byte, " << address << ", " << callable);
        expect_understood(clients[i], group[i]);
      }
      CHECK(server.calls() == calls_before + calls);
    }
  }
  CHECK(server.refused().empty());
  CHECK(server.worker() == worker);
  server.expect_clean_exit();
}

TEST_CASE("each valid request pipelined behind a good one", "[conformance]") {
  expect_each_understood(Way::behind_a_pipelined_one);
}

TEST_CASE("each valid request on a reused connection", "[conformance]") {
  expect_each_understood(Way::on_a_reused_connection);
}

TEST_CASE("each valid request while its worker retires", "[conformance]") {
  EchoServer server("validated");
  for (const std::vector<ValidCase>& group : in_groups(valid_cases())) {
    const pid_t worker = server.worker();
    std::deque<HttpClient> clients;
    for (const ValidCase& one : group) {
      HttpClient& client = clients.emplace_back(server.addresses()[clients.size() % 2]);
      client.send(good_request);
      expect_good_answer(client);
      client.send(std::string_view(one.bytes).substr(0, one.bytes.size() / 2));
    }
    server.recycle();
    for (std::size_t i = 0; i < group.size(); ++i) {
      INFO(group[i].name);
      clients[i].send(group[i].bytes.substr(group[i].bytes.size() / 2).append(good_request));
      expect_understood(clients[i], group[i]);
    }
    REQUIRE(eventually([&] { return !is_running(worker); }));
  }
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
