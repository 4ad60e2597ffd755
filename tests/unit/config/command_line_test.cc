#include "server/cli/command_line.h"

#include "tests/support/catch.h"

namespace stint::cli {
namespace {

using Words = std::vector<std::string>;

// "key=value (origin)" for each override, in order.
Words overrides_of(const SettingsArguments& arguments) {
  Words texts;
  for (const config::Override& o : arguments.overrides) texts.push_back(o.key + "=" + o.value + " (" + o.origin + ")");
  return texts;
}

template <class Asked>
Asked parsed(const Words& words) {
  const Command command = parse_command_line(words);
  if (const auto* error = std::get_if<UsageError>(&command)) FAIL(error->text);
  REQUIRE(std::holds_alternative<Asked>(command));
  return std::get<Asked>(command);
}

std::string usage_error(const Words& words) {
  const Command command = parse_command_line(words);
  const auto* error = std::get_if<UsageError>(&command);
  return error ? error->text : "no error";
}

}  // namespace

TEST_CASE("serve takes an application, a file and options", "[cli]") {
  const Serve serve = parsed<Serve>({"serve",        "mysite.wsgi:application",
                                     "-c",           "a.toml",
                                     "--listen",     "[::1]:8000",
                                     "--listen",     "unix:a b",
                                     "--workers",    "4",
                                     "--threads",    "2",
                                     "--directory",  "src",
                                     "--venv",       ".venv",
                                     "--access-log", "-",
                                     "--set",        "log.level=debug",
                                     "--set",        "app.env.A=b=c"});
  CHECK(serve.settings.file == "a.toml");
  CHECK(overrides_of(serve.settings) ==
        Words{"app.module=mysite.wsgi:application (command line)", R"(listen=["[::1]:8000", "unix:a b"] (--listen))",
              "app.workers.count=4 (--workers)", "app.workers.threads=2 (--threads)", "app.directory=src (--directory)",
              "app.venv=.venv (--venv)", "log.access=- (--access-log)", "log.level=debug (--set)",
              "app.env.A=b=c (--set)"});
}

TEST_CASE("options may stand before the application and be joined by an equals sign", "[cli]") {
  const Serve serve =
      parsed<Serve>({"serve", "--listen=127.0.0.1:0", "--workers=auto", "--set=a=[\"x\",\"y\"]", "a:b"});
  CHECK(!serve.settings.file);
  CHECK(overrides_of(serve.settings) == Words{"app.module=a:b (command line)", "listen=[\"127.0.0.1:0\"] (--listen)",
                                              "app.workers.count=auto (--workers)", "a=[\"x\",\"y\"] (--set)"});
  CHECK(overrides_of(parsed<Serve>({"serve"}).settings).empty());
  CHECK(overrides_of(parsed<Serve>({"serve", "--listen", "127.0.0.1:1", "a:b"}).settings).size() == 2);
}

TEST_CASE("an empty value does not swallow the word after it", "[cli]") {
  const Words expected{"app.module=a:b (command line)", "log.access= (--access-log)"};
  CHECK(overrides_of(parsed<Serve>({"serve", "--access-log=", "a:b"}).settings) == expected);
  CHECK(overrides_of(parsed<Serve>({"serve", "--access-log", "", "a:b"}).settings) == expected);
}

TEST_CASE("check and config show take the same settings", "[cli]") {
  CHECK(parsed<Check>({"check", "-c", "x.toml"}).settings.file == "x.toml");
  CHECK(overrides_of(parsed<ConfigShow>({"config", "show", "a:b"}).settings) == Words{"app.module=a:b (command line)"});
  parsed<ConfigDefault>({"config", "default"});
  parsed<ConfigSchema>({"config", "schema"});
}

TEST_CASE("commands to a running server say which one", "[cli]") {
  CHECK(parsed<Status>({"status", "--json"}).is_json);
  CHECK(!parsed<Status>({"status"}).is_json);
  CHECK(parsed<Status>({"status", "--socket", "/run/c"}).server.socket == "/run/c");
  CHECK(parsed<Recycle>({"recycle", "3"}).slot == 3u);
  CHECK(parsed<Top>({"top", "--socket", "/run/c.sock"}).server.socket == "/run/c.sock");
  CHECK(!parsed<Recycle>({"recycle", "-c", "a.toml"}).slot);
  CHECK(parsed<Recycle>({"recycle", "-c", "a.toml"}).server.file == "a.toml");
  CHECK(parsed<Trace>({"trace", "2", "--json"}).slot == 2u);
  CHECK(parsed<Trace>({"trace", "--json"}).is_json);
  CHECK(!parsed<Trace>({"trace"}).slot);
  CHECK(parsed<ReopenLogs>({"reopen-logs", "--socket", "/run/s"}).server.socket == "/run/s");
  CHECK(!parsed<Stop>({"stop"}).server.file);
  CHECK(!parsed<Stop>({"stop"}).waits);
  CHECK(parsed<Stop>({"stop", "--wait"}).waits);
}

TEST_CASE("a worker's words are left as they are, the first one included", "[cli]") {
  CHECK(parsed<Worker>({"worker", "--slot", "1", "--help", ""}).arguments ==
        Words{"worker", "--slot", "1", "--help", ""});
  CHECK(parsed<Zygote>({"zygote", "--generation", "1"}).arguments == Words{"zygote", "--generation", "1"});
}

TEST_CASE("the words of an upgrade stand before those that started the server", "[cli]") {
  const auto resume = parsed<Resume>({"resume", "12", "13", "serve", "site:app", "--workers", "4"});
  CHECK(resume.state == 12);
  CHECK(resume.former == 13);
  CHECK(overrides_of(resume.serve.settings) ==
        Words{"app.module=site:app (command line)", "app.workers.count=4 (--workers)"});
  CHECK(parsed<Rehearse>({"rehearse", "12", "serve"}).state == 12);
  CHECK(parsed<Return>({"return", "12", "no memory", "serve"}).why == "no memory");
  CHECK(parsed<Upgrade>({"upgrade", "--wait"}).waits);

  for (const Words& words : {Words{"resume"},
                             {"resume", "1", "2"},
                             {"resume", "x", "2", "serve"},
                             {"rehearse", "serve"},
                             {"return", "1", "why", "status"},
                             {"resume", "1", "2", "resume", "1", "2", "serve"}}) {
    CHECK_THAT(usage_error(words), Catch::Matchers::ContainsSubstring("is executed by Stint's supervisor only"));
  }
}

TEST_CASE("help and version are answers", "[cli]") {
  parsed<Version>({"--version"});
  CHECK_THAT(parsed<Help>({"--help"}).text, Catch::Matchers::ContainsSubstring("recycle"));
  CHECK_THAT(parsed<Help>({"serve", "--help"}).text, Catch::Matchers::ContainsSubstring("--access-log"));
  CHECK_THAT(parsed<Help>({"config", "show", "-h"}).text, Catch::Matchers::ContainsSubstring("--set"));
}

TEST_CASE("what is not understood is told in one line, with what was probably meant", "[cli]") {
  const auto [words, text] = GENERATE(table<Words, std::string>({
      {Words{}, "stint: say what to do, such as: stint serve mysite.wsgi:application (see: stint --help)"},
      {{"mysite.wsgi:application"},
       "stint: unknown command 'mysite.wsgi:application'; did you mean 'stint serve mysite.wsgi:application'? (see: "
       "stint "
       "--help)"},
      {{"mysite.wsgi:application", "--workers", "4"},
       "stint: unknown command 'mysite.wsgi:application'; did you mean 'stint serve mysite.wsgi:application'? (see: "
       "stint "
       "--help)"},
      {{"sevre", "a:b"}, "stint: unknown command 'sevre'; did you mean 'serve'? (see: stint --help)"},
      {{"frobnicate"}, "stint: unknown command 'frobnicate' (see: stint --help)"},
      {{"config"}, "stint config: say which: show, default or schema (see: stint config --help)"},
      {{"config", "shwo"}, "stint config: unknown command 'shwo'; did you mean 'show'? (see: stint config --help)"},
      {{"serve", "--wrokers", "4"},
       "stint serve: unknown option '--wrokers'; did you mean '--workers'? (see: stint serve --help)"},
      {{"serve", "--wrokers=4"},
       "stint serve: unknown option '--wrokers'; did you mean '--workers'? (see: stint serve --help)"},
      {{"serve", "--qqqqqqqq"}, "stint serve: unknown option '--qqqqqqqq' (see: stint serve --help)"},
      {{"serve", "a:b", "c:d"}, "stint serve: 'c:d' is one word too many (see: stint serve --help)"},
      {{"serve", "--set", "nonsense"}, "stint serve: --set wants KEY=VALUE, not 'nonsense' (see: stint serve --help)"},
      {{"serve", "--workers"}, "stint serve: --workers wants one value, and only once (see: stint serve --help)"},
      {{"serve", "--workers", "1", "--workers", "2"},
       "stint serve: --workers wants one value, and only once (see: stint serve --help)"},
      {{"config", "show", "--set", "=1"},
       "stint config show: --set wants KEY=VALUE, not '=1' (see: stint config show --help)"},
  }));
  CHECK(usage_error(words) == text);
}

TEST_CASE("a slot that is no number from 1 on is a usage error", "[cli]") {
  for (const Words& words : {Words{"recycle", "first"}, Words{"recycle", "0"}, Words{"recycle", "-1"}}) {
    const std::string text = usage_error(words);
    CHECK_THAT(text, Catch::Matchers::StartsWith("stint " + words[0] + ": "));
    CHECK(text.find('\n') == text.npos);
  }
}

}  // namespace stint::cli
