// What the operator decided, validated: the TOML file with command-line options laid over it. Immutable after
// config/ has made it; a value that copies and compares. Every field is one key of config/schema (which
// holds defaults, help and bounds); names here are the names there. A zero duration or size means "no limit"
// only where the comment says so.
#pragma once

#include "stint/account.h"
#include "stint/bytes.h"
#include "stint/forwarded_field.h"
#include "stint/listen_address.h"
#include "stint/log.h"
#include "stint/network.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stint {

using Duration = std::chrono::milliseconds;

enum class StartMode {
  fresh,  // each worker starts Python and imports the application
  fork    // a zygote of the generation has done that once; workers are forked from it
};

struct WorkersSettings {
  unsigned count = 1;             // "auto" in the TOML has been replaced by the number of usable processors
  unsigned max_count = 0;         // more than `count`: there are as many as the load asks for, from `count` up to here
  Duration shrink_after{};        // with max_count: for so long fewer would have done
  unsigned threads = 1;           // of a worker that call the application at the same time
  Duration startup_timeout{};     // from exec to ready
  Duration request_timeout{};     // one call into the application without progress; 0: no limit
  bool raise_on_timeout = false;  // in its thread, when it has been answered 504
  bool raise_on_disconnect = false;  // in the thread of a safe request whose client has gone
  StartMode start = StartMode::fresh;
  bool operator==(const WorkersSettings&) const = default;
};

struct RecycleSettings {
  std::uint64_t max_requests = 0;  // 0: never
  Bytes max_rss;                   // private memory; 0: never
  Duration max_age{};              // 0: never
  std::uint64_t refork_after = 0;  // with start = fork: requests after which a worker becomes the zygote; 0: never
  unsigned max_fds = 0;            // open descriptors; 0: never
  unsigned max_threads = 0;        // 0: never
  Duration min_age{};              // younger workers are not replaced because of a limit (kill_rss excepted)
  Bytes kill_rss;                  // private memory at which a worker is killed in mid-request; 0: never
  unsigned at_once = 1;            // workers out at a time: replacements starting plus workers retiring
  Duration drain_timeout{};        // from "retire" until what is left is closed
  bool operator==(const RecycleSettings&) const = default;
};

// How long an application's exit handlers may take, on top of drain_timeout.
inline constexpr Duration exit_handlers_time{10'000};

// Limits of each worker process (setrlimit(2), soft and hard); nullopt: those of the supervisor.
struct LimitsSettings {
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};
  std::optional<std::uint64_t> memory;  // RLIMIT_AS, in bytes
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> processes;
  std::optional<std::uint64_t> core;  // in bytes
  bool operator==(const LimitsSettings&) const = default;
};

struct AppSettings {
  std::string name;       // the pool's name; from the module's first part when not given
  std::string module;     // "package.module:callable"
  std::string directory;  // absolute: working directory and sys.path[0] of the workers
  std::string venv;       // absolute, or empty: the Python that Stint was built with
  std::map<std::string, std::string> env;
  std::string user;   // name or number; empty: the user that started Stint
  std::string group;  // name or number; empty: the user's primary group
  // No key: `user` and `group` looked up, once, by the process that checks the settings. A worker that reads them again
  // has none, and needs none: it is that user.
  std::optional<Account> account;
  std::optional<unsigned> umask;  // nullopt: the supervisor's
  int nice = 0;                   // added to the supervisor's
  LimitsSettings limits;
  std::string mount;         // where the application stands: "" or "/shop", its SCRIPT_NAME
  bool show_errors = false;  // an answer 500 shows the traceback: for development
  WorkersSettings workers;
  RecycleSettings recycle;
  // A request that a worker's death interrupted before any of its answer was out, with a method that is safe (RFC 9110
  // §9.2.1), is served once more by another worker instead of being answered 502.
  bool retry_interrupted = true;
  std::vector<std::string> warmup_requests;  // [app.warmup] requests: targets such as "/"
  bool operator==(const AppSettings&) const = default;
};

struct HttpSettings {
  Duration head_timeout{};
  Duration body_timeout{};  // without a byte of progress
  Duration idle_timeout{};
  Duration write_timeout{};  // without a byte of progress
  Bytes max_request_line;
  unsigned max_header_fields = 0;
  Bytes max_header_size;  // all header fields together
  Bytes max_body;
  unsigned max_connections = 0;  // per worker
  bool operator==(const HttpSettings&) const = default;
};

struct ProxySettings {
  std::vector<Network> trusted;         // peers that may speak for others; empty: none
  std::vector<ForwardedField> headers;  // fields of theirs that count
  bool protocol = false;                // every connection begins with a PROXY protocol header, from trusted peers only
  std::string user_header;              // field of theirs that becomes REMOTE_USER; empty: none
  bool operator==(const ProxySettings&) const = default;
};

struct StaticSettings {
  std::string url;           // prefix, begins and ends with "/"
  std::string root;          // absolute folder
  bool is_internal = false;  // no client reaches it: the application names its files in X-Sendfile or X-Accel-Redirect
  bool operator==(const StaticSettings&) const = default;
};

// Of a new generation, `workers` serve first, for `requests`; more than `max_errors` answers of 500 and above end it.
struct CanarySettings {
  unsigned workers = 0;  // 0: none; all workers take over together
  std::uint64_t requests = 0;
  std::uint64_t max_errors = 0;
  bool operator==(const CanarySettings&) const = default;
};

struct ReloadSettings {
  bool watch = false;  // reload when the application's sources change: for development
  Duration settle{};   // a new generation that is ready has to stay alive so long before it takes over
  CanarySettings canary;
  bool operator==(const ReloadSettings&) const = default;
};

struct StopSettings {
  Duration drain_delay{};  // serves on for this long before it stops; 0: stops at once
  bool operator==(const StopSettings&) const = default;
};

struct MemorySettings {
  Bytes budget;  // private memory of all workers together; 0: what the control group and the machine have left
  bool operator==(const MemorySettings&) const = default;
};

struct LogSettings {
  LogLevel level = LogLevel::info;
  std::string access;  // path, "-" (stdout) or "" (off)
  std::string format;  // "combined", "common", "json" or an Apache LogFormat string
  std::string error;   // path or "-" (stderr)
  bool operator==(const LogSettings&) const = default;
};

struct Settings {
  std::vector<ListenAddress> listen;
  AppSettings app;
  HttpSettings http;
  ProxySettings proxy;
  ReloadSettings reload;
  std::vector<StaticSettings> static_roots;  // [[static]]
  StopSettings stop;
  MemorySettings memory;
  std::string control_socket;  // [control] socket; empty: the default place
  LogSettings log;
  bool operator==(const Settings&) const = default;
};

}  // namespace stint
