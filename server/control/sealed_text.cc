#include "server/control/sealed_text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace stint::control {

Result<UniqueFd> seal_text(const char* name, std::string_view text, const std::string& doing) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return system_error(doing);
  while (!text.empty()) {
    const ssize_t count = ::write(file.get(), text.data(), text.size());
    if (count < 0 && errno != EINTR) return system_error(doing);
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return system_error(doing);
  return file;
}

Result<std::string> read_sealed_text(int file, const std::string& doing) {
  struct stat status{};
  if (::fstat(file, &status) < 0) return system_error(doing);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (::pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return system_error(doing);
  return text;
}

}  // namespace stint::control
