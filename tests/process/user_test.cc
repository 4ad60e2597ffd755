// Stories of workers that are another user than the one who started the server, which has to be root for it. The user
// is "daemon", whom every Debian has and who owns nothing.
#include "server/control/channel.h"
#include "server/control/inheritance.h"
#include "tests/process/story.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace stint::test {
namespace {

namespace json = boost::json;

constexpr const char* user = "daemon";

// A sanitizer maps tebibytes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool maps_little = false;
#else
constexpr bool maps_little = true;
#endif

uid_t user_id() { return ::getpwnam(user)->pw_uid; }
gid_t user_group() { return ::getpwnam(user)->pw_gid; }

bool others_can_enter(std::filesystem::path folder) {
  for (; folder.has_relative_path(); folder = folder.parent_path()) {
    struct stat status{};
    if (::stat(folder.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

// A story that cannot be told here says so.
bool is_told() {
  if (::geteuid() != 0) {
    WARN("skipped: only root can start workers as another user");
    return false;
  }
  for (const std::filesystem::path& needed :
       {std::filesystem::path(apps_folder()), std::filesystem::path(stint_binary()).parent_path()})
    if (!others_can_enter(needed)) {
      WARN("skipped: another user cannot enter " << needed.string());
      return false;
    }
  return true;
}

// A story's folder that the user can enter, with one inside that is the user's.
std::unique_ptr<TemporaryFolder> open_folder() {
  auto folder = std::make_unique<TemporaryFolder>();
  REQUIRE(::chmod(folder->path().c_str(), 0755) == 0);
  REQUIRE(::mkdir(folder->file("own").c_str(), 0700) == 0);
  REQUIRE(::chown(folder->file("own").c_str(), user_id(), user_group()) == 0);
  return folder;
}

ServerOptions as_user(unsigned workers = 1) {
  ServerOptions options = with_workers(workers);
  options.set = {{"app.user", user}};
  return options;
}

std::string quoted(const std::string& path) { return "\"" + path + "\""; }

json::object process_of(const std::string& address) {
  const HttpResponse answer = fetch(address, "/process");
  CHECK(answer.status == 200);
  return json::parse(answer.body).as_object();
}

// The values of a row of /proc/PID/status.
std::vector<std::string> status_row(pid_t pid, const std::string& name) {
  std::istringstream text(read_file("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with(name + ":")) continue;
    std::istringstream rest(line.substr(name.size() + 1));
    return {std::istream_iterator<std::string>(rest), {}};
  }
  return {};
}

// Runs a program as the user, without root's groups.
CommandResult run_as_user(std::vector<std::string> arguments) {
  std::vector<std::string> command = {"/usr/bin/setpriv", "--reuid=" + std::to_string(user_id()),
                                      "--regid=" + std::to_string(user_group()), "--clear-groups"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(std::move(command));
}

TEST_CASE("a worker and its keeper are the user and have nothing left of root", "[process]") {
  if (!is_told()) return;
  // Groups of whoever starts the server, which must not come along.
  const gid_t of_root[] = {0, 4};
  REQUIRE(::setgroups(2, of_root) == 0);
  auto folder = open_folder();
  const std::string secret = folder->write("secret", "for root only");
  REQUIRE(::chmod(secret.c_str(), 0600) == 0);
  ServerProcess server(as_user(), std::move(folder));
  server.wait_until_ready();

  const json::object process = process_of(server.address());
  INFO(json::serialize(process));
  const auto uid = std::to_string(user_id()), gid = std::to_string(user_group());
  CHECK(json::serialize(process.at("uids")) == "[" + uid + "," + uid + "," + uid + "]");
  CHECK(json::serialize(process.at("gids")) == "[" + gid + "," + gid + "," + gid + "]");
  std::vector<gid_t> groups(64);
  int count = 64;
  REQUIRE(::getgrouplist(user, user_group(), groups.data(), &count) >= 0);
  std::sort(groups.begin(), groups.begin() + count);
  CHECK(json::serialize(process.at("groups")) == json::serialize(json::array(groups.begin(), groups.begin() + count)));
  CHECK(process.at("becomes_root") == false);
  const json::object& environment = process.at("environment").as_object();
  CHECK(environment.at("HOME") == ::getpwnam(user)->pw_dir);
  CHECK(environment.at("USER") == user);
  CHECK(environment.at("LOGNAME") == user);
  CHECK(environment.at("SHELL") == ::getpwnam(user)->pw_shell);
  CHECK(fetch(server.address(), "/read?path=" + secret).body == "Permission denied");

  const auto row = server.workers().at(0);
  for (const pid_t pid : {row.pid, row.keeper}) {
    CHECK(status_row(pid, "Uid") == std::vector<std::string>(4, uid));
    CHECK(status_row(pid, "Gid") == std::vector<std::string>(4, gid));
    const auto groups_row = status_row(pid, "Groups");
    CHECK(std::find(groups_row.begin(), groups_row.end(), "4") == groups_row.end());
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
      CHECK(status_row(pid, set) == std::vector<std::string>{"0000000000000000"});
  }
  CHECK(status_row(server.pid(), "Uid") == std::vector<std::string>(4, "0"));
  CHECK(server.log_count("the application runs as root") == 0);

  // The workers of another program are, too.
  REQUIRE(server.command({"upgrade", "--wait"}).exit_code == 0);
  CHECK(process_of(server.address()).at("becomes_root") == false);
  for (const auto& worker : server.workers()) CHECK(status_row(worker.pid, "Uid") == std::vector<std::string>(4, uid));
  server.expect_clean_exit();
}

TEST_CASE("group, umask, niceness and limits are those of the settings", "[process]") {
  if (!is_told()) return;
  ServerOptions options = as_user();
  options.set.insert(options.set.end(), {{"app.group", "nogroup"},
                                         {"app.umask", "0027"},
                                         {"app.nice", "3"},
                                         {"app.limits.memory", maps_little ? quoted("3GiB") : quoted("unlimited")},
                                         {"app.limits.open_files", "2000"},
                                         {"app.limits.processes", "4000"},
                                         {"app.limits.core", "0"},
                                         {"app.env.HOME", "/srv"}});
  ServerProcess server(options, open_folder());
  server.wait_until_ready();
  const json::object process = process_of(server.address());
  INFO(json::serialize(process));
  const auto nogroup = std::to_string(::getgrnam("nogroup")->gr_gid);
  CHECK(json::serialize(process.at("gids")) == "[" + nogroup + "," + nogroup + "," + nogroup + "]");
  CHECK(process.at("umask") == 027);
  CHECK(process.at("nice") == std::min(::getpriority(PRIO_PROCESS, 0) + 3, 19));
  const json::object& limits = process.at("limits").as_object();
  CHECK(json::serialize(limits.at("RLIMIT_AS")) == (maps_little ? "[3221225472,3221225472]" : "[-1,-1]"));
  CHECK(json::serialize(limits.at("RLIMIT_NOFILE")) == "[2000,2000]");
  CHECK(json::serialize(limits.at("RLIMIT_NPROC")) == "[4000,4000]");
  CHECK(json::serialize(limits.at("RLIMIT_CORE")) == "[0,0]");
  CHECK(process.at("environment").at("HOME") == "/srv");
  CHECK(process.at("environment").at("USER") == user);
  server.expect_clean_exit();
}

TEST_CASE("umask and limits need no user", "[process]") {
  ServerOptions options;
  options.set = {{"app.umask", "0077"}, {"app.limits.core", "0"}};
  ServerProcess server(options);
  server.wait_until_ready();
  const json::object process = process_of(server.address());
  CHECK(process.at("umask") == 077);
  CHECK(json::serialize(process.at("limits").at("RLIMIT_CORE")) == "[0,0]");
  CHECK(process.at("uids").at(1) == ::geteuid());
  CHECK(server.log_count("the application runs as root") == (::geteuid() == 0 ? 1 : 0));
  server.expect_clean_exit();
}

TEST_CASE("logs are rotated in a folder of root's and in one of the user's", "[process]") {
  if (!is_told()) return;
  const std::string place = GENERATE(std::string("logs/"), std::string("own/"));
  auto folder = open_folder();
  REQUIRE(::mkdir(folder->file("logs").c_str(), 0755) == 0);
  const std::string access = folder->file(place + "access.log"), error = folder->file(place + "error.log");
  ServerOptions options = as_user(2);
  options.set.insert(options.set.end(), {{"log.access", quoted(access)}, {"log.error", quoted(error)}});
  ServerProcess server(options, std::move(folder));
  // The log is not where wait_until_serving() looks.
  REQUIRE(eventually([&] { return server.ready_workers().size() == 2; }));
  const std::string socket_line = read_file(error);
  const auto at = socket_line.find("listen=127.0.0.1:");
  REQUIRE(at != std::string::npos);
  const std::string address = socket_line.substr(at + 7, socket_line.find(' ', at) - at - 7);

  const auto is_private_and_users = [](const std::string& file) {
    struct stat status{};
    return ::stat(file.c_str(), &status) == 0 && status.st_uid == user_id() && (status.st_mode & S_IRWXO) == 0;
  };
  CHECK(fetch(address, "/?before").status == 200);
  CHECK(eventually([&] { return read_file(access).find("/?before") != std::string::npos; }));
  CHECK(is_private_and_users(access));
  CHECK(is_private_and_users(error));

  std::filesystem::rename(access, access + ".1");
  std::filesystem::rename(error, error + ".1");
  server.signal(SIGUSR1);
  REQUIRE(eventually([&] { return read_file(error).find("logs reopened") != std::string::npos; }));
  CHECK(eventually([&] {
    fetch(address, "/?after");
    return read_file(access).find("/?after") != std::string::npos;
  }));
  // Both workers: one that still wrote to the old file would leave the new one half empty.
  const auto old_size = std::filesystem::file_size(access + ".1");
  for (int i = 0; i < 20; ++i) CHECK(fetch(address, "/").status == 200);
  CHECK(std::filesystem::file_size(access + ".1") == old_size);
  CHECK(is_private_and_users(access));
  CHECK(is_private_and_users(error));
  const std::string log = read_file(error + ".1") + read_file(error);
  CHECK(log.find("not reopened") == std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("a log that the user cannot write is one message", "[process]") {
  if (!is_told()) return;
  auto folder = open_folder();
  const std::string log = folder->write("error.log", "");
  REQUIRE(::chmod(log.c_str(), 0600) == 0);
  ServerOptions options = as_user();
  options.set.emplace_back("log.error", quoted(log));
  ServerProcess server(options, std::move(folder));
  CHECK(server.wait_for_exit(patience) == 1);
  CHECK(server.log() == "stint: open log.error " + log + " as daemon (uid " + std::to_string(user_id()) +
                            "): Permission denied; that user has to be able to write the file\n");
  server.expect_nothing_left();
}

TEST_CASE("a user, a group that there is not, or root: exit code 2, and the place", "[process]") {
  for (const auto& [keys, text] :
       {std::pair("user = \"no-such-user\"", "stint.toml:3:8: 'app.user' names no user"),
        std::pair("user = \"daemon\"\ngroup = \"no-such-group\"", "stint.toml:4:9: 'app.group' names no group"),
        std::pair("user = \"root\"", "stint.toml:3:8: 'app.user' names root")}) {
    if (::geteuid() != 0 && std::string(keys).find("no-such-user") == std::string::npos) continue;
    ServerOptions options;
    options.module.clear();
    options.toml = "[app]\nmodule = \"story_app:application\"\n" + std::string(keys) + "\n";
    ServerProcess server(options);
    CHECK(server.wait_for_exit(patience) == 2);
    INFO(server.log());
    CHECK(server.log_count(text) == 1);
    CHECK(server.log_count("\n") == 1);
    server.expect_nothing_left();
  }
}

TEST_CASE("who is not root can only stay who it is", "[process]") {
  if (!is_told()) return;
  const std::string name = GENERATE(std::string("nobody"), std::string(user));
  const CommandResult result = run_as_user(
      {stint_binary(), "check", "story_app:application", "--directory", apps_folder(), "--set", "app.user=" + name});
  INFO(result.error);
  CHECK(result.exit_code == (name == user ? 0 : 2));
  const bool is_told_so = result.error.find("'app.user' is nobody (uid ") != std::string::npos &&
                          result.error.find("start Stint as root, or as that user") != std::string::npos;
  CHECK(is_told_so == (name != user));
}

TEST_CASE("root without the right to change its user starts nothing", "[process]") {
  if (!is_told()) return;
  const TemporaryFolder folder;
  const CommandResult result =
      run({"/usr/bin/setpriv", "--bounding-set=-setuid", stint_binary(), "serve", "story_app:application", "--listen",
           "127.0.0.1:0", "--directory", apps_folder(), "--set", "app.user=daemon", "--set",
           "control.socket=" + quoted(folder.file("control.sock"))});
  INFO(result.error);
  CHECK(result.exit_code == 1);
  CHECK(result.error.find("step user: become daemon") != std::string::npos);
  CHECK(result.error.find("changing the user takes root") != std::string::npos);
  CHECK(result.error.find("worker started") == std::string::npos);
}

TEST_CASE("a user that may not enter the application's folder: the step, and what to do", "[process]") {
  if (!is_told()) return;
  ServerOptions options = as_user(2);
  auto folder = open_folder();
  const std::string closed = folder->file("closed");
  REQUIRE(::mkdir(closed.c_str(), 0700) == 0);
  options.directory = closed;
  ServerProcess server(options, std::move(folder));
  CHECK(server.wait_for_exit(patience) == 1);
  INFO(server.log());
  CHECK(server.log_count("cannot start") == 1);
  CHECK(server.log_count("step=interpreter error=\"enter app.directory " + closed +
                         ": Permission denied; the workers' user (uid " + std::to_string(user_id()) +
                         ") has to be able to enter it and every folder above\"") == 1);
  server.expect_nothing_left();
}

TEST_CASE("a unix socket is for the workers' group, the control socket for root", "[process]") {
  if (!is_told()) return;
  ServerOptions options = as_user();
  options.listen = {"unix:site.sock"};
  options.set.emplace_back("app.group", "nogroup");
  ServerProcess server(options, open_folder());
  server.wait_until_ready();
  struct stat status{};
  REQUIRE(::stat(server.address().substr(5).c_str(), &status) == 0);
  CHECK(status.st_uid == 0);
  CHECK(status.st_gid == ::getgrnam("nogroup")->gr_gid);
  CHECK((status.st_mode & 0777) == 0660);
  CHECK(fetch(server.address(), "/").status == 200);

  REQUIRE(::stat(server.control_socket().c_str(), &status) == 0);
  CHECK(status.st_uid == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(server.command({"status"}).exit_code == 0);
  const CommandResult refused = run_as_user({stint_binary(), "status", "--socket", server.control_socket()});
  CHECK(refused.exit_code == 1);
  CHECK(refused.error.find("Permission denied") != std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("connections of the user's workers survive recycling and kill -9, in the middle of a body as well",
          "[process]") {
  if (!is_told()) return;
  ServerOptions options = as_user(2);
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  ServerProcess server(options, open_folder());
  server.wait_until_ready();
  const std::string started = server.folder().file("own/started");

  for (const std::size_t listener : {std::size_t{0}, std::size_t{1}}) {
    HttpClient kept(server.address(listener)), posting(server.address(listener));
    CHECK(kept.get("/").status == 200);
    // More than memory holds, so that a file goes from worker to worker.
    const std::string half(3 * 1024 * 1024 / 2, 'b');
    posting.send("POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(2 * half.size()) + "\r\n\r\n");
    posting.send(half);
    const auto before = server.ready_workers();
    CHECK(server.command({"recycle"}).exit_code == 0);
    REQUIRE(eventually([&] {
      const auto now = server.workers();
      return now.size() == 2 && std::all_of(now.begin(), now.end(), [&](const auto& row) {
               return row.state == "ready" && std::count(before.begin(), before.end(), row.pid) == 0;
             });
    }));
    posting.send(half);
    CHECK(posting.receive().body.starts_with(std::to_string(2 * half.size()) + " "));
    CHECK(kept.get("/").status == 200);

    // The worker that answered last dies while it has `kept` idle and serves a request that may be served again.
    const pid_t victim = std::stoi(kept.get("/pid").body);
    std::filesystem::remove(started);
    HttpClient interrupted(server.address(listener));
    interrupted.send("GET /slow-once?seconds=60&started=" + started + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return !read_file(started).empty(); }));
    kill(std::stoi(read_file(started)), SIGKILL);
    CHECK(interrupted.receive().body == "done\n");
    kill(victim, SIGKILL);
    CHECK(kept.get("/process").status == 200);
    REQUIRE(server.wait_for_ready_workers(2));
    CHECK(process_of(server.address(listener)).at("uids").at(1) == user_id());
  }
  server.expect_clean_exit();
}

TEST_CASE("a reload changes the user, or nothing when there is no such user", "[process]") {
  if (!is_told()) return;
  const auto app = [](const std::string& name) { return "[app]\nuser = \"" + name + "\"\n"; };
  ServerOptions options = with_workers(2);
  options.toml = app(user);
  ServerProcess server(options, open_folder());
  server.wait_until_ready();
  CHECK(process_of(server.address()).at("uids").at(1) == user_id());

  server.folder().write("stint.toml", app("no-such-user"));
  const CommandResult refused = server.command({"reload", "--wait"});
  INFO(refused.output << refused.error);
  CHECK(refused.exit_code == 1);
  CHECK((refused.output + refused.error).find("'app.user' names no user of this machine") != std::string::npos);
  CHECK(process_of(server.address()).at("uids").at(1) == user_id());

  server.folder().write("stint.toml", app("nobody"));
  const CommandResult reloaded = server.command({"reload", "--wait"});
  INFO(reloaded.output << reloaded.error);
  CHECK(reloaded.exit_code == 0);
  const json::object process = process_of(server.address());
  CHECK(process.at("uids").at(1) == ::getpwnam("nobody")->pw_uid);
  CHECK(process.at("environment").at("USER") == "nobody");
  server.expect_clean_exit();
}

// The supervisor starts none such; this is about what stands behind it.
TEST_CASE("a worker that finds itself root in spite of a user ends before anything of the application runs",
          "[process]") {
  if (!is_told()) return;
  auto ends = control::Channel::make_pair();
  REQUIRE(ends.has_value());
  UniqueFd settings(::memfd_create("settings", 0));
  const std::string toml =
      "[app]\nmodule = \"story_app:application\"\ndirectory = \"" + apps_folder() + "\"\nuser = \"daemon\"\n";
  REQUIRE(::pwrite(settings.get(), toml.data(), toml.size(), 0) == static_cast<ssize_t>(toml.size()));
  std::vector<std::string> texts{stint_binary()};
  for (auto& text : control::worker_arguments(1, 1, 0)) texts.push_back(std::move(text));
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);

  const pid_t worker = ::fork();
  REQUIRE(worker >= 0);
  if (worker == 0) {
    int fds[7];
    for (int i = 0; i < 7; ++i) fds[i] = ::fcntl(i == 0 ? ends->second.fd() : settings.get(), F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < 7; ++i) ::dup2(fds[i], control::first_inherited_fd + i);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  static_cast<void>(ends->second.release());  // closed: the worker has its own
  CHECK(wait_for_exit(worker, patience) == 1);
  auto message = ends->first.receive();
  REQUIRE(message.has_value());
  REQUIRE(message->has_value());
  const auto* failed = std::get_if<control::StartFailed>(&**message);
  REQUIRE(failed != nullptr);
  CHECK(failed->failure.step == "user");
  CHECK(failed->failure.summary == "this process is root, and app.user is daemon");
}

}  // namespace
}  // namespace stint::test
