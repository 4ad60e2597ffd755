// Errors that a client, an application, an operator or the kernel can cause are values of these types.
// Our own bugs are STINT_ASSERT (stint/assert.h). Only `has_value`, `*`, `->` and `error()` of Result are
// used in Stint, so that it can become std::expected with C++23 by changing this file alone.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <cerrno>
#include <string>
#include <utility>

namespace stint {

struct Error {
  boost::system::error_code code;
  std::string doing;  // what we were doing, for a person: "bind 0.0.0.0:80"

  // "bind 0.0.0.0:80: Address already in use"; only `doing` where the code says nothing.
  [[nodiscard]] std::string text() const { return code.failed() ? doing + ": " + code.message() : doing; }
};

// An error without a system code: `doing` is the whole sentence.
inline Error error_because(std::string sentence) { return Error{{}, std::move(sentence)}; }

// The error of the system call that has just failed. `number` is errno unless given.
inline Error system_error(std::string doing, int number = errno) {
  return Error{{number, boost::system::system_category()}, std::move(doing)};
}

// boost::system::result asks for this when value() is called on an error; Stint never does.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw boost::system::system_error(error.code, error.doing);
}

template <class T>
using Result = boost::system::result<T, Error>;

}  // namespace stint
