// Durations and sizes as text, both ways: "500ms", "10s", "5m", "12h"; "200B", "8KiB", "256MiB", "1GiB".
#pragma once

#include "stint/bytes.h"
#include "stint/settings.h"

#include <optional>
#include <string>
#include <string_view>

namespace stint::config {

// nullopt: not of the form, or too large to count. "0" needs no unit.
std::optional<Duration> parse_duration(std::string_view text);
std::optional<Bytes> parse_size(std::string_view text);

// The shortest text that parses to the same value.
std::string text_of(Duration duration);
std::string text_of(Bytes size);

// What somebody probably meant who wrote "256MB", "1G" or "10 sec"; empty when it cannot be guessed.
std::string meant_duration(std::string_view text);
std::string meant_size(std::string_view text);

}  // namespace stint::config
