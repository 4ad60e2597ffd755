#include "config/units.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>

namespace stint::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr Unit time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr Unit size_units[] = {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

// What other programs and people write for our units, in lower case.
struct Synonym {
  std::string_view written;
  std::string_view meant;
};
constexpr Synonym time_synonyms[] = {
    {"sec", "s"},     {"secs", "s"},    {"second", "s"}, {"seconds", "s"}, {"min", "m"},   {"mins", "m"},
    {"minute", "m"},  {"minutes", "m"}, {"hr", "h"},     {"hour", "h"},    {"hours", "h"}, {"msec", "ms"},
    {"millis", "ms"}, {"s", "s"},       {"m", "m"},      {"h", "h"},       {"ms", "ms"},   {"milliseconds", "ms"}};
constexpr Synonym size_synonyms[] = {{"k", "KiB"},   {"kb", "KiB"},  {"kib", "KiB"}, {"m", "MiB"},
                                     {"mb", "MiB"},  {"mib", "MiB"}, {"g", "GiB"},   {"gb", "GiB"},
                                     {"gib", "GiB"}, {"b", "B"},     {"byte", "B"},  {"bytes", "B"}};

std::size_t digits_of(std::string_view text) { return std::min(text.find_first_not_of("0123456789"), text.size()); }

std::optional<std::uint64_t> parse(std::string_view text, std::span<const Unit> units, std::uint64_t limit) {
  if (text == "0") return 0;
  const std::string_view digits = text.substr(0, digits_of(text));
  const auto unit = std::ranges::find(units, text.substr(digits.size()), &Unit::name);
  if (digits.empty() || unit == units.end()) return std::nullopt;
  std::uint64_t count = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (read.ec != std::errc{} || count > limit / unit->factor) return std::nullopt;
  return count * unit->factor;
}

std::string meant(std::string_view text, std::span<const Synonym> synonyms) {
  const std::string_view digits = text.substr(0, digits_of(text));
  std::string unit(text.substr(digits.size()));
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  std::ranges::transform(unit, unit.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  const auto found = std::ranges::find(synonyms, unit, &Synonym::written);
  if (digits.empty() || found == synonyms.end()) return {};
  return std::string(digits) + std::string(found->meant);
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  const auto count = parse(text, time_units, std::numeric_limits<Duration::rep>::max());
  if (!count) return std::nullopt;
  return Duration(static_cast<Duration::rep>(*count));
}

std::optional<Bytes> parse_size(std::string_view text) {
  const auto count = parse(text, size_units, std::numeric_limits<std::uint64_t>::max());
  if (!count) return std::nullopt;
  return Bytes{*count};
}

std::string text_of(Duration duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  if (count == 0) return "0s";
  // A minute reads better as "60s", as everybody writes it in such files.
  for (auto unit = std::rbegin(time_units); unit != std::rend(time_units); ++unit)
    if (count % unit->factor == 0 && !(unit->name == "m" && count == unit->factor))
      return std::to_string(count / unit->factor) + std::string(unit->name);
  return {};  // never: every count is a multiple of 1 ms
}

std::string text_of(Bytes size) {
  if (size.count == 0) return "0B";
  for (auto unit = std::rbegin(size_units); unit != std::rend(size_units); ++unit)
    if (size.count % unit->factor == 0) return std::to_string(size.count / unit->factor) + std::string(unit->name);
  return {};  // never: every count is a multiple of 1 B
}

std::string meant_duration(std::string_view text) { return meant(text, time_synonyms); }
std::string meant_size(std::string_view text) { return meant(text, size_synonyms); }

}  // namespace stint::config
