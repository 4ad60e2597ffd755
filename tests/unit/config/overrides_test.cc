#include "tests/unit/config/loading.h"

namespace stint::config {
namespace {

using Texts = std::vector<std::string>;

const std::string app = "[app]\nmodule = \"site.wsgi:application\"\n";

Input with(Override override, std::string toml = app) {
  Input input = input_of(std::move(toml));
  input.overrides = {std::move(override)};
  return input;
}

}  // namespace

TEST_CASE("the command line overrides the file, and origins tell who set what", "[config]") {
  Input input = input_of("listen = [\"127.0.0.1:1\"]\n" + app + "[app.workers]\ncount = 2\n[log]\nlevel = \"debug\"\n");
  input.overrides = {{"app.workers.count", "3", "--workers"}, {"listen", "[\"[::1]:2\", \"unix:a\"]", "--listen"}};
  const Loaded loaded = loaded_of(input);

  CHECK(loaded.settings.app.workers.count == 3);
  REQUIRE(loaded.settings.listen.size() == 2);
  CHECK(loaded.settings.listen[1].path == "/home/someone/a");
  CHECK(loaded.origins.at("app.workers.count") == "--workers");
  CHECK(loaded.origins.at("listen") == "--listen");
  CHECK(loaded.origins.at("app.module") == "/srv/mysite/site.toml:3");
  CHECK(loaded.origins.at("log.level") == "/srv/mysite/site.toml:7");
  CHECK(loaded.origins.at("log.access") == "default");
}

TEST_CASE("a value of the file that is overridden may be wrong", "[config]") {
  CHECK(settings_of(with({"app.workers.count", "3", "--workers"}, app + "[app.workers]\ncount = 0\n"))
            .app.workers.count == 3);
}

TEST_CASE("of two overrides of a key the last one counts", "[config]") {
  Input input = with({"app.workers.count", "3", "--workers"});
  input.overrides.push_back({"app.workers.count", "4", "--set"});
  CHECK(settings_of(input).app.workers.count == 4);
}

TEST_CASE("values on the command line need no quotes where a key takes text", "[config]") {
  CHECK(settings_of(with({"app.directory", "src", "--directory"})).app.directory == "/home/someone/src");
  CHECK(settings_of(with({"app.directory", "\"a b\"", "--set"})).app.directory == "/home/someone/a b");
  CHECK(settings_of(with({"app.name", "123", "--set"})).app.name == "123");
  CHECK(settings_of(with({"log.access", "-", "--access-log"})).log.access == "-");
  CHECK(settings_of(with({"log.access", "", "--access-log"}, app + "[log]\naccess = \"x\"\n")).log.access.empty());
  CHECK(settings_of(with({"log.format", "%h \"%r\" \\n", "--set"})).log.format == "%h \"%r\" \\n");
  CHECK(settings_of(with({"app.workers.count", "auto", "--workers"})).app.workers.count >= 1);
  CHECK(settings_of(with({"app.recycle.max_age", "5m", "--set"})).app.recycle.max_age == std::chrono::minutes(5));
  CHECK(settings_of(with({"app.recycle.max_age", "0", "--set"})).app.recycle.max_age == Duration::zero());
  CHECK(settings_of(with({"app.recycle.max_rss", "256MiB", "--set"})).app.recycle.max_rss == 256_MiB);
  CHECK(settings_of(with({"listen", "[::1]:8000", "--set"})).listen[0].text() == "[::1]:8000");
  CHECK_FALSE(settings_of(with({"app.retry_interrupted", "false", "--set"})).app.retry_interrupted);
  CHECK(settings_of(with({"app.recycle.max_requests", "10_000", "--set"})).app.recycle.max_requests == 10'000);
  CHECK(settings_of(with({"static", "[{ url = \"/s/\", root = \"s\" }]", "--set"})).static_roots ==
        std::vector<StaticSettings>{{"/s/", "/home/someone/s"}});
}

TEST_CASE("single environment variables are laid over the file's", "[config]") {
  Input input = with({"app.env.B", "2", "--set"}, app + "env = { A = \"1\", B = \"1\" }\n");
  input.overrides.push_back({"app.env.C.D", "a = b", "--set"});
  CHECK(settings_of(input).app.env == std::map<std::string, std::string>{{"A", "1"}, {"B", "2"}, {"C.D", "a = b"}});
  CHECK(problems_of(with({"app.env.", "x", "--set"})) == Texts{"--set: 'app.env' has a variable that cannot be: \"\""});
}

TEST_CASE("wrong options are told by their names", "[config]") {
  const auto [override, problem] = GENERATE(table<Override, std::string>({
      {{"app.workers.count", "many", "--workers"},
       "--workers: 'app.workers.count' must be a whole number from 1 to 1024, \"auto\" or a range such as { min = 2, "
       "max = 8 }, not \"many\""},
      {{"app.workers.count", "1\nx = 2", "--workers"},
       "--workers: 'app.workers.count' must be a whole number from 1 to 1024, \"auto\" or a range such as { min = 2, "
       "max = 8 }, not \"1\\nx = 2\""},
      {{"app.wrokers.count", "1", "--set"},
       "--set: unknown key 'app.wrokers.count'; did you mean 'app.workers.count'?"},
      {{"max_requests", "1", "--set"}, "--set: unknown key 'max_requests'; did you mean 'app.recycle.max_requests'?"},
      {{"recycle.max_reqests", "1", "--set"},
       "--set: unknown key 'recycle.max_reqests'; did you mean 'app.recycle.max_requests'?"},
      {{"app.workers", "1", "--set"}, "--set: 'app.workers' is a table; name one of its keys"},
      {{"qqqqqq", "1", "--set"}, "--set: unknown key 'qqqqqq'"},
      {{"log.level", "\"info", "--set"}, "--set: 'log.level' has a value that is no TOML: \"info"},
      {{"app.module", "mysite", "command line"},
       "command line: 'app.module' must be MODULE:CALLABLE, such as \"mysite.wsgi:application\", not \"mysite\"; did "
       "you "
       "mean \"mysite:application\"?"},
      {{"app.name", "\xff", "--set"}, "--set: 'app.name' has a value that is no TOML: \xff"},
  }));
  CHECK(problems_of(with(override)) == Texts{problem});
}

TEST_CASE("PORT counts only when nothing names a listener", "[config]") {
  Input input = input_of(app);
  input.port = "9000";
  const Loaded by_port = loaded_of(input);
  REQUIRE(by_port.settings.listen.size() == 1);
  CHECK(by_port.settings.listen[0].text() == "0.0.0.0:9000");
  CHECK(by_port.origins.at("listen") == "environment PORT");

  input.source->text = "listen = [\"127.0.0.1:1\"]\n" + app;
  CHECK(settings_of(input).listen[0].text() == "127.0.0.1:1");
  input.port = "nonsense";
  CHECK(settings_of(input).listen[0].text() == "127.0.0.1:1");

  input.source->text = app;
  for (const char* bad : {"nonsense", "", "70000", "-1", "80 "}) {
    input.port = bad;
    CHECK(problems_of(input) ==
          Texts{"environment PORT: '" + std::string(bad) + "' is no port; a port is a number from 0 to 65535"});
  }
}

}  // namespace stint::config
