// Stories of the operator's commands: status, recycle, stop, through the control socket.
#include "tests/process/story.h"

#include <sys/stat.h>
#include <boost/json/value.hpp>

namespace stint::test {
namespace {

TEST_CASE("status tells the workers, their state and what they have answered", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  HttpClient client(server.address());
  for (int i = 0; i < 10; ++i) CHECK(client.get("/").status == 200);

  const auto answered = [&] {
    std::uint64_t sum = 0;
    const boost::json::object status = server.status();
    for (const auto& worker : status.at("pool").at("workers").as_array())
      sum += worker.at("requests").to_number<std::uint64_t>();
    return sum;
  };
  CHECK(eventually([&] { return answered() == 10; }));
  const auto rows = server.workers();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].slot + rows[1].slot == 3);
  for (const auto& row : rows) CHECK(is_running(row.pid));

  const boost::json::object status = server.status();
  CHECK(status.at("pid").to_number<pid_t>() == server.pid());
  CHECK(status.at("state").as_string() == "serving");
  CHECK(status.at("listen").as_array().at(0).as_string() == server.address());
  CHECK(status.at("pool").at("count").to_number<unsigned>() == 2);
  CHECK(status.at("supervisor").at("rss_bytes").to_number<std::uint64_t>() > 0);

  const CommandResult for_people = server.command({"status"});
  CHECK(for_people.exit_code == 0);
  CHECK(for_people.output.find(std::to_string(rows[0].pid)) != std::string::npos);
  CHECK(for_people.output.find("ready") != std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("the control socket is for its owner alone", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  struct stat file{};
  REQUIRE(stat(server.control_socket().c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
  server.expect_clean_exit();
}

TEST_CASE("recycle SLOT replaces that worker and no other", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const auto pid_of = [&](unsigned slot) {
    for (const auto& row : server.workers()) {
      if (row.slot == slot && row.state == "ready") return row.pid;
    }
    return pid_t(0);
  };
  const pid_t first = pid_of(1), second = pid_of(2);

  CHECK(server.command({"recycle", "2"}).exit_code == 0);
  CHECK(eventually([&] { return pid_of(2) != second && pid_of(2) != 0 && !is_running(second); }));
  CHECK(pid_of(1) == first);
  CHECK(server.command({"recycle", "7"}).exit_code == 1);
  server.expect_clean_exit();
}

TEST_CASE("recycle without a slot replaces all of them", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const auto before = server.ready_workers();

  CHECK(server.command({"recycle"}).exit_code == 0);
  CHECK(eventually([&] { return !is_running(before[0]) && !is_running(before[1]); }));
  CHECK(server.wait_for_ready_workers(2));
  server.expect_clean_exit();
}

TEST_CASE("stop ends the server, and then there is nothing to command", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();

  CHECK(server.command({"stop"}).exit_code == 0);
  CHECK(server.wait_for_exit(patience) == 0);
  server.expect_clean_exit();

  const CommandResult after = server.command({"status"});
  CHECK(after.exit_code == 1);
  CHECK(after.error.find(server.control_socket()) != std::string::npos);
}

}  // namespace
}  // namespace stint::test
