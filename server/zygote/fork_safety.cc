#include "server/zygote/fork_safety.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

namespace stint::zygote {

namespace {

// The entries of a folder that are numbers, in order.
Result<std::vector<int>> numbers_in(const char* folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder), ::closedir);
  if (!entries) return system_error(std::string("read ") + folder);
  std::vector<int> numbers;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    int number = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (code != std::errc() || end != name.data() + name.size()) continue;
    if (number != ::dirfd(entries.get()) || std::string_view(folder) != "/proc/self/fd") numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// What the thread has been called by whoever started it (prctl(2), PR_SET_NAME); 15 characters.
std::string kernel_name_of(int thread) {
  const UniqueFd file(::open(("/proc/self/task/" + std::to_string(thread) + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text;
  const ssize_t size = file.is_open() ? ::read(file.get(), text.data(), text.size()) : 0;
  std::string name(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

std::string text_of(const sockaddr_storage& address, socklen_t length) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &ipv4.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(ipv4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &ipv6.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(ipv6.sin6_port));
  }
  if (address.ss_family == AF_UNIX && length > offsetof(sockaddr_un, sun_path)) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(address);
    std::string path(local.sun_path, length - offsetof(sockaddr_un, sun_path));
    if (path.front() == '\0') return "@" + path.substr(1);  // in the abstract namespace (unix(7))
    return "unix:" + path.substr(0, path.find('\0'));
  }
  return "another socket";  // of a pair, or of a family that we do not know
}

// Whom it talks to; nullopt: nobody. Each end of a socketpair has a peer as well: asyncio's loops and thread pools keep
// such, and so would two workers.
std::optional<std::string> peer_of(int descriptor) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) return std::nullopt;
  return text_of(address, length);
}

// SQLite's locks belong to the process that has opened the file (sqlite.org/howtocorrupt.html §2.6).
bool is_sqlite(int descriptor) {
  static constexpr std::string_view magic("SQLite format 3\0", 16);
  struct stat status{};
  std::array<char, magic.size()> head{};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
         ::pread(descriptor, head.data(), head.size(), 0) == static_cast<ssize_t>(head.size()) &&
         std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

std::string path_of(int descriptor) {
  std::array<char, 4096> path;
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path.data(), path.size());
  return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : "of a name that cannot be read";
}

std::string in_quotes(const std::string& name) { return "'" + name + "'"; }

std::string sentence_of_thread(int thread, const std::vector<NamedThread>& python) {
  const auto known = std::find_if(python.begin(), python.end(), [thread](const auto& one) { return one.id == thread; });
  if (known != python.end()) return "thread " + in_quotes(known->name) + " runs";
  return "thread " + in_quotes(kernel_name_of(thread)) + ", which Python does not know, runs";
}

}  // namespace

Result<std::vector<std::string>> obstacles_to_forking(const std::vector<NamedThread>& python,
                                                      const std::vector<int>& own) {
  std::vector<std::string> obstacles;
  const auto threads = numbers_in("/proc/self/task");
  if (!threads) return threads.error();
  for (const int thread : *threads)
    if (thread != ::getpid()) obstacles.push_back(sentence_of_thread(thread, python));

  const auto descriptors = numbers_in("/proc/self/fd");
  if (!descriptors) return descriptors.error();
  for (const int descriptor : *descriptors) {
    // Standard descriptors are shared by all our processes as it is; under systemd they are connected sockets.
    if (descriptor <= STDERR_FILENO || std::find(own.begin(), own.end(), descriptor) != own.end()) continue;
    const std::string which = "descriptor " + std::to_string(descriptor);
    if (const auto peer = peer_of(descriptor))
      obstacles.push_back(which + " is a connection to " + *peer);
    else if (is_sqlite(descriptor))
      obstacles.push_back(which + " is the open database " + path_of(descriptor));
  }
  return obstacles;
}

}  // namespace stint::zygote
