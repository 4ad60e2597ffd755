#include "server/http/date.h"

#include "server/http/bytes_table.h"

#include <array>

namespace stint::http {
namespace {

constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> long_day_names = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                            "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_two(std::string& out, int number) {
  out.push_back(static_cast<char>('0' + number / 10 % 10));
  out.push_back(static_cast<char>('0' + number % 10));
}

// Takes one part after the other from the front; the first that is not there makes it false for good.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool is_at_end() const { return good_ && rest_.empty(); }

  void expect(std::string_view text) {
    good_ = good_ && rest_.starts_with(text);
    if (good_) rest_.remove_prefix(text.size());
  }

  template <std::size_t N>
  int one_of(const std::array<std::string_view, N>& names) {
    for (std::size_t i = 0; good_ && i < N; ++i) {
      if (!rest_.starts_with(names[i])) continue;
      rest_.remove_prefix(names[i].size());
      return static_cast<int>(i);
    }
    good_ = false;
    return 0;
  }

  int digits(std::size_t count) {
    if (!good_ || rest_.size() < count) return fail();
    int number = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(rest_[i])) return fail();
      number = number * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return number;
  }

  // asctime writes the day of the month as " 6".
  int padded_two() {
    if (!good_ || !rest_.starts_with(' ')) return digits(2);
    rest_.remove_prefix(1);
    return digits(1);
  }

 private:
  int fail() {
    good_ = false;
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

void read_time(Reader& reader, std::tm& parts) {
  parts.tm_hour = reader.digits(2);
  reader.expect(":");
  parts.tm_min = reader.digits(2);
  reader.expect(":");
  parts.tm_sec = reader.digits(2);
}

// RFC 9110 §5.6.7: a two-digit year that seems more than 50 years ahead is the last one in the past with those digits.
int full_year(int two_digits) {
  const std::time_t now = std::time(nullptr);
  std::tm today{};
  gmtime_r(&now, &today);
  const int this_year = today.tm_year + 1900;
  const int year = this_year - this_year % 100 + two_digits;
  return year > this_year + 50 ? year - 100 : year;
}

int days_in_month(int month, int year) {
  constexpr std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[static_cast<std::size_t>(month)] + (month == 1 && leap ? 1 : 0);
}

std::optional<std::time_t> time_of(const std::tm& parts) {
  const int year = parts.tm_year + 1900;
  if (parts.tm_mday < 1 || parts.tm_mday > days_in_month(parts.tm_mon, year)) return std::nullopt;
  if (parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60) return std::nullopt;
  std::tm copy = parts;
  return timegm(&copy);
}

}  // namespace

std::string format_date(std::time_t t) {
  std::tm parts{};
  gmtime_r(&t, &parts);
  std::string out;
  out.reserve(29);
  out.append(day_names[static_cast<std::size_t>(parts.tm_wday)]).append(", ");
  append_two(out, parts.tm_mday);
  out.append(" ").append(month_names[static_cast<std::size_t>(parts.tm_mon)]).append(" ");
  append_two(out, (parts.tm_year + 1900) / 100);
  append_two(out, (parts.tm_year + 1900) % 100);
  out.push_back(' ');
  append_two(out, parts.tm_hour);
  out.push_back(':');
  append_two(out, parts.tm_min);
  out.push_back(':');
  append_two(out, parts.tm_sec);
  out.append(" GMT");
  return out;
}

std::optional<std::time_t> parse_date(std::string_view text) {
  {  // "Sun, 06 Nov 1994 08:49:37 GMT"
    Reader reader(text);
    std::tm parts{};
    reader.one_of(day_names);
    reader.expect(", ");
    parts.tm_mday = reader.digits(2);
    reader.expect(" ");
    parts.tm_mon = reader.one_of(month_names);
    reader.expect(" ");
    parts.tm_year = reader.digits(4) - 1900;
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" GMT");
    if (reader.is_at_end()) return time_of(parts);
  }
  {  // "Sunday, 06-Nov-94 08:49:37 GMT"
    Reader reader(text);
    std::tm parts{};
    reader.one_of(long_day_names);
    reader.expect(", ");
    parts.tm_mday = reader.digits(2);
    reader.expect("-");
    parts.tm_mon = reader.one_of(month_names);
    reader.expect("-");
    const int year = reader.digits(2);
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" GMT");
    if (reader.is_at_end()) {
      parts.tm_year = full_year(year) - 1900;
      return time_of(parts);
    }
  }
  {  // "Sun Nov  6 08:49:37 1994"
    Reader reader(text);
    std::tm parts{};
    reader.one_of(day_names);
    reader.expect(" ");
    parts.tm_mon = reader.one_of(month_names);
    reader.expect(" ");
    parts.tm_mday = reader.padded_two();
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" ");
    parts.tm_year = reader.digits(4) - 1900;
    if (reader.is_at_end()) return time_of(parts);
  }
  return std::nullopt;
}

std::string_view DateClock::at(std::time_t now) {
  if (now != second_) {
    text_ = format_date(now);
    second_ = now;
  }
  return text_;
}

}  // namespace stint::http
