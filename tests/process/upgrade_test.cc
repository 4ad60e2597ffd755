// Stories of upgrades: another program takes the supervisor's place in its process, or nothing changes.
#include "tests/process/deployed_site.h"

#include <boost/json/value.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace stint::test {
namespace {

using Catch::Matchers::ContainsSubstring;
namespace files = std::filesystem;

// Stint as a package has it: a folder with the program and its modules for Python.
class Installation {
 public:
  explicit Installation(const TemporaryFolder& folder) : program_(folder.file("bin/stint")) {
    folder.write("bin/.keep", "");
    for (const auto& file : files::directory_iterator(files::path(stint_binary()).parent_path()))
      if (file.path().filename().string().starts_with("stint-embed")) files::copy(file, folder.file("bin"));
    install();
  }
  const std::string& program() const { return program_; }

  // As a package manager does it: the new file under another name, then in the old one's place.
  void install() const {
    files::copy_file(stint_binary(), program_ + ".new", files::copy_options::overwrite_existing);
    files::rename(program_ + ".new", program_);
  }
  void install_script(const std::string& text) const {
    std::ofstream(program_ + ".new") << "#!/bin/bash\n" << text << "\n";
    files::permissions(program_ + ".new", files::perms::owner_all);
    files::rename(program_ + ".new", program_);
  }
  bool is_run_by(pid_t pid) const {
    std::error_code gone;
    return files::equivalent("/proc/" + std::to_string(pid) + "/exe", program_, gone);
  }

 private:
  const std::string program_;
};

struct UpgradableSite {
  UpgradableSite() : UpgradableSite(std::make_unique<TemporaryFolder>()) {}
  explicit UpgradableSite(std::unique_ptr<TemporaryFolder> folder)
      : installation(*folder),
        listen("listen = [\"127.0.0.1:0\", \"unix:" + folder->file("s.sock") + "\"]\n"),
        site(2, listen, {}, options(), std::move(folder)) {}

  CommandResult upgrade() const { return site.server->command({"upgrade", "--wait"}); }
  std::vector<pid_t> workers() const { return site.server->ready_workers(); }

  ServerOptions options() const {
    ServerOptions options;
    options.program = installation.program();
    return options;
  }

  const Installation installation;
  const std::string listen;
  Site site;
};

TEST_CASE("an upgrade goes on with the new program, and no client notices", "[process][upgrade]") {
  UpgradableSite upgradable;
  Site& site = upgradable.site;
  ServerProcess& server = *site.server;
  ClientsOfThreeKinds clients(server.address());

  HttpClient client(server.address());
  std::size_t descriptors = 0;
  std::int64_t requests = 0;
  for (int version = 2; version <= 5; ++version) {
    const auto before = upgradable.workers();
    site.deploy(code(version));
    upgradable.installation.install();
    CHECK_FALSE(upgradable.installation.is_run_by(server.pid()));
    const CommandResult upgraded = upgradable.upgrade();
    INFO(upgraded.error << upgraded.output << server.log());
    REQUIRE(upgraded.exit_code == 0);
    CHECK_THAT(upgraded.output, ContainsSubstring("upgraded from version"));
    CHECK_THAT(upgraded.output, ContainsSubstring("generation " + std::to_string(version) + " serves: started 2"));

    CHECK(upgradable.installation.is_run_by(server.pid()));
    for (const pid_t worker : upgradable.workers()) {
      CHECK(std::count(before.begin(), before.end(), worker) == 0);
      CHECK(upgradable.installation.is_run_by(worker));
    }
    for (int i = 0; i < 20; ++i) {
      CHECK(client.get("/").body == std::to_string(version));
      CHECK(site.version() == std::to_string(version));
    }
    CHECK(fetch(server.address(1), "/").body == std::to_string(version));

    const auto status = server.status();
    const auto counted = status.at("pool").at("totals").at("requests").to_number<std::int64_t>();
    CHECK(counted > requests);
    requests = counted;
    CHECK(eventually([&] { return server.workers().size() == 2; }));
    if (version == 3) descriptors = descriptors_of(server.pid());
    if (version > 3) CHECK(eventually([&] { return descriptors_of(server.pid()) <= descriptors; }));
  }
  clients.expect_nothing_noticed();
  server.expect_clean_exit();
}

TEST_CASE("a program that cannot take over leaves the old one serving", "[process][upgrade]") {
  UpgradableSite upgradable;
  ServerProcess& server = *upgradable.site.server;
  const Installation& installation = upgradable.installation;
  const std::string former = server.folder().file("former");
  files::create_hard_link(installation.program(), former);
  const auto before = upgradable.workers();

  const auto expect_refusal = [&](const std::string& what, const std::string& error) {
    INFO(what);
    const CommandResult upgraded = upgradable.upgrade();
    INFO(upgraded.error << upgraded.output);
    CHECK(upgraded.exit_code == 1);
    CHECK_THAT(upgraded.error, ContainsSubstring("upgrade failed: rehearsal: "));
    CHECK_THAT(upgraded.error, ContainsSubstring(error));
    CHECK_THAT(upgraded.error, ContainsSubstring(" goes on"));
    CHECK(files::equivalent("/proc/" + std::to_string(server.pid()) + "/exe", former));
    CHECK(upgradable.workers() == before);
    CHECK(upgradable.site.version() == "1");
  };
  installation.install_script("echo 'libnew.so: cannot open shared object file' >&2; exit 127");
  expect_refusal("a library is missing", "exited with code 127: libnew.so: cannot open shared object file");
  installation.install_script("exit 0");
  expect_refusal("another program", "is no Stint that can take over");
  installation.install_script("exec " + former + " --version");
  expect_refusal("one that says something else", "it said stint ");
  installation.install_script("kill -11 $$");
  expect_refusal("a crash", "was ended by SIGSEGV");
  installation.install_script("yes | head -c 1000000");
  expect_refusal("one that talks", "");
  files::permissions(installation.program(), files::perms::owner_read);
  expect_refusal("no program", "Permission denied");
  files::remove(installation.program());
  expect_refusal("nothing there", "No such file or directory");

  installation.install();
  server.folder().write("stint.toml", "[app]\nmodule = \"site_app:application\"\nlitsen = [\"127.0.0.1:0\"]\n");
  expect_refusal("settings that the new program does not take", "unknown key");

  upgradable.site.write_settings(2, upgradable.listen);
  CHECK(upgradable.upgrade().exit_code == 0);
  CHECK(installation.is_run_by(server.pid()));
  CHECK(upgradable.workers() != before);
  server.expect_clean_exit();
}

TEST_CASE("a program that finds after its rehearsal that it cannot go on gives the process back",
          "[process][upgrade]") {
  UpgradableSite upgradable;
  ServerProcess& server = *upgradable.site.server;
  const std::string former = server.folder().file("former");
  files::create_hard_link(upgradable.installation.program(), former);
  const auto before = upgradable.workers();
  HttpClient client(server.address());
  CHECK(client.get("/").body == "1");

  const std::string preloaded = server.folder().file("resume_fails.so");
  files::copy_file(STINT_RESUME_FAILS, preloaded);
  // Out of descriptors, for instance; resume_fails makes it so for this role alone.
  upgradable.installation.install_script("export LD_PRELOAD=" + preloaded + "\nexec -a \"$0\" " + former + " \"$@\"");
  for (int i = 0; i < 2; ++i) {
    const CommandResult upgraded = upgradable.upgrade();
    INFO(upgraded.error << upgraded.output << server.log());
    CHECK(upgraded.exit_code == 1);
    CHECK_THAT(upgraded.error, ContainsSubstring("upgrade failed: return: keep the settings for the workers"));
    CHECK(files::equivalent("/proc/" + std::to_string(server.pid()) + "/exe", former));
    CHECK(upgradable.workers() == before);
    CHECK(client.get("/").body == "1");
    CHECK(server.log_count("cannot go on") == static_cast<std::size_t>(i + 1));
  }
  // The variable is still there, and the dynamic loader complains.
  files::remove(preloaded);
  upgradable.installation.install();
  const CommandResult upgraded = upgradable.upgrade();
  INFO(upgraded.error << upgraded.output << server.log());
  CHECK(upgraded.exit_code == 0);
  CHECK(upgradable.installation.is_run_by(server.pid()));
  CHECK(client.get("/").body == "1");
  server.expect_clean_exit();
}

TEST_CASE("a new program whose workers do not start keeps those of the old one", "[process][upgrade]") {
  UpgradableSite upgradable;
  ServerProcess& server = *upgradable.site.server;
  const auto before = upgradable.workers();
  upgradable.site.deploy("import no_such_module_of_ours\n");
  upgradable.installation.install();
  const CommandResult upgraded = upgradable.upgrade();
  INFO(upgraded.error << upgraded.output);
  CHECK(upgraded.exit_code == 1);
  CHECK_THAT(upgraded.error, ContainsSubstring("upgrade failed: import: "));
  CHECK_THAT(upgraded.error, ContainsSubstring("the new program runs, with the workers of version "));
  CHECK(upgradable.installation.is_run_by(server.pid()));
  CHECK(upgradable.workers() == before);
  CHECK(upgradable.site.version() == "1");

  // They are workers as all others: they can die and be told to go.
  upgradable.site.deploy(code(2));
  kill(before.front(), SIGKILL);
  CHECK(eventually([&] {
    const auto now = upgradable.workers();
    return now.size() == 2 && std::count(now.begin(), now.end(), before.front()) == 0;
  }));
  CHECK(upgradable.site.reload().exit_code == 0);
  CHECK(upgradable.site.version() == "2");
  server.expect_clean_exit();
}

TEST_CASE("a call that runs when the program changes is answered, and its worker retires", "[process][upgrade]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const std::string started = server.folder().file("started");
  std::thread slow([&] {
    const auto answer = fetch(server.address(), "/slow?seconds=3&touch=" + started);
    CHECK(answer.body == "slow but complete\n");
  });
  CHECK(eventually([&] { return !read_file(started).empty(); }));
  const CommandResult upgraded = server.command({"upgrade", "--wait"});
  INFO(upgraded.error << upgraded.output << server.log());
  CHECK(upgraded.exit_code == 0);
  slow.join();
  CHECK(eventually([&] { return server.workers().size() == 2; }));
  CHECK(server.log_count("worker died") == 0);
  server.expect_clean_exit();
}

TEST_CASE("SIGUSR2 upgrades, and a stop at any moment of it stops the server", "[process][upgrade]") {
  for (const int delay : {0, 2, 5, 10, 20, 40, 80}) {
    INFO(delay << " ms");
    ServerProcess server(with_workers(1));
    server.wait_until_ready();
    server.signal(SIGUSR2);
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    server.expect_clean_exit();
  }
  ServerProcess server(with_workers(1));
  server.wait_until_ready();
  const auto before = server.ready_workers();
  server.signal(SIGUSR2);
  CHECK(eventually([&] { return server.ready_workers().size() == 1 && server.ready_workers() != before; }));
  CHECK(server.log_count("upgraded") == 1);
  server.expect_clean_exit();
}

TEST_CASE("an upgrade waits for no reload, and a reload ends a rehearsal", "[process][upgrade]") {
  UpgradableSite upgradable;
  ServerProcess& server = *upgradable.site.server;
  const std::string real = server.folder().file("former");
  files::create_hard_link(upgradable.installation.program(), real);
  const std::string going_on = server.folder().file("going-on");
  upgradable.installation.install_script("while [ ! -e " + going_on + " ]; do sleep 0.05; done; exec " + real +
                                         " \"$@\"");
  CHECK(server.command({"upgrade"}).exit_code == 0);
  CHECK_THAT(boost::json::value(server.status().at("pool").at("reload").at("phase")).as_string().c_str(),
             ContainsSubstring("rehearsing"));
  upgradable.site.deploy(code(2));
  CHECK(upgradable.site.reload().exit_code == 0);
  CHECK(upgradable.site.version() == "2");
  CHECK(server.log_count("upgrade failed") == 1);
  CHECK(files::equivalent("/proc/" + std::to_string(server.pid()) + "/exe", real));

  upgradable.site.deploy(code(3, "import time; time.sleep(1.5)"));
  CHECK(upgradable.site.reload({}).exit_code == 0);
  const CommandResult refused = upgradable.upgrade();
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.error, ContainsSubstring("a reload is under way"));
  CHECK(eventually([&] { return upgradable.site.version() == "3"; }));
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
