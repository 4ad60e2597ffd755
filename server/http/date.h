// HTTP dates (RFC 9110 §5.6.7) without locale.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace stint::http {

std::string format_date(std::time_t t);                        // "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<std::time_t> parse_date(std::string_view text);  // IMF-fixdate, RFC 850 and asctime forms

// format_date of the current second, made once a second; one a thread.
class DateClock {
 public:
  std::string_view at(std::time_t now);

 private:
  std::time_t second_ = -1;
  std::string text_;
};

}  // namespace stint::http
