// to_toml is how the supervisor tells its settings to the workers: nothing may change on the way.
#include "config/schema.h"
#include "config/toml_text.h"
#include "tests/unit/config/loading.h"

namespace stint::config {
namespace {

Settings far_from_defaults() {
  using namespace std::chrono_literals;
  Settings s;
  s.listen = {{ListenAddress::Family::ipv4, "0.0.0.0", 80, {}},
              {ListenAddress::Family::ipv6, "2001:db8::1", 0, {}},
              {ListenAddress::Family::unix_path, {}, 0, "/run/a b\"\\.sock"},
              {.family = ListenAddress::Family::inherited, .name = "admin"}};
  s.app.name = "other-name_2";
  s.app.module = "größe.wsgi:app";
  s.app.directory = "/srv/ü \"quoted\" \\ back";
  s.app.venv = "/srv/venv";
  s.app.env = {{"A", ""}, {"B.C", "x = \"y\" # no comment"}, {"D", "line\nline\ttab\x01\x7f"}};
  s.app.user = "site";
  s.app.group = "1000";
  s.app.umask = 027;
  s.app.nice = -5;
  s.app.limits = {.memory = (2_GiB).count, .open_files = 5000, .processes = LimitsSettings::unlimited, .core = 0};
  s.app.workers = {.count = 7,
                   .max_count = 17,
                   .shrink_after = 90s,
                   .threads = 3,
                   .startup_timeout = 1500ms,
                   .request_timeout = 1h,
                   .raise_on_timeout = true,
                   .raise_on_disconnect = true,
                   .start = StartMode::fork};
  s.app.recycle = {.max_requests = 10'000,
                   .max_rss = 300_MiB,
                   .max_age = 90min,
                   .refork_after = 5000,
                   .max_fds = 500,
                   .max_threads = 20,
                   .min_age = 10s,
                   .kill_rss = 1_GiB,
                   .at_once = 3,
                   .drain_timeout = 1min};
  s.app.mount = "/shop/ü";
  s.app.show_errors = true;
  s.app.retry_interrupted = false;
  s.app.warmup_requests = {"/", "/health?x=1"};
  s.http = {1ms, 2s, 3min, 4h, {1000}, 50, 9_KiB, 3_GiB, 10};
  s.reload = {.watch = true, .settle = 3s, .canary = {.workers = 2, .requests = 7, .max_errors = 1}};
  s.proxy = {{*Network::parse("10.0.0.0/8"), *Network::parse("2001:db8::1"), Network::unix_peers()},
             {ForwardedField::x_request_id, ForwardedField::forwarded, ForwardedField::x_forwarded_prefix},
             true,
             "X-Remote-User"};
  s.static_roots = {{"/static/", "/srv/static"}, {"/media/", "/srv/media", true}};
  s.stop.drain_delay = 15s;
  s.memory.budget = 2_GiB;
  s.control_socket = "/run/c.sock";
  s.log = {LogLevel::error, "/var/log/a", "%h \"%{User-Agent}i\"", "/var/log/e"};
  return s;
}

// Somewhere else, as a worker is.
Input elsewhere(std::string toml) {
  Input input = input_of(std::move(toml));
  input.source->file = "settings of the supervisor";
  input.working_directory = "/nowhere";
  return input;
}

}  // namespace

TEST_CASE("settings survive the way to a worker, each key away from its default", "[config]") {
  const Settings settings = far_from_defaults();
  const Settings defaults = settings_of(input_of("app.module = \"a:b\"\n"));
  for (const Key& key : keys()) {
    CAPTURE(key.path);
    if (!std::holds_alternative<StaticRoots>(key.kind))
      CHECK(value_text(key.kind, settings) != value_text(key.kind, defaults));
  }
  CHECK(settings.static_roots != defaults.static_roots);

  CHECK(settings_of(elsewhere(to_toml(settings))) == settings);
}

TEST_CASE("defaults survive the way to a worker as well", "[config]") {
  const Settings defaults = settings_of(input_of("app.module = \"a:b\"\n"));
  CHECK(settings_of(elsewhere(to_toml(defaults))) == defaults);
}

TEST_CASE("settings with their origins are the same settings", "[config]") {
  Loaded loaded = loaded_of(input_of("app.module = \"a:b\"\n[[static]]\nurl = \"/s/\"\nroot = \"s\"\n"));
  loaded.origins["log.level"] = "evil\nlevel = \"debug\"";
  const std::string text = to_toml(loaded.settings, &loaded.origins);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("module = \"a:b\"  # /srv/mysite/site.toml:1\n"));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("[[static]]  # /srv/mysite/site.toml:2\n"));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("max_header_fields = 100  # default\n"));
  CHECK(settings_of(elsewhere(text)) == loaded.settings);
}

}  // namespace stint::config
