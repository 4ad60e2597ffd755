// The upgrade's part of Pool: what the new program gets, and how it takes it up.
#include "server/supervisor/pool.h"

#include <algorithm>
#include <utility>

namespace stint::supervisor {

void Pool::begin_upgrade() {
  begin_report(serving_->number, {});
  report_.upgrade_from = STINT_VERSION;
  report_.phase = "rehearsing";
}

bool Pool::is_upgrading() const {
  return report_.state == ReloadReport::State::running && !report_.upgrade_from.empty() && !coming_;
}

void Pool::fail_upgrade(std::string step, std::string error) {
  log_.error("upgrade failed",
             {{"pool", app().name}, {"step", step}, {"error", error}, {"next", "version " STINT_VERSION " goes on"}});
  report_.step = std::move(step);
  report_.error = std::move(error);
  end_report(ReloadReport::State::failed);
}

PoolState Pool::state() const {
  PoolState state{.generation = serving_->number,
                  .last_generation = last_generation_,
                  .count = count_,
                  .reload = report_.id,
                  .reload_began = reload_began_,
                  .restarts = restarts_,
                  .recycled = recycled_,
                  .former = former_,
                  .keepers_left = {keepers_left_.begin(), keepers_left_.end()},
                  .workers = {}};
  for (const auto& [id, worker] : workers_) {
    if (!worker->has_process()) continue;  // its channel goes with this program: should it still come, it ends
    const StartedWorker& process = worker->process();
    state.workers.push_back({.record = worker->record(),
                             .pid = process.pid,
                             .pidfd = process.pidfd.get(),
                             .channel = process.channel.fd(),
                             .status_page = process.status_page_file.get(),
                             .connection_table = process.connection_table_file.get()});
  }
  return state;
}

Result<void> Pool::adopt(const PoolState& state, const std::string& former_version) {
  last_generation_ = state.last_generation;
  count_ = state.count;
  restarts_ = state.restarts;
  recycled_ = state.recycled;
  former_ = state.former;
  keepers_left_ = {state.keepers_left.begin(), state.keepers_left.end()};
  has_been_ready_ = true;
  reload_began_ = state.reload_began;
  report_ = {.state = ReloadReport::State::running,
             .id = state.reload,
             .from = state.generation,
             .to = state.generation,
             .upgrade_from = former_version};
  unsigned slots = count_;
  for (const WorkerUnderUpgrade& worker : state.workers) slots = std::max(slots, worker.record.slot);
  slots_.resize(slots);
  for (const WorkerUnderUpgrade& worker : state.workers)
    if (auto adopted = adopt_worker(worker); !adopted) return adopted;
  for (const auto& [id, worker] : workers_)  // what those listened to nobody knows any more
    if (worker->generation() != state.generation) listens_elsewhere_.insert(worker->generation());
  return {};
}

Result<void> Pool::adopt_worker(const WorkerUnderUpgrade& worker) {
  auto page = control::StatusPage::map(worker.status_page);
  if (!page) return page.error();
  auto table = control::ConnectionTableView::map(worker.connection_table);
  if (!table) return table.error();
  StartedWorker process{.pid = worker.pid,
                        .pidfd = UniqueFd(worker.pidfd),
                        .channel = control::Channel(UniqueFd(worker.channel)),
                        .status_page = std::move(*page),
                        .connections = std::move(*table),
                        .status_page_file = UniqueFd(worker.status_page),
                        .connection_table_file = UniqueFd(worker.connection_table)};
  const WorkerId id{next_id_++};
  WorkerHandle& handle =
      *workers_.emplace(id, std::make_unique<WorkerHandle>(io_, id, worker.record, std::move(process))).first->second;
  watch_channel(handle);
  watch_exit(handle);
  return {};
}

}  // namespace stint::supervisor
