#include "server/worker/even_load.h"

#include "tests/support/catch.h"

#include <numeric>

using namespace stint::worker;
using Catch::Matchers::WithinAbs;
using stint::control::WorkLoad;

namespace {

struct Client {
  std::size_t worker;
  std::uint32_t requests;  // in a period, wherever it is
};

// Periods of a pool in which a request costs the same everywhere; what one gives goes to those that take.
class Pool {
 public:
  Pool(std::size_t workers, std::vector<Client> of) : clients(std::move(of)), workers_(workers) {}

  // How many connections have moved.
  std::size_t period() {
    std::size_t moved = 0;
    const std::vector<WorkLoad> before = loads();
    const WorkLoad all = pool(before);
    std::vector<std::size_t> room;
    for (const WorkLoad& load : before) room.push_back(connections_to_take(load, all));
    for (std::size_t worker = 0; worker < workers_; ++worker) {
      for (Client* client : given(worker, share_to_give(before[worker], all))) {
        for (std::size_t i = 0; i < workers_; ++i) {
          if (room[i] == 0) continue;
          --room[i];
          client->worker = i;
          ++moved;
          break;
        }
      }
    }
    return moved;
  }

  std::vector<std::uint32_t> requests() const {
    std::vector<std::uint32_t> by_worker(workers_);
    for (const Client& client : clients) by_worker[client.worker] += client.requests;
    return by_worker;
  }

  std::vector<Client> clients;

 private:
  std::vector<WorkLoad> loads() const {
    std::vector<WorkLoad> loads(workers_, WorkLoad{1, 0, 0});
    for (const Client& client : clients) {
      loads[client.worker].busy += client.requests / 1000.0;
      ++loads[client.worker].connections;
    }
    return loads;
  }
  static WorkLoad pool(const std::vector<WorkLoad>& loads) {
    WorkLoad all;
    for (const WorkLoad& load : loads) {
      all.workers += load.workers;
      all.busy += load.busy;
      all.connections += load.connections;
    }
    return all;
  }
  std::vector<Client*> given(std::size_t worker, double share) {
    std::vector<Client*> own, chosen;
    std::vector<std::uint32_t> requests;
    for (Client& client : clients) {
      if (client.worker != worker) continue;
      own.push_back(&client);
      requests.push_back(client.requests);
    }
    const auto all = std::accumulate(requests.begin(), requests.end(), std::uint64_t{0});
    for (const std::size_t i : connections_to_give(requests, all, share)) chosen.push_back(own[i]);
    return chosen;
  }

  const std::size_t workers_;
};

}  // namespace

TEST_CASE("a worker gives away what it is busier than all are on average", "[worker]") {
  const auto share = [](double own, WorkLoad pool) { return share_to_give({1, own, 10}, pool); };
  CHECK_THAT(share(0.8, {2, 0.8, 10}), WithinAbs(0.5, 1e-9));
  CHECK_THAT(share(1.0, {4, 1.6, 64}), WithinAbs(0.6, 1e-9));
  CHECK(share(0.2, {2, 0.8, 10}) == 0);    // it is the less busy one
  CHECK(share(0.42, {2, 0.8, 20}) == 0);   // that is no difference
  CHECK(share(0.03, {2, 0.03, 10}) == 0);  // no load to speak of
  CHECK(share(1.0, {1, 1.0, 10}) == 0);    // alone
}

TEST_CASE("the fewest connections that make the share are given, never more load than that", "[worker]") {
  using Chosen = std::vector<std::size_t>;
  const auto chosen = [](std::vector<std::uint32_t> requests, double share) {
    return connections_to_give(requests, std::accumulate(requests.begin(), requests.end(), std::uint64_t{0}), share);
  };
  CHECK(chosen({10, 10, 10, 10}, 0.5).size() == 2);
  CHECK(chosen({10, 10, 10, 10}, 0.2).empty());
  CHECK(chosen({5, 40, 5, 50}, 0.5) == Chosen{3});
  CHECK(chosen({90, 5, 5}, 0.5) == Chosen{1, 2});  // the first one would only move the load
  CHECK(chosen({100}, 0.5).empty());
  CHECK(chosen({0, 0, 10, 10}, 0.5).size() == 1);                                   // one that asks for nothing stays
  CHECK(connections_to_give(std::vector<std::uint32_t>{10}, 40, 0.5).size() == 1);  // others are in calls
  CHECK(chosen(std::vector<std::uint32_t>(1000, 1), 0.5).size() == 64);             // the rest later
}

TEST_CASE("a worker takes as many connections as make it as busy as all", "[worker]") {
  CHECK(connections_to_take({1, 0.11, 4}, {4, 1.6, 64}) == 12);
  CHECK(connections_to_take({1, 0.4, 16}, {4, 1.6, 64}) == 0);
  CHECK(connections_to_take({1, 0.9, 50}, {4, 1.6, 64}) == 0);
  CHECK(connections_to_take({1, 0.0, 0}, {4, 0.04, 64}) == any_number);
  CHECK(connections_to_take({1, 0.9, 50}, {1, 0.9, 50}) == any_number);
}

TEST_CASE("64 connections of one worker are even in a few periods and then stay where they are", "[worker]") {
  const std::size_t workers = GENERATE(2U, 3U, 4U, 8U);
  CAPTURE(workers);
  Pool pool(workers, std::vector<Client>(64, Client{0, 15}));
  for (int i = 0; i < 3; ++i) pool.period();
  const std::vector<std::uint32_t> requests = pool.requests();
  CHECK(*std::max_element(requests.begin(), requests.end()) <=
        1.2 * *std::min_element(requests.begin(), requests.end()));
  for (int i = 0; i < 5; ++i) CHECK(pool.period() == 0);
}

TEST_CASE("a connection that makes most of the load does not go round", "[worker]") {
  Pool pool(2, {{0, 500}, {0, 40}, {0, 40}, {0, 40}});
  for (int i = 0; i < 3; ++i) pool.period();
  CHECK(pool.requests() == std::vector<std::uint32_t>{500, 120});
  for (int i = 0; i < 5; ++i) CHECK(pool.period() == 0);
}
