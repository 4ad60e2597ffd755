// The crew under load, with a random pause at every point where the lease changes hands. A binary of its own: it has
// loop_lease.cc compiled with those pauses in it.
#include "tests/unit/worker/worker_bench.h"

#include <atomic>
#include <random>
#include <thread>

using namespace stint;
using namespace stint::test;

namespace {

std::atomic<std::uint64_t> passed{0};

std::minstd_rand& random_numbers() {
  thread_local std::minstd_rand numbers(
      static_cast<unsigned>(std::hash<std::thread::id>()(std::this_thread::get_id())) + 1);
  return numbers;
}

unsigned any_below(unsigned end) { return static_cast<unsigned>(random_numbers()()) % end; }

void pause_for(unsigned microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

}  // namespace

void stress_point() {
  ++passed;
  const unsigned chance = any_below(100);
  if (chance < 20) std::this_thread::yield();
  if (chance < 5) pause_for(any_below(1500));  // also longer than a call may last
}

namespace {

// Sends its requests one after the other, or several at once, reads its answers slowly or not, and knows each of them.
class Customer {
 public:
  Customer(Client client, unsigned number, unsigned requests)
      : client_(std::move(client)), number_(number), left_(requests) {}

  // Whatever it can do now. True: it has all its answers.
  bool go_on() {
    if (any_below(4) != 0) client_.receive();
    must(!client_.is_closed);
    while (const std::size_t length = answer_length()) {
      must(client_.received.substr(0, length).find(expected_[answered_]) != std::string::npos);
      client_.received.erase(0, length);
      ++answered_;
    }
    if (answered_ == expected_.size() && left_ > 0) send();
    return answered_ == expected_.size() && left_ == 0;
  }

 private:
  void send() {
    std::string bytes;
    for (unsigned run = 1 + any_below(3); run > 0 && left_ > 0; --run, --left_) {
      const unsigned kind = any_below(12);
      const std::string id = std::to_string(number_) + "." + std::to_string(expected_.size());
      bytes += "GET /" + std::to_string(kind) + "?" + id + " HTTP/1.1\r\nHost: h\r\n\r\n";
      expected_.push_back("<" + id + ">");
    }
    client_.send(bytes);
  }

  // Of the first answer, when all of it is there: they are chunked, or have no other length than the body's.
  std::size_t answer_length() const {
    const std::string& bytes = client_.received;
    const std::size_t head = bytes.find("\r\n\r\n");
    if (head == std::string::npos) return 0;
    const std::size_t at = bytes.find("Content-Length: ");
    if (at == std::string::npos || at > head) {
      const std::size_t end = bytes.find("\r\n0\r\n\r\n", head);
      return end == std::string::npos ? 0 : end + 7;
    }
    const std::size_t length = head + 4 + std::stoul(bytes.substr(at + 16));
    return length <= bytes.size() ? length : 0;
  }

  Client client_;
  const unsigned number_;
  unsigned left_;
  std::size_t answered_ = 0;
  std::vector<std::string> expected_;
};

}  // namespace

TEST_CASE("every request is answered once and rightly, however the lease changes hands (issue 7)", "[worker]") {
  Settings settings = bench_settings();
  settings.app.workers.threads = GENERATE(1u, 3u);
  // Longer than a machine stalls that stresses much else.
  settings.http.head_timeout = settings.http.body_timeout = settings.http.idle_timeout = settings.http.write_timeout =
      std::chrono::seconds(100);
  const int threads = static_cast<int>(settings.app.workers.threads);
  CAPTURE(threads);
  WorkerBench bench(settings);
  std::atomic<unsigned> calls{0};
  std::atomic<int> inside{0};
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    ++calls;
    must(++inside <= threads);
    const unsigned kind = static_cast<unsigned>(std::stoul(std::string(request.path.substr(1))));
    const std::string mark = "<" + std::string(request.query) + ">";
    if (kind < 3) pause_for(any_below(4000));
    if (kind < 8) {
      FakeApplication::say(sink, mark);
    } else {
      // More than a socket takes at once: the call waits for its client.
      const std::string part(kind < 10 ? 300 : 300'000, 'x');
      must(sink.set_head("200 OK", {}).has_value());
      for (unsigned i = 0; i < 5; ++i) {
        sink.write({.bytes = i == 0 ? std::string_view(mark) : std::string_view(part)});
        must(sink.flush().has_value());
        if (any_below(3) == 0) pause_for(any_below(1500));
      }
    }
    --inside;
    return std::optional<ApplicationFailure>();
  };

  constexpr unsigned customers = 8, requests = 25;
  std::vector<Customer> all;
  for (unsigned i = 0; i < customers; ++i) all.emplace_back(bench.connect(), i, requests);
  bench.run_until(
      [&] {
        bool are_done = true;
        for (Customer& customer : all) are_done = customer.go_on() && are_done;
        return are_done;
      },
      std::chrono::seconds(100));
  CHECK(calls == customers * requests);
  CHECK(bench.page.report().counts.requests == customers * requests);
  CHECK_FALSE(bench.page.report().is_busy);
  CHECK(passed > 500);
}
