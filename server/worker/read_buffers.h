// Buffers to read into, lent for the time of one readiness event, so that a waiting connection holds none. There is
// more than one only because an event may last as long as the call that it led to, while other threads go on with the
// loop.
#pragma once

#include <array>
#include <memory>
#include <vector>

namespace stint::worker {

class ReadBuffers {
 public:
  using Buffer = std::array<char, 64 * 1024>;

  // Gives the buffer back when it goes.
  class Loan {
   public:
    explicit Loan(ReadBuffers& lender) : lender_(lender), buffer_(lender.take()) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { lender_.free_.push_back(std::move(buffer_)); }
    char* data() { return buffer_->data(); }
    std::size_t size() const { return buffer_->size(); }

   private:
    ReadBuffers& lender_;
    std::unique_ptr<Buffer> buffer_;
  };

 private:
  std::unique_ptr<Buffer> take() {
    if (free_.empty()) return std::make_unique<Buffer>();
    std::unique_ptr<Buffer> buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  std::vector<std::unique_ptr<Buffer>> free_;
};

}  // namespace stint::worker
