#include "tests/unit/config/loading.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace stint::config {
namespace {

using Texts = std::vector<std::string>;

const std::string app = "[app]\nmodule = \"site.wsgi:application\"\n";

struct BadToml {
  std::string toml;
  Texts problems;
};

// A folder that goes with its test.
class TemporaryFolder {
 public:
  TemporaryFolder() { REQUIRE(::mkdtemp(path_) != nullptr); }
  ~TemporaryFolder() {
    for (const char* name : {"/env/bin/python", "/env/bin", "/env", "/file", "/site.toml", ""})
      (void)std::remove((path_ + std::string(name)).c_str());
  }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/stint-config-XXXXXX";
};

void write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  std::fputs(text.c_str(), file);
  REQUIRE(std::fclose(file) == 0);
}

}  // namespace

TEST_CASE("a minimal file gets every default", "[config]") {
  const Settings settings = settings_of(input_of(app));

  REQUIRE(settings.listen.size() == 1);
  CHECK(settings.listen[0].text() == "127.0.0.1:8000");
  CHECK(settings.app.name == "site");
  CHECK(settings.app.module == "site.wsgi:application");
  CHECK(settings.app.directory == "/srv/mysite");
  CHECK(settings.app.venv.empty());
  CHECK(settings.app.env.empty());
  CHECK(settings.app.workers.threads == 1);
  CHECK(settings.app.workers.startup_timeout == std::chrono::seconds(60));
  CHECK(settings.app.workers.request_timeout == std::chrono::seconds(60));
  CHECK(settings.app.recycle == RecycleSettings{.at_once = 1, .drain_timeout = std::chrono::seconds(30)});
  CHECK(settings.app.retry_interrupted);
  CHECK(settings.app.warmup_requests.empty());
  CHECK(settings.http == HttpSettings{std::chrono::seconds(10), std::chrono::seconds(30), std::chrono::seconds(75),
                                      std::chrono::seconds(30), 8_KiB, 100, 64_KiB, 1_GiB, 1024});
  CHECK(settings.static_roots.empty());
  CHECK(settings.control_socket.empty());
  CHECK(settings.log == LogSettings{LogLevel::info, "-", "combined", "-"});
}

TEST_CASE("user, umask, niceness and limits are taken as they are written", "[config]") {
  const Settings settings =
      settings_of(input_of(
          app + "user = \"www-data\"\ngroup = \"33\"\numask = \"027\"\nnice = -3\n[app.limits]\nmemory = \"1GiB\"\n"
                "open_files = 4096\nprocesses = \"unlimited\"\ncore = 0\n"));
  CHECK(settings.app.user == "www-data");
  CHECK(settings.app.group == "33");
  CHECK(settings.app.umask == 027);
  CHECK(settings.app.nice == -3);
  CHECK(settings.app.limits == LimitsSettings{(1_GiB).count, 4096, LimitsSettings::unlimited, 0});
  CHECK_FALSE(settings.app.account.has_value());  // this test asks no database

  Input input = input_of(app);
  input.overrides = {{"app.user", "1000", "--set"},
                     {"app.umask", "0077", "--set"},
                     {"app.limits.memory", "512MiB", "--set"},
                     {"app.limits.core", "unlimited", "--set"},
                     {"app.limits.open_files", "100", "--set"}};
  const Settings set = settings_of(input);
  CHECK(set.app.user == "1000");
  CHECK(set.app.umask == 077);
  CHECK(set.app.limits == LimitsSettings{(512_MiB).count, 100, std::nullopt, LimitsSettings::unlimited});
}

TEST_CASE("a count of auto is the number of processors this process may use", "[config]") {
  cpu_set_t all, one;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  CHECK(settings_of(input_of(app)).app.workers.count == static_cast<unsigned>(CPU_COUNT(&all)));

  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  const unsigned with_one = settings_of(input_of(app)).app.workers.count;
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
  CHECK(with_one == 1);
}

TEST_CASE("each wrong key or value is told with its place, and what was probably meant", "[config]") {
  const auto bad = GENERATE(values<BadToml>({
      // keys
      {"lisen = []\n" + app, {"site.toml:1:1: unknown key 'lisen'; did you mean 'listen'?"}},
      {app + "  max_requests = 5\n", {"site.toml:3:3: 'max_requests' belongs to [app.recycle]"}},
      {app + "max_request = 5\n",
       {"site.toml:3:1: unknown key 'max_request' in [app]; did you mean 'max_requests' of [app.recycle]?"}},
      {app + "listen = [\"127.0.0.1:80\"]\n",
       {"site.toml:3:1: 'listen' belongs at the top of the file, before the first [table]"}},
      {app + "root = \"/\"\n", {"site.toml:3:1: 'root' belongs to [[static]]"}},
      {app + "[app.recycle]\nmax_request = 5\n",
       {"site.toml:4:1: unknown key 'max_request' in [app.recycle]; did you mean 'max_requests'?"}},
      {app + "[app.workers]\ncuont = 5\n",
       {"site.toml:4:1: unknown key 'cuont' in [app.workers]; did you mean 'count'?"}},
      {app + "zzzzzz = 5\n", {"site.toml:3:1: unknown key 'zzzzzz' in [app]"}},
      {app + "[workers]\ncount = 4\n", {"site.toml:3:2: unknown table [workers]; did you mean [app.workers]?"}},
      {app + "[htpp]\n", {"site.toml:3:2: unknown table [htpp]; did you mean [http]?"}},
      {app + "[log.levle]\n", {"site.toml:3:6: unknown table [log.levle]; did you mean 'level'?"}},
      {app + "\"workers.count\" = 1\n", {"site.toml:3:1: unknown key 'workers.count' in [app]"}},
      {"[[app]]\nmodule = \"a:b\"\n", {"site.toml:1:1: 'app' must be one table: write [app]"}},
      {app + "[static]\nurl = \"/\"\nroot = \"/\"\n",
       {"site.toml:3:1: 'static' is an array of tables: write [[static]], not [static]"}},
      {app + "[[static]]\nurl = \"/s/\"\nroot = \"/\"\ninternal = \"yes\"\n",
       {"site.toml:6:12: 'static' must have true or false in 'internal', not \"yes\""}},
      {app + "mount = \"shop\"\n",
       {R"(site.toml:3:9: 'app.mount' must be "" or a path that begins with "/", not "shop")"}},
      {app + "mount = \"/\"\n",
       {R"(site.toml:3:9: 'app.mount' must not end with "/": a mount at the top is "", not "/")"}},
      {app + "mount = \"/a%20b\"\n",
       {R"(site.toml:3:9: 'app.mount' must be a plain path without "//", "?", "#", "%" and spaces, not "/a%20b")"}},
      {app + "[[static]]\nurl = \"/s/\"\nrot = \"/\"\n",
       {"site.toml:3:1: 'static' needs 'root'",
        "site.toml:5:1: unknown key 'rot' in [[static]]; did you mean 'root'?"}},

      // user and limits
      {app + "user = \"a b\"\n",
       {R"(site.toml:3:8: 'app.user' must be the name of an account, or its number, not "a b")"}},
      {app + "user = 33\n", {"site.toml:3:8: 'app.user' must be a string, not 33"}},
      {app + "group = \"www-data\"\n",
       {"site.toml:3:9: 'app.group' counts only together with 'app.user': name the user as well, or leave it out"}},
      {app + "umask = \"0888\"\n",
       {R"(site.toml:3:9: 'app.umask' must be "" or octal digits such as "0027", from "0000" to "0077", not "0888")"}},
      {app + "umask = \"0127\"\n",
       {R"(site.toml:3:9: 'app.umask' must be "" or octal digits such as "0027", from "0000" to "0077", not "0127")"}},
      {app + "umask = 27\n",
       {R"(site.toml:3:9: 'app.umask' must be "" or octal digits such as "0027", from "0000" to "0077", not 27)"}},
      {app + "nice = 20\n", {"site.toml:3:8: 'app.nice' must be a whole number from -20 to 19, not 20"}},
      {app + "nice = \"low\"\n", {"site.toml:3:8: 'app.nice' must be a whole number from -20 to 19, not \"low\""}},
      {app + "[app.workers]\ncount = { min = 3, max = 2 }\n",
       {"site.toml:4:9: 'app.workers.count' as a range must have min and max, 1 <= min <= max <= 1024, such as "
        "{ min = 2, max = 8 }"}},
      {app + "[app.workers]\ncount = { min = 3 }\n",
       {"site.toml:4:9: 'app.workers.count' as a range must have min and max, 1 <= min <= max <= 1024, such as "
        "{ min = 2, max = 8 }"}},
      {app + "[memory]\nbudget = \"some\"\n",
       {R"(site.toml:4:10: 'memory.budget' must be "auto" or a size such as "2GiB" (units B, KiB, MiB, GiB), not "some")"}},
      {app + "[memory]\nbudget = 0\n",
       {R"(site.toml:4:10: 'memory.budget' must be "auto" or a size such as "2GiB" (units B, KiB, MiB, GiB), not 0)"}},
      {app + "[app.limits]\nmemory = \"1GB\"\n",
       {R"(site.toml:4:10: 'app.limits.memory' must be "unlimited", "inherit" or a size such as "1GiB" )"
        R"((units B, KiB, MiB, GiB), not "1GB"; did you mean "1GiB"?)"}},
      {app + "[app.limits]\nmemory = \"1MiB\"\n",
       {R"(site.toml:4:10: 'app.limits.memory' must be at least "64MiB", not "1MiB")"}},
      {app + "[app.limits]\nopen_files = 10\n",
       {R"(site.toml:4:14: 'app.limits.open_files' must be a whole number from 64 to 10000000, "unlimited" or )"
        R"("inherit", not 10)"}},

      // the application
      {"[http]\n", {"site.toml: 'app.module' is not set: give MODULE:CALLABLE, or write module = \"…\" under [app]"}},
      {"[app]\nmodule = \"mysite/wsgi.py\"\n",
       {"site.toml:2:10: 'app.module' must be MODULE:CALLABLE, such as \"mysite.wsgi:application\", not "
        "\"mysite/wsgi.py\"; did you mean \"mysite.wsgi:application\"?"}},
      {"[app]\nmodule = \"a.b:c()\"\n",
       {"site.toml:2:10: 'app.module' must be MODULE:CALLABLE, such as \"mysite.wsgi:application\", not \"a.b:c()\""}},
      {app + "name = \"my site\"\n",
       {"site.toml:3:8: 'app.name' must consist of letters, digits, \"_\" and \"-\", not \"my site\""}},
      {app + "env = { A = 1 }\n", {"site.toml:3:13: 'app.env' must hold strings: A is 1"}},
      {app + "env = { \"A=B\" = \"1\" }\n", {"site.toml:3:17: 'app.env' has a variable that cannot be: \"A=B\""}},
      {app + "directory = \"a\\u0000b\"\n", {"site.toml:3:13: 'app.directory' must not contain a NUL character"}},
      {app + "[app.warmup]\nrequests = [\"/\", \"health\", 3]\n",
       {"site.toml:4:18: 'app.warmup.requests' must hold paths that begin with \"/\", not \"health\"",
        "site.toml:4:28: 'app.warmup.requests' must hold strings, not 3"}},

      // numbers
      {app + "[app.workers]\ncount = 0\n",
       {"site.toml:4:9: 'app.workers.count' must be a whole number from 1 to 1024, \"auto\" or a range such as { min = "
        "2, max = 8 }, not 0"}},
      {app + "[app.workers]\nstart = \"frok\"\n",
       {"site.toml:4:9: 'app.workers.start' must be \"fresh\" or \"fork\", not \"frok\"; did you mean \"fork\"?"}},
      {app + "[app.workers]\ncount = \"four\"\n",
       {"site.toml:4:9: 'app.workers.count' must be a whole number from 1 to 1024, \"auto\" or a range such as { min = "
        "2, max = 8 }, not \"four\""}},
      {app + "[app.recycle]\nmax_requests = -1\nat_once = 1.5\n",
       {"site.toml:4:16: 'app.recycle.max_requests' must be a whole number from 0 to 1000000000000, not -1",
        "site.toml:5:11: 'app.recycle.at_once' must be a whole number from 1 to 1024, not a number with a fraction"}},

      // switches
      {app + "retry_interrupted = 1\n", {"site.toml:3:21: 'app.retry_interrupted' must be true or false, not 1"}},
      {app + "retry_interrupted = \"no\"\n",
       {"site.toml:3:21: 'app.retry_interrupted' must be true or false, not \"no\""}},

      // limits of which one would keep the other from working
      {app + "[app.recycle]\nmax_rss = \"256MiB\"\nkill_rss = \"256MiB\"\n",
       {"site.toml:5:12: 'app.recycle.kill_rss' must be larger than 'app.recycle.max_rss', which is \"256MiB\""}},

      {app + "[app.recycle]\nrefork_after = 1000\n",
       {"site.toml:4:16: 'app.recycle.refork_after' has a meaning only with 'app.workers.start' = \"fork\""}},

      // durations and sizes
      {app + "[http]\nhead_timeout = 10\n",
       {"site.toml:4:16: 'http.head_timeout' must be a duration such as \"30s\" (units ms, s, m, h), not 10"}},
      {app + "[http]\nhead_timeout = \"10 sec\"\n",
       {"site.toml:4:16: 'http.head_timeout' must be a duration such as \"30s\" (units ms, s, m, h), not \"10 sec\"; "
        "did you mean \"10s\"?"}},
      {app + "[http]\nhead_timeout = 0\nidle_timeout = \"0s\"\n",
       {"site.toml:4:16: 'http.head_timeout' must be a duration such as \"30s\" (units ms, s, m, h), not 0",
        "site.toml:5:16: 'http.idle_timeout' must be at least \"1ms\", not \"0s\""}},
      {app + "[app.recycle]\nmax_age = \"10000h\"\n",
       {"site.toml:4:11: 'app.recycle.max_age' must be at most \"8760h\", not \"10000h\""}},
      {app + "[app.recycle]\nmax_age = \"99999999999999999999h\"\n",
       {"site.toml:4:11: 'app.recycle.max_age' must be a duration such as \"30s\" (units ms, s, m, h) or 0, not "
        "\"99999999999999999999h\""}},
      {app + "[app.recycle]\nmax_rss = \"256MB\"\n",
       {"site.toml:4:11: 'app.recycle.max_rss' must be a size such as \"64KiB\" (units B, KiB, MiB, GiB) or 0, not "
        "\"256MB\"; did you mean \"256MiB\"?"}},
      {app + "[app.recycle]\nmax_rss = 268435456\n",
       {"site.toml:4:11: 'app.recycle.max_rss' must be a size such as \"64KiB\" (units B, KiB, MiB, GiB) or 0, not "
        "268435456"}},
      {app + "[app.recycle]\nmax_rss = \"256KiB\"\n",
       {"site.toml:4:11: 'app.recycle.max_rss' must be at least \"1MiB\", not \"256KiB\""}},

      // listeners
      {"listen = []\n" + app, {"site.toml:1:10: 'listen' must name at least one address"}},
      {"listen = \"127.0.0.1:80\"\n" + app,
       {"site.toml:1:10: 'listen' must be an array of strings, such as [\"127.0.0.1:8000\"], not \"127.0.0.1:80\""}},
      {"listen = [\"127.0.0.1:80\", \"[::0001]:80\", \"[::1]:80\"]\n" + app,
       {"site.toml:1:42: 'listen' names \"[::1]:80\" twice"}},
      {"listen = [\"systemd:web\", \"127.0.0.1:0\", \"systemd\"]\n" + app,
       {"site.toml:1:41: 'listen' names sockets beside \"systemd\", which takes all of them"}},
      {"listen = [\"systemd\", \"systemd\", \"systemd:web\"]\n" + app,
       {"site.toml:1:22: 'listen' names \"systemd\" twice",
        "site.toml:1:33: 'listen' names sockets beside \"systemd\", which takes all of them"}},
      {"listen = [\"systemd:\", \"systemd:a:b\", \"fd://3\"]\n" + app,
       {"site.toml:1:11: 'listen' is wrong: 'systemd:' is no listen address; write 'systemd:NAME' with a "
        "FileDescriptorName of the .socket unit, or 'systemd' for all its sockets",
        "site.toml:1:23: 'listen' is wrong: 'systemd:a:b' is no listen address; write 'systemd:NAME' with a "
        "FileDescriptorName of the .socket unit, or 'systemd' for all its sockets",
        "site.toml:1:38: 'listen' is wrong: 'fd://3' is no listen address; sockets of a service manager are 'systemd' "
        "or 'systemd:NAME'"}},
      {"listen = [\"8000\", \":80\", \"localhost:80\"]\n" + app,
       {"site.toml:1:11: 'listen' is wrong: '8000' is no listen address; did you mean '127.0.0.1:8000'?",
        "site.toml:1:19: 'listen' is wrong: ':80' is no listen address; for every address write '0.0.0.0:80'",
        "site.toml:1:26: 'listen' is wrong: 'localhost:80' is no listen address; did you mean '127.0.0.1:80'?"}},
      {"listen = [\"127.0.0.1:65536\", \"::1:80\", \"/run/x\", \"1.2.3.4\", \"example.org:80\"]\n" + app,
       {"site.toml:1:11: 'listen' is wrong: '127.0.0.1:65536' is no listen address; '65536' is no port; a port is a "
        "number from 0 to 65535",
        "site.toml:1:30: 'listen' is wrong: '::1:80' is no listen address; an IPv6 address is written with brackets "
        "and a port: [::1]:8000",
        "site.toml:1:40: 'listen' is wrong: '/run/x' is no listen address; did you mean 'unix:/run/x'?",
        "site.toml:1:50: 'listen' is wrong: '1.2.3.4' is no listen address; it names no port",
        "site.toml:1:61: 'listen' is wrong: 'example.org:80' is no listen address; write 127.0.0.1:8000, [::1]:8000 "
        "or unix:/path/to.sock"}},

      // static folders, log, control
      {app + "[[static]]\nurl = \"static\"\nroot = \"s\"\n[[static]]\nurl = \"/a/\"\nroot = \"s\"\n[[static]]\nurl = "
             "\"/a/\"\nroot = \"s\"\n",
       {"site.toml:4:7: 'static' has a wrong 'url': it must begin and end with \"/\", not \"static\"",
        "site.toml:10:7: 'static' has the url \"/a/\" twice"}},
      {app + "[log]\nlevel = \"warn\"\nformat = \"combind\"\nerror = \"\"\n",
       {"site.toml:4:9: 'log.level' must be \"debug\", \"info\", \"warning\" or \"error\", not \"warn\"; did you mean "
        "\"warning\"?",
        "site.toml:5:10: 'log.format' must be \"combined\", \"common\", \"json\" or an Apache LogFormat string, not "
        "\"combind\"; did you mean \"combined\"?",
        "site.toml:6:9: 'log.error' must be a path or \"-\", not \"\""}},

      // TOML itself
      {"listen = [\n[app]\n", {}},
  }));
  CAPTURE(bad.toml);
  const Texts problems = problems_of(input_of(bad.toml));
  if (bad.problems.empty()) {  // toml++'s words, and its place
    REQUIRE(problems.size() == 1);
    CHECK_THAT(problems[0], Catch::Matchers::StartsWith("site.toml:2:"));
  } else {
    CHECK(problems == bad.problems);
  }
}

TEST_CASE("all problems of a file are told at once, in the order of the file", "[config]") {
  const Texts problems = problems_of(
      input_of("listne = 1\n[http]\nmax_body = 1\nhead_timeout = 1\n[app]\nmodule = 1\nname = 1\n[log]\nlevel = 1\n"));
  REQUIRE(problems.size() == 6);
  unsigned line = 0;
  for (const std::string& problem : problems) {
    const auto at = static_cast<unsigned>(std::stoi(problem.substr(std::string("site.toml:").size())));
    CHECK(at > line);
    line = at;
  }
}

TEST_CASE("relative paths of a file begin at its folder, wherever that is named from", "[config]") {
  Input input = input_of("listen = [\"unix:run/site.sock\"]\n" + app +
                         "directory = \"./src/\"\nvenv = \"../venv\"\n[[static]]\nurl = \"/s/\"\nroot = \"static\"\n"
                         "[log]\naccess = \"access.log\"\nerror = \"/var/log/x\"\n[control]\nsocket = \"c.sock\"\n");
  input.source->file = "deploy/./site.toml";
  const Settings settings = settings_of(input);

  CHECK(settings.listen[0].path == "/home/someone/deploy/run/site.sock");
  CHECK(settings.app.directory == "/home/someone/deploy/src");
  CHECK(settings.app.venv == "/home/someone/deploy/../venv");
  CHECK(settings.static_roots[0].root == "/home/someone/deploy/static");
  CHECK(settings.log.access == "/home/someone/deploy/access.log");
  CHECK(settings.log.error == "/var/log/x");
  CHECK(settings.control_socket == "/home/someone/deploy/c.sock");
}

TEST_CASE("without a file the application's folder is the working directory", "[config]") {
  Input input = input_of("");
  input.source.reset();
  input.overrides = {{"app.module", "site:app", "command line"}};
  CHECK(settings_of(input).app.directory == "/home/someone");
}

TEST_CASE("folders that are not there are problems at their places", "[config]") {
  const TemporaryFolder folder;
  write_file(folder.path() + "/file", "");
  REQUIRE(::mkdir((folder.path() + "/env").c_str(), 0700) == 0);
  Input input = input_of(app + "directory = \"none\"\nvenv = \"env\"\n[[static]]\nurl = \"/s/\"\nroot = \"file\"\n");
  input.source->file = folder.path() + "/site.toml";
  input.check_folders = true;
  const std::string at = folder.path() + "/site.toml:";
  CHECK(problems_of(input) ==
        Texts{at + "3:13: 'app.directory' names \"" + folder.path() + "/none\", which does not exist",
              at + "4:8: 'app.venv' names \"" + folder.path() +
                  "/env\", which is no virtual environment: it has no bin/python to run",
              at + "7:8: 'static' has a wrong 'root': it names \"" + folder.path() + "/file\", which is no folder"});

  REQUIRE(::mkdir((folder.path() + "/env/bin").c_str(), 0700) == 0);
  write_file(folder.path() + "/env/bin/python", "");
  REQUIRE(::chmod((folder.path() + "/env/bin/python").c_str(), 0700) == 0);
  input.source->text = app + "venv = \"env\"\n[[static]]\nurl = \"/s/\"\nroot = \".\"\n";
  CHECK(settings_of(input).static_roots[0].root == folder.path());
}

TEST_CASE("a file is read whole, and one that cannot be read says why", "[config]") {
  const TemporaryFolder folder;
  write_file(folder.path() + "/site.toml", app);
  const auto source = read_source(folder.path() + "/site.toml");
  REQUIRE(source.has_value());
  CHECK(source->text == app);

  const auto none = read_source("/none/site.toml");
  REQUIRE(!none.has_value());
  CHECK(none.error().text() == "read /none/site.toml: No such file or directory");
  CHECK(!read_source(folder.path()).has_value());
  CHECK(!read_source("/dev/zero").has_value());
}

TEST_CASE("the example file loads", "[config]") {
  const auto source = read_source(STINT_SOURCE_DIR "/config/examples/minimal.toml");
  REQUIRE(source.has_value());
  const Settings settings = settings_of(input_of(source->text));
  CHECK(settings.app.name == "mysite");
  CHECK(settings.app.venv == "/srv/mysite/.venv");
}

}  // namespace stint::config
