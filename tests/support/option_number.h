// The number behind an option of a load client's command line.
#pragma once

#include <charconv>
#include <stdexcept>
#include <string>
#include <system_error>

namespace stint::test {

// Throws when `text` is anything but a number.
template <class Number>
Number number(const std::string& option, const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument(option + ": not a number: " + text);
  return value;
}

}  // namespace stint::test
