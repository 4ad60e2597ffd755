#include "tests/conformance/echo_server.h"

#include "tests/conformance/request_cases.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

namespace stint::test {
namespace {

ServerOptions options_of(const std::string& callable, const std::string& calls_file) {
  ServerOptions options;
  options.module = "echo:" + callable;
  options.directory = STINT_SOURCE_DIR "/tests/conformance/apps";
  options.listen = {"127.0.0.1:0", "unix:echo.sock"};
  options.set = limits_of_the_cases();
  options.set.emplace_back("log.level", "\"debug\"");
  for (const char* key : {"http.head_timeout", "http.body_timeout", "http.idle_timeout"}) {
    options.set.emplace_back(key, "\"300s\"");  // byte by byte takes its time beside other tests
  }
  options.set.emplace_back("app.env", "{ CALLS = \"" + calls_file + "\" }");
  return options;
}

}  // namespace

EchoServer::EchoServer(const std::string& callable) : EchoServer(callable, std::make_unique<TemporaryFolder>()) {}

EchoServer::EchoServer(const std::string& callable, std::unique_ptr<TemporaryFolder> folder)
    : calls_file_(folder->file("calls")), server_(options_of(callable, calls_file_), std::move(folder)) {
  server_.wait_until_ready();
  addresses_ = {server_.address(0), server_.address(1)};
}

std::uint64_t EchoServer::calls() const { return std::filesystem::file_size(calls_file_); }

std::map<std::string, std::uint64_t> EchoServer::refused() const {
  std::map<std::string, std::uint64_t> counts;
  const boost::json::object status = server_.status();
  for (const auto& [reason, count] : status.at("pool").at("totals").at("refused").as_object()) {
    counts[std::string(reason)] = count.to_number<std::uint64_t>();
  }
  return counts;
}

void EchoServer::expect_clean_exit() {
  server_.expect_clean_exit();
  for (const std::string& text : {server_.log(), server_.output()}) {
    const auto at = std::find_if(text.begin(), text.end(), [](char c) { return c != '\n' && (c < ' ' || c > '~'); });
    CHECK(text.substr(std::min<std::size_t>(at - text.begin(), text.size())).substr(0, 200) == "");
  }
}

void EchoServer::recycle() const {
  const CommandResult result = server_.command({"recycle"});
  INFO(result.error);
  REQUIRE(result.exit_code == 0);
}

const char* text_of(Way way) {
  switch (way) {
    case Way::in_one_segment:
      return "in one segment";
    case Way::behind_a_pipelined_one:
      return "pipelined behind a good one";
    case Way::on_a_reused_connection:
      return "on a reused connection";
  }
  return "";
}

unsigned requests_before(Way way) {
  return way == Way::behind_a_pipelined_one || way == Way::on_a_reused_connection ? 1 : 0;
}

HttpClient send(const std::string& address, Way way, std::string_view bytes, std::string_view behind) {
  HttpClient client(address);
  std::string all;
  switch (way) {
    case Way::in_one_segment:
      client.send(all.append(bytes).append(behind));
      break;
    case Way::behind_a_pipelined_one:
      client.send(all.append(good_request).append(bytes).append(behind));
      expect_good_answer(client);
      break;
    case Way::on_a_reused_connection:
      client.send(good_request);
      expect_good_answer(client);
      client.send(all.append(bytes).append(behind));
      break;
  }
  return client;
}

std::deque<HttpClient> send_byte_by_byte(const std::string& address, const std::vector<std::string_view>& requests,
                                         std::string_view behind) {
  const bool is_told = address.starts_with("unix:");
  struct Sending {
    HttpClient& client;
    std::string_view left;
    std::size_t piece;
    bool is_done = false;
  };
  std::deque<HttpClient> clients;
  std::vector<Sending> all;
  for (const std::string_view request : requests) {
    all.push_back({clients.emplace_back(address), request, request.size() / 1000 + 1});
  }
  const auto goes_on = [](const Sending& one) { return !one.is_done; };
  while (std::any_of(all.begin(), all.end(), goes_on)) {
    for (Sending& one : all) {
      if (one.is_done) continue;
      // A refused client may read, not send for ever: what is left when the answer is there goes at once.
      one.is_done = one.left.size() == 0 || one.client.is_readable_within(0ms);
      if (one.is_done) {
        try {
          one.client.send(std::string(one.left).append(behind));
        } catch (const std::system_error&) {
          // Refused, and the two seconds that the server listens on were not enough for a machine this slow.
        }
      } else {
        one.client.send(one.left.substr(0, one.piece));
        one.left.remove_prefix(std::min(one.piece, one.left.size()));
      }
    }
    for (Sending& one : all) {
      if (is_told && !one.is_done) REQUIRE(one.client.is_all_taken_within(patience));
    }
  }
  return clients;
}

void expect_good_answer(HttpClient& client) {
  const HttpResponse response = client.receive();
  CHECK(response.status == 200);
  CHECK(response.body == good_body);
  CHECK_FALSE(response.announces_close());
}

void expect_refusal(HttpClient& client, int status) {
  const HttpResponse response = client.receive();
  CHECK(response.status == status);
  CHECK(response.announces_close());
  if (response.status < 400) return;  // served instead: there is no end to wait for
  // Nothing that could be the client's own words.
  CHECK(response.body == std::to_string(response.status) + " " + response.reason + "\n");
  std::set<std::string> names;
  for (const auto& [name, value] : response.fields) names.insert(name);
  CHECK(names.size() == response.fields.size());
  if (status == 405) CHECK(names.erase("Allow") == 1);
  CHECK(names == std::set<std::string>{"Connection", "Content-Length", "Content-Type", "Date", "Server"});
  CHECK(response.field("Content-Type") == "text/plain; charset=utf-8");
  CHECK(response.field("Server") == "stint");
  REQUIRE(client.receive_until_close() == "");  // a reset throws; hundreds of requests may come after this one
}

}  // namespace stint::test
