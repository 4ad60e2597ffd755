// The judge judged: what the strict client counts when a server misbehaves in each way it can.
#include "tests/process/story.h"
#include "tests/support/answer_reader.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <thread>

namespace stint::test {
namespace {

// Answers each request with `answer`, but the third one of a connection with `third` and the end of the connection.
class MisbehavingServer {
 public:
  MisbehavingServer(std::string answer, std::string third, bool resets)
      : answer_(std::move(answer)), third_(std::move(third)), resets_(resets) {
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener_.get(), 64) == 0);
    REQUIRE(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~MisbehavingServer() {
    shutdown(listener_.get(), SHUT_RDWR);  // wakes accept(2)
    thread_.join();
  }
  const std::string& address() const { return address_; }

 private:
  void serve() {
    for (;;) {
      UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.is_open()) return;
      char buffer[4096];
      for (int i = 1; recv(client.get(), buffer, sizeof buffer, 0) > 0; ++i) {
        const std::string& bytes = i == 3 ? third_ : answer_;
        if (!bytes.empty()) send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (i < 3) continue;
        const linger at_once{1, 0};
        if (resets_) setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        break;
      }
    }
  }

  std::string answer_, third_, address_;
  bool resets_;
  UniqueFd listener_;
  std::thread thread_;
};

LoadReport load_on(const MisbehavingServer& server) {
  Load load;
  load.address = server.address();
  load.connections = 1;
  load.requests = 9;
  return run_load(load);
}

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_CASE("the strict client accepts an announced close and opens a new connection", "[process]") {
  const LoadReport report =
      load_on(MisbehavingServer(good, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false));
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.answers == 9);
  CHECK(report.announced_closes == 3);
  CHECK(report.connections_opened == 3);
}

TEST_CASE("the strict client counts every other end of a connection", "[process]") {
  const LoadReport closed = load_on(MisbehavingServer(good, "", false));
  CHECK(closed.early_closes == 3);
  CHECK(closed.answers == 6);
  const LoadReport cut = load_on(MisbehavingServer(good, good.substr(0, good.size() - 1), false));
  CHECK(cut.truncated == 3);
  const LoadReport reset = load_on(MisbehavingServer(good, "", true));
  CHECK(reset.resets == 3);
  const LoadReport unannounced = load_on(MisbehavingServer(good, good, false));
  CHECK(unannounced.idle_closes + unannounced.resets + unannounced.early_closes == 2);  // the third: after the end
  const LoadReport failed =
      load_on(MisbehavingServer(good, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false));
  CHECK(failed.wrong_status == 3);
  const LoadReport nonsense = load_on(MisbehavingServer(good, "nonsense\r\n\r\n", false));
  CHECK(nonsense.malformed == 3);
}

TEST_CASE("the strict client tells which version answered", "[process]") {
  const MisbehavingServer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Version: 7\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Version: 8\r\nConnection: close\r\n\r\n",
                                 false);
  const auto before = std::chrono::steady_clock::now();
  const LoadReport report = load_on(server);
  INFO(report.text());
  CHECK(report.failures() == 0);
  REQUIRE(report.answers_by_version.size() == 2);
  const VersionReport &old = report.answers_by_version.at("7"), &other = report.answers_by_version.at("8");
  CHECK(old.answers == 2 * other.answers);
  CHECK(before <= old.first_answer);
  CHECK(old.first_answer <= other.first_answer);
  CHECK(old.first_answer <= old.last_request);  // of the second connection at the latest
}

TEST_CASE("answers end where their head says", "[process]") {
  const auto read = [](std::string_view input, bool has_ended = false) {
    std::string joined;
    ReadAnswer answer;
    const Reading reading = read_answer(input, has_ended, joined, answer);
    return reading == Reading::complete ? std::to_string(answer.status) + " " + std::string(answer.body) + " " +
                                              std::to_string(input.size() - answer.size)
           : reading == Reading::incomplete ? std::string("incomplete")
                                            : std::string("malformed");
  };
  CHECK(read(good + "next") == "200 ok 4");
  CHECK(read(good.substr(0, good.size() - 1)) == "incomplete");
  CHECK(read("HTTP/1.1 204 No Content\r\nX: y\r\n\r\nHTTP") == "204  4");
  CHECK(read("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + good) == "200 ok 0");
  CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\nnext") == "200 ok 4");
  CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n") == "incomplete");
  CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nokk") == "malformed");
  CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n") == "malformed");
  CHECK(read("HTTP/1.1 200 OK\r\nX: y\r\n\r\nok") == "incomplete");
  CHECK(read("HTTP/1.1 200 OK\r\nX: y\r\n\r\nok", true) == "200 ok 0");
  CHECK(read("nonsense\r\n\r\n") == "malformed");
}

}  // namespace
}  // namespace stint::test
