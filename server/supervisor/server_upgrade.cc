#include "server/supervisor/server.h"

#include "server/control/idle_workers.h"
#include "server/control/signals_blocked.h"

#include <chrono>

namespace stint::supervisor {

using namespace std::chrono_literals;

namespace {

// It loads a program and reads some files; all workers go on meanwhile.
constexpr auto rehearsal_limit = 30s;
// A caught signal takes up to two rounds of the loop to its handler.
constexpr unsigned ticks_for_signals = 3;
// Of 50 ms: an operator's command has 5 s, and another one may come meanwhile.
constexpr unsigned most_ticks_with_operator = 200;

}  // namespace

// A new program shows in a child that it can go on, and then does, in this process.
Result<void> Supervisor::Server::upgrade() {
  if (state_ != State::serving) return error_because("the server is " + std::string(text_of(state_)));
  if (pool_->is_upgrading()) return {};  // it is what was asked for
  if (pool_->is_reloading()) return error_because("a reload is under way; try again when it is done");
  pool_->begin_upgrade();
  log_.info(
      "upgrading",
      {{"pool", settings_.app.name}, {"from", STINT_VERSION}, {"program", program_.file}, {"next", "rehearsing"}});
  auto rehearsal = Rehearsal::start(io_, program_, upgrade_state(), rehearsal_limit,
                                    [this](Result<std::string> version) { on_rehearsed(std::move(version)); });
  if (rehearsal)
    rehearsal_ = std::move(*rehearsal);
  else
    pool_->fail_upgrade("rehearsal", rehearsal.error().text());
  return {};
}

void Supervisor::Server::on_rehearsed(Result<std::string> version) {
  rehearsal_.reset();
  if (!version) {
    pool_->fail_upgrade("rehearsal", version.error().text());
  } else {
    ticks_to_upgrade_ = ticks_for_signals;
    ticks_with_operator_ = 0;
  }
  on_change();
}

void Supervisor::Server::give_up_upgrade(std::string step, std::string why) {
  if (!pool_->is_upgrading()) return;
  rehearsal_.reset();
  ticks_to_upgrade_ = 0;
  control::hear_signals();
  pool_->fail_upgrade(std::move(step), std::move(why));
}

// At each tick. Signals wait first, so that the last one that was caught has come out of the loop before the loop
// goes; and no operator is left in the middle of a word: those who come now wait in the socket's queue.
void Supervisor::Server::upgrade_if_due() {
  if (ticks_to_upgrade_ == 0) return;
  control::hold_signals();
  if (ticks_to_upgrade_ > 1) {
    --ticks_to_upgrade_;
    return;
  }
  if (command_server_ && command_server_->is_talking()) {
    if (++ticks_with_operator_ > most_ticks_with_operator)
      give_up_upgrade("exec", "an operator's command does not end; try again");
    return;
  }
  ticks_to_upgrade_ = 0;
  const Error error = replace_this_program(program_, upgrade_state());
  control::hear_signals();
  pool_->fail_upgrade("exec", error.text());
}

UpgradeState Supervisor::Server::upgrade_state() const {
  UpgradeState state{.formats = own_formats(),
                     .version = STINT_VERSION,
                     .settings = settings_toml_,
                     .began = began_,
                     .service_manager = service_manager_settings_,
                     .inbox_put = inbox_.put.get(),
                     .inbox_take = inbox_.take.get(),
                     .listeners = {},
                     .control_socket = {},
                     .control_path = {},
                     .pool = pool_->state()};
  for (const auto& of_one_address : listeners_) {
    auto& sockets = state.listeners.emplace_back();
    for (const net::Listener& listener : of_one_address) sockets.push_back({listener.socket.get(), listener.file.id()});
  }
  if (command_server_) {
    const control::CommandSocket& socket = command_server_->socket();
    state.control_socket = {socket.fd(), socket.file()};
    state.control_path = socket.path();
  }
  return state;
}

// All that upgrade_state() tells of, taken over from the program that ran in this process before.
Result<void> Supervisor::Server::go_on(const Continuation& continuation) {
  const UpgradeState& state = continuation.state;
  close_at_exec(descriptors_of(state));
  began_ = state.began;
  inbox_ = {UniqueFd(state.inbox_put), UniqueFd(state.inbox_take), {}};
  for (const auto& of_one_address : state.listeners) {
    auto& listeners = listeners_.emplace_back();
    for (const SocketState& known : of_one_address) {
      auto listener = net::adopt_listener(UniqueFd(known.socket));
      if (!listener) return listener.error();
      if (known.file) listener->file = net::SocketFile(*known.file);
      listeners.push_back(std::move(*listener));
    }
  }
  if (listeners_.size() != settings_.listen.size())
    return error_because("there are listeners of " + std::to_string(listeners_.size()) + " addresses for " +
                         std::to_string(settings_.listen.size()));
  auto generation =
      Generation::make(io_, state.pool.generation, settings_, settings_toml_, pointers_to(listeners_), inbox_);
  if (!generation) return generation.error();
  // The workers that run on keep the page they have; they are replaced soon.
  auto idle_workers = control::make_idle_workers();
  if (!idle_workers) return idle_workers.error();
  inbox_.idle_workers = std::move(*idle_workers);
  pool_.emplace(io_, std::move(*generation), log_, [this] { on_change(); });
  if (auto adopted = pool_->adopt(state.pool, state.version); !adopted) return adopted;
  if (state.control_socket) {
    const auto& known = *state.control_socket;
    serve_commands(
        {{UniqueFd(known.socket), known.file ? net::SocketFile(*known.file) : net::SocketFile()}, state.control_path});
  }
  service_manager_settings_ = state.service_manager;
  service_manager_.emplace(service_manager_settings_, log_);
  state_ = State::serving;
  service_manager_->has_been_told(view());
  return {};
}

// Nothing has been closed yet, so the former program finds all that it left.
int Supervisor::Server::give_back(const Continuation& continuation, const Error& why) {
  if (!continuation.former_program.is_open()) return 1;
  control::hold_signals();  // until that one has its handlers again
  const Error failure = go_back(continuation.former_program.get(), continuation.state_file.get(),
                                descriptors_of(continuation.state), why.text(), program_);
  log_.error("cannot go back", {{"error", failure.text()}});
  return 1;
}

// This program runs; its workers come with a reload. Or it runs again.
void Supervisor::Server::finish_upgrade(Continuation& continuation) {
  continuation.state_file.reset();
  continuation.former_program.reset();
  if (!continuation.returned_because.empty()) return pool_->fail_upgrade("return", continuation.returned_because);
  log_.info("upgraded", {{"pool", settings_.app.name},
                         {"from", continuation.state.version},
                         {"to", STINT_VERSION},
                         {"program", program_.file},
                         {"next", "reloading"}});
  reload(false);
}

}  // namespace stint::supervisor
