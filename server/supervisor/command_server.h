// Serves the operator's socket in the supervisor's loop: one request, one answer per connection. A client that says
// nothing is dropped after 5 seconds, and no more than 16 are heard at a time, so that none can stop another.
#pragma once

#include "server/control/command_socket.h"
#include "stint/log.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace stint::supervisor {

class CommandServer {
 public:
  // `answer` makes a line of JSON from one, and calls `reply` with it once, now or within 5 seconds. The listening
  // socket and its file go with this object.
  using Reply = std::function<void(std::string)>;
  using Answer = std::function<void(std::string_view request, Reply reply)>;
  CommandServer(boost::asio::io_context& io, control::CommandSocket socket, Answer answer, Log& log);
  ~CommandServer();
  CommandServer(const CommandServer&) = delete;
  CommandServer& operator=(const CommandServer&) = delete;

  const control::CommandSocket& socket() const { return socket_; }
  bool is_talking() const { return *sessions_ > 0; }  // for 5 seconds at most with one client

 private:
  class Session;

  void wait();
  void accept_all();
  void pause();

  boost::asio::io_context& io_;
  control::CommandSocket socket_;
  const Answer answer_;
  Log& log_;
  boost::asio::posix::stream_descriptor watch_;  // of socket_, which it does not own
  boost::asio::steady_timer pause_;
  // Shared with the sessions, whose ends come last of all when the loop is taken down with some still open.
  const std::shared_ptr<unsigned> sessions_ = std::make_shared<unsigned>(0);
};

}  // namespace stint::supervisor
