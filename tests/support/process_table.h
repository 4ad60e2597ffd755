// Other processes as /proc shows them.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stint::test {

bool is_running(pid_t pid);  // a zombie is not
std::vector<pid_t> children_of(pid_t pid);
std::size_t zombies_of(pid_t parent);  // children that have ended and that it has not reaped
// Processes of the session that `leader` began, zombies left out: finds a story's workers also after their supervisor
// has died. (Their environment would not do: a process that writes its title writes over it.)
std::vector<pid_t> processes_of_session(pid_t leader);
// AddressSanitizer keeps what is freed: memory of a process says nothing then.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool has_honest_memory = false;
#else
inline constexpr bool has_honest_memory = true;
#endif
std::uint64_t memory_kib(pid_t pid, std::string_view row);  // "VmRSS", "RssAnon"; 0: no such process
std::uint64_t own_memory_kib(pid_t pid);                    // pages of no other process; 0: no such process
std::size_t descriptors_of(pid_t pid);
std::string maps_of(pid_t pid);
std::string command_line_of(pid_t pid);  // arguments with spaces between

}  // namespace stint::test
