#include "server/supervisor/command_server.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

namespace stint::supervisor {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 5s;
constexpr std::size_t max_request = 4096;
constexpr unsigned max_sessions = 16;

}  // namespace

// One operator's connection. Shared by its handlers; ends with the last of them. The server outlives the loop's run,
// and with it all sessions.
class CommandServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(CommandServer& server, UniqueFd socket)
      : server_(server),
        count_(server.sessions_),
        socket_(server.io_, asio::local::stream_protocol(), socket.release()),
        limit_(server.io_, patience) {
    ++*count_;
  }
  ~Session() { --*count_; }

  void run() {
    limit_.async_wait([self = shared_from_this()](const boost::system::error_code& code) {
      boost::system::error_code ignored;  // it may have ended in the same round of the loop, and be closed
      if (!code) self->socket_.cancel(ignored);
    });
    if (auto checked = control::check_operator(socket_.native_handle()); !checked) {
      server_.log_.warning("refused a command", {{"error", checked.error().text()}});
      write(boost::json::serialize(boost::json::object{{"error", checked.error().text()}}));
      return;
    }
    asio::async_read_until(socket_, asio::dynamic_buffer(request_, max_request), '\n',
                           [self = shared_from_this()](const boost::system::error_code& code, std::size_t size) {
                             if (code) return self->end();
                             self->server_.answer_(std::string_view(self->request_).substr(0, size),
                                                   [self](std::string answer) { self->write(std::move(answer)); });
                           });
  }

 private:
  void write(std::string answer) {
    answer_ = std::move(answer) + "\n";
    asio::async_write(socket_, asio::buffer(answer_),
                      [self = shared_from_this()](const boost::system::error_code&, std::size_t) { self->end(); });
  }

  void end() {
    limit_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  CommandServer& server_;
  const std::shared_ptr<unsigned> count_;
  asio::local::stream_protocol::socket socket_;
  asio::steady_timer limit_;
  std::string request_;
  std::string answer_;
};

CommandServer::CommandServer(asio::io_context& io, control::CommandSocket socket, Answer answer, Log& log)
    : io_(io), socket_(std::move(socket)), answer_(std::move(answer)), log_(log), watch_(io, socket_.fd()), pause_(io) {
  wait();
}

CommandServer::~CommandServer() { watch_.release(); }

void CommandServer::wait() {
  watch_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& code) {
    if (!code) accept_all();
  });
}

void CommandServer::accept_all() {
  while (*sessions_ < max_sessions) {
    UniqueFd connection(::accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.is_open()) {
      std::make_shared<Session>(*this, std::move(connection))->run();
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) {
      wait();
      return;
    }
    log_.warning("cannot take a command", {{"error", system_error("accept").text()}, {"next", "another look in 1s"}});
    break;
  }
  pause();
}

// Too many at a time, or no descriptor left: the others wait in the socket's queue.
void CommandServer::pause() {
  pause_.expires_after(1s);
  pause_.async_wait([this](const boost::system::error_code& code) {
    if (!code) accept_all();
  });
}

}  // namespace stint::supervisor
