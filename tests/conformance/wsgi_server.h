// `stint serve` with apps/wsgi.py, for the cases of the numbered WSGI statements. The number stands in a case's name.
#pragma once

#include "tests/process/story.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <string>

namespace stint::test {

struct WsgiServer : ServerProcess {
  explicit WsgiServer(const std::string& callable = "application", ServerOptions options = {});

  // The body of an answer that has to be 200, on a connection of its own.
  std::string text(const std::string& target, const HttpFields& fields = {}, std::size_t listener = 0) const;
  // environ of a GET, as JSON: what is no str, bool or int is its repr.
  boost::json::object environ(const HttpFields& fields = {}, const std::string& behind = "") const;
  std::string file(const std::string& name) const { return folder().file(name); }
};

// That call the application: in one of the modes that the statements are held against (CMakeLists.txt) more than one.
unsigned threads_of_a_worker();

std::size_t count_of(const std::string& text, std::string_view part);

// What is `key` of an environ, as text; "-" when it is not there.
std::string shown(const boost::json::object& environ, std::string_view key);

}  // namespace stint::test
