// Bytes of a load client's connection → answers, one after another. Knows only what a load client must: where an
// answer ends, its status, whether the close is announced, and which worker of which version gave it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stint::test {

struct ReadAnswer {
  int status = 0;
  bool announces_close = false;
  long worker_pid = 0;       // 0: no X-Worker-Pid
  std::string_view version;  // X-Version; empty: none
  std::string_view head;
  std::string_view body;
  std::size_t size = 0;     // bytes of the input it took
  std::size_t missing = 0;  // incomplete, but for so many bytes of a body whose length is known
};

enum class Reading { complete, incomplete, malformed };

// The first answer in `input`; its views point into `input` or `joined` (chunks). Interim answers are passed over.
// `has_ended`: the stream ended after `input`, which completes a body without length.
Reading read_answer(std::string_view input, bool has_ended, std::string& joined, ReadAnswer& answer);

}  // namespace stint::test
