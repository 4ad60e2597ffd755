// Where to cut an input. Decided by the input itself, so that a replay cuts at the same places and a seed is nothing
// but the bytes of a message.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stint::fuzz {

class Cuts {
 public:
  explicit Cuts(std::string_view input) {
    for (const char byte : input) state_ = (state_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;  // FNV-1a
  }

  // From 0 to `end`, both included.
  std::size_t up_to(std::size_t end) {
    state_ ^= state_ << 13;  // xorshift64: no zero comes out of FNV's odd beginnings for long
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::size_t>(state_ % (end + 1));
  }

  // The input in at most `most` pieces, of which some may be empty.
  std::vector<std::string_view> pieces(std::string_view input, std::size_t most) {
    std::vector<std::size_t> places(up_to(most - 1));
    for (std::size_t& place : places) place = up_to(input.size());
    std::sort(places.begin(), places.end());
    places.push_back(input.size());
    std::vector<std::string_view> cut;
    std::size_t from = 0;
    for (const std::size_t place : places) {
      cut.push_back(input.substr(from, place - from));
      from = place;
    }
    return cut;
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace stint::fuzz
