#include "server/supervisor/supervisor.h"

#include "server/supervisor/server.h"

#include <utility>

namespace stint::supervisor {

Supervisor::Supervisor(const Settings& settings, std::string settings_toml,
                       std::variant<FreshStart, Continuation> beginning, Program program, Log& log,
                       LogChanger change_own_log, SettingsReader read_settings, std::string settings_file)
    : server_(std::make_unique<Server>(settings, std::move(settings_toml), std::move(beginning), std::move(program),
                                       log, std::move(change_own_log), std::move(read_settings),
                                       std::move(settings_file))) {}

Supervisor::~Supervisor() = default;

int Supervisor::run() { return server_->run(); }
}  // namespace stint::supervisor
