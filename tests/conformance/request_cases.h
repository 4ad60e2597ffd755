// The files of tests/conformance/requests, and what each says of itself.
//
//   invalid/STATUS-REASON-what-it-shows.http   refused with that status, counted under that reason
//   valid/what-it-shows.http                   one whole request
//   valid/what-it-shows.expected               what has to be understood of it
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace stint::test {

// The limits that the cases stand at and go beyond, as settings; the same as small_limits of tests/unit/http.
std::vector<std::pair<std::string, std::string>> limits_of_the_cases();

struct InvalidCase {
  std::string name;
  std::string bytes;
  int status = 0;
  std::string reason;
};

struct ValidCase {
  std::string name;
  std::string bytes;
  std::string method;
  bool is_about_the_server = false;  // OPTIONS *: answered without the application
  bool wants_keep_alive = false;
  bool expects_continue = false;
  std::string answer;  // of apps/echo.py
};

std::vector<InvalidCase> invalid_cases();
std::vector<ValidCase> valid_cases();

// In groups for tests that have several connections at a time, each of cases of about the same size.
template <class Case>
std::vector<std::vector<Case>> in_groups(std::vector<Case> cases) {
  constexpr std::size_t most = 25;
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.bytes.size() < b.bytes.size(); });
  std::vector<std::vector<Case>> groups;
  for (Case& one : cases) {
    if (groups.empty() || groups.back().size() == most) groups.emplace_back();
    groups.back().push_back(std::move(one));
  }
  return groups;
}

}  // namespace stint::test
