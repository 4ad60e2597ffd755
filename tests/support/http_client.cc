#include "tests/support/http_client.h"

#include "tests/support/eventually.h"
#include "tests/support/socket_address.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <strings.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

namespace stint::test {
namespace {

bool is_same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::size_t number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end == text.data()) throw std::runtime_error("not a number: " + std::string(text));
  return value;
}

}  // namespace

std::optional<std::string> HttpResponse::field(std::string_view name) const {
  for (const auto& [field_name, value] : fields) {
    if (is_same_name(field_name, name)) return value;
  }
  return std::nullopt;
}

bool HttpResponse::announces_close() const {
  const auto connection = field("Connection");
  return connection && is_same_name(*connection, "close");
}

HttpClient::HttpClient(const std::string& text, int receive_buffer) {
  const SocketAddress address = parse_address(text);
  socket_ = make_socket(address, 0);
  if (receive_buffer > 0) setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    throw std::system_error(errno, std::generic_category(), "connect " + text);
  }
}

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) throw std::system_error(errno, std::generic_category(), "send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

HttpResponse HttpClient::receive(std::string_view method) {
  HttpResponse response;
  const std::string status_line = take_line();
  if (status_line.size() < 13 || !status_line.starts_with("HTTP/1.")) {
    throw std::runtime_error("not a status line: " + status_line);
  }
  response.version_minor = status_line[7] - '0';
  response.status = static_cast<int>(number(std::string_view(status_line).substr(9, 3), 10));
  response.reason = status_line.substr(13);
  for (std::string line = take_line(); !line.empty(); line = take_line()) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) throw std::runtime_error("not a field: " + line);
    response.fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  if (method == "HEAD" || response.status < 200 || response.status == 204 || response.status == 304) return response;
  if (const auto coding = response.field("Transfer-Encoding")) {
    if (*coding != "chunked") throw std::runtime_error("Transfer-Encoding: " + *coding);
    for (;;) {
      const std::size_t size = number(take_line(), 16);
      response.body += take(size);
      if (!take_line().empty()) throw std::runtime_error("no line end after a chunk");
      if (size == 0) return response;
    }
  }
  if (const auto length = response.field("Content-Length")) {
    response.body = take(number(*length, 10));
  } else {
    response.body = receive_until_close();
  }
  return response;
}

HttpResponse HttpClient::request(std::string_view method, std::string_view target, const HttpFields& fields,
                                 std::string_view body) {
  std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n";
  for (const auto& [name, value] : fields) text += name + ": " + value + "\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  send(text + "\r\n");
  send(body);
  return receive(method);
}

std::string HttpClient::receive_up_to(std::string_view text) {
  for (;;) {
    if (const std::size_t at = unread_.find(text); at != std::string::npos) return take(at + text.size());
    if (!fill(patience)) throw std::runtime_error("the stream ended before '" + std::string(text) + "': " + unread_);
  }
}

std::string HttpClient::receive_exactly(std::size_t size) { return take(size); }

std::string HttpClient::receive_until_close() {
  while (fill(patience)) {
  }
  socket_.reset();
  return std::exchange(unread_, {});
}

bool HttpClient::is_readable_within(std::chrono::milliseconds limit) {
  pollfd waited{socket_.get(), POLLIN, 0};
  return !unread_.empty() || poll(&waited, 1, static_cast<int>(limit.count())) > 0;
}

bool HttpClient::is_closed_within(std::chrono::milliseconds limit) {
  if (!is_readable_within(limit)) return false;
  try {
    if (unread_.empty() && !fill(limit)) return true;
  } catch (const std::system_error& error) {
    return error.code().value() == ECONNRESET;
  }
  throw std::runtime_error("bytes instead of the end: " + unread_);
}

void HttpClient::shut_down_writing() { shutdown(socket_.get(), SHUT_WR); }

void HttpClient::reset() {
  const linger at_once{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket_.reset();
}

bool HttpClient::is_all_taken_within(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (int unread = 0; std::chrono::steady_clock::now() < end; sched_yield()) {
    if (ioctl(socket_.get(), SIOCOUTQ, &unread) != 0)
      throw std::system_error(errno, std::generic_category(), "SIOCOUTQ");
    if (unread == 0) return true;
  }
  return false;
}

bool HttpClient::fill(std::chrono::milliseconds limit) {
  pollfd waited{socket_.get(), POLLIN, 0};
  if (poll(&waited, 1, static_cast<int>(limit.count())) == 0) throw std::runtime_error("no answer in time");
  char buffer[65536];
  const ssize_t size = recv(socket_.get(), buffer, sizeof buffer, 0);
  if (size < 0) throw std::system_error(errno, std::generic_category(), "recv");
  unread_.append(buffer, static_cast<std::size_t>(size));
  return size > 0;
}

std::string HttpClient::take_line() {
  for (;;) {
    if (const std::size_t end = unread_.find("\r\n"); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 2);
      return line;
    }
    if (!fill(patience)) throw std::runtime_error("the stream ended in a line: '" + unread_ + "'");
  }
}

std::string HttpClient::take(std::size_t size) {
  while (unread_.size() < size) {
    if (!fill(patience)) throw std::runtime_error("the stream ended in a body");
  }
  std::string bytes = unread_.substr(0, size);
  unread_.erase(0, size);
  return bytes;
}

HttpResponse fetch(const std::string& address, std::string_view target, const HttpFields& fields) {
  HttpClient client(address);
  return client.request("GET", target, fields);
}

}  // namespace stint::test
