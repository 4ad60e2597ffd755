#include "server/supervisor/server.h"

#include "server/supervisor/log_files.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace stint::supervisor {

namespace {

// For each address that is wanted: which of the open ones it is, each once (127.0.0.1:0 may be there twice). nullopt: a
// new one.
std::vector<std::optional<std::size_t>> matches(const std::vector<ListenAddress>& open,
                                                const std::vector<ListenAddress>& wanted) {
  std::vector<std::optional<std::size_t>> found;
  std::vector<bool> is_taken(open.size());
  for (const ListenAddress& address : wanted) {
    std::size_t at = 0;
    while (at < open.size() && (is_taken[at] || !(open[at] == address))) ++at;
    if (at < open.size()) is_taken[at] = true;
    found.push_back(at < open.size() ? std::optional(at) : std::nullopt);
  }
  return found;
}

}  // namespace

// Reads the settings and starts a generation with them, or says why not. Nothing has changed before it takes over.
void Supervisor::Server::reload(bool only_settings) {
  if (rehearsal_ || ticks_to_upgrade_ > 0) give_up_upgrade("superseded", "a reload has begun");
  auto fresh = read_settings_(settings_);
  if (!fresh) return pool_->refuse_reload("settings", "the settings are not valid", fresh.error().text());
  const auto& changes = fresh->changes;
  const bool costs_nothing = std::all_of(changes.begin(), changes.end(), [](const SettingsChange& change) {
    return change.cost == ChangeCost::nothing || change.cost == ChangeCost::restart;
  });
  if (only_settings && costs_nothing && !pool_->is_reloading()) {
    if (auto taken = pool_->take_up(fresh->settings, fresh->toml, std::move(fresh->changes)); !taken)
      return pool_->refuse_reload("prepare", taken.error().text(), "");
    settings_ = std::move(fresh->settings);
    settings_toml_ = std::move(fresh->toml);
    return watch_sources();
  }
  const LogSettings& log = fresh->settings.log;
  if (auto made = make_error_log(log, fresh->settings.app.account); !made)
    return pool_->refuse_reload("log", made.error().text(), "");
  if (auto made = make_access_log(log, fresh->settings.app.account); !made)
    return pool_->refuse_reload("log", made.error().text(), "");
  Listeners opened;
  std::vector<const net::Listener*> sockets;
  // What it takes from a reload that is under way is lost to that one, and both fail together.
  if (auto found = sockets_of(fresh->settings, opened, sockets); !found)
    return pool_->refuse_reload("listen", found.error().text(), "");
  auto generation = Generation::make(io_, pool_->next_generation(), fresh->settings, fresh->toml, sockets, inbox_);
  if (!generation) return pool_->refuse_reload("prepare", generation.error().text(), "");
  opened_ = std::move(opened);
  pending_ = std::move(*fresh);
  pool_->reload(
      std::move(*generation), pending_.settings.reload, pending_.changes, [this] { take_over_settings(); },
      [this] { opened_.clear(); });
}

// The listener of each address: one that is open already, also for a reload that this one supersedes, or one opened
// now.
Result<void> Supervisor::Server::sockets_of(const Settings& settings, Listeners& opened,
                                            std::vector<const net::Listener*>& sockets) {
  const auto known = matches(settings_.listen, settings.listen);
  for (std::size_t i = 0; i < known.size(); ++i) {
    const ListenAddress& address = settings.listen[i];
    if (known[i]) {
      add_pointers(listeners_[*known[i]], sockets);
      continue;
    }
    const auto waiting = std::find_if(opened_.begin(), opened_.end(), [&address](const auto& listeners) {
      return listeners.size() == 1 && listeners.front().address == address;
    });
    if (waiting != opened_.end()) {
      opened.push_back(std::move(*waiting));
      opened_.erase(waiting);
    } else {
      auto listener = net::open_listener(address, socket_group_of(settings.app));
      if (!listener) return listener.error();
      opened.emplace_back().push_back(std::move(*listener));
    }
    add_pointers(opened.back(), sockets);  // they stay: the inner vectors are moved as a whole
  }
  return {};
}

void Supervisor::Server::add_pointers(const std::vector<net::Listener>& listeners,
                                      std::vector<const net::Listener*>& pointers) {
  for (const net::Listener& listener : listeners) pointers.push_back(&listener);
}

std::vector<const net::Listener*> Supervisor::Server::pointers_to(const Listeners& listeners) {
  std::vector<const net::Listener*> pointers;
  for (const auto& of_one_address : listeners) add_pointers(of_one_address, pointers);
  return pointers;
}

// The Pool's new generation serves. Listeners that are wanted no more are closed here; old workers let theirs go.
void Supervisor::Server::take_over_settings() {
  Listeners listeners;
  std::size_t next_opened = 0;
  for (const auto& known : matches(settings_.listen, pending_.settings.listen))
    listeners.push_back(std::move(known ? listeners_[*known] : opened_[next_opened++]));
  listeners_ = std::move(listeners);
  opened_.clear();
  const bool is_logged_elsewhere =
      pending_.settings.log.error != settings_.log.error || pending_.settings.log.level != settings_.log.level;
  settings_ = std::move(pending_.settings);
  settings_toml_ = std::move(pending_.toml);
  if (is_logged_elsewhere) static_cast<void>(open_own_log());  // logged
  watch_sources();
}

// For development. What cannot be watched is told, and no reason not to serve.
void Supervisor::Server::watch_sources() {
  if (source_watch_ && settings_.reload.watch && watched_ == settings_.app.directory) return;
  source_watch_.reset();
  watched_ = settings_.app.directory;
  if (!settings_.reload.watch) return;
  auto watch = SourceWatch::make(io_, settings_.app.directory, settings_file_, [this] {
    if (state_ == State::stopping) return;
    have_sources_changed_ = true;
    on_change();
  });
  if (!watch) {
    log_.warning("sources not watched", {{"error", watch.error().text()}, {"next", "reload by hand"}});
    return;
  }
  source_watch_ = std::move(*watch);
  log_.info("watching sources", {{"folder", settings_.app.directory}, {"folders", source_watch_->folders()}});
  if (source_watch_->is_incomplete())
    log_.warning("not all sources are watched", {{"next", "raise fs.inotify.max_user_watches, or reload by hand"}});
}

}  // namespace stint::supervisor
