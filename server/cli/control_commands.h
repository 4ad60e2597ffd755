// `stint status`, `top`, `recycle`, `reload`, `upgrade`, `trace`, `reopen-logs` and `stop`: questions to the running
// server's control socket. Run in a process of their own; `path` is the socket's. They return the exit code: 0, or 1
// with one sentence on stderr.
#pragma once

#include <optional>
#include <string>

namespace stint::cli {

int run_status(const std::string& path, bool json);
int run_top(const std::string& path);                                    // on a terminal until interrupted, else once
int run_recycle(const std::string& path, std::optional<unsigned> slot);  // nullopt: all, one by one
// 1 when the reload failed, with its step, its error and Python's traceback on stderr. Without `wait` it has only
// begun.
int run_reload(const std::string& path, bool only_settings, bool wait);
// Likewise, of an upgrade.
int run_upgrade(const std::string& path, bool wait);
int run_trace(const std::string& path, std::optional<unsigned> slot, bool json);  // nullopt: all
int run_reopen_logs(const std::string& path);      // 0: the supervisor has, and has told the workers to
int run_stop(const std::string& path, bool wait);  // wait: until the process has gone

}  // namespace stint::cli
