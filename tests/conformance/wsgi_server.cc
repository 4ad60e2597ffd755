#include "tests/conformance/wsgi_server.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace stint::test {
namespace {

ServerOptions with_cases(const std::string& callable, ServerOptions options) {
  options.module = callable.find(':') == callable.npos ? "wsgi:" + callable : callable;
  if (options.directory == apps_folder()) options.directory = STINT_SOURCE_DIR "/tests/conformance/apps";
  return options;
}

}  // namespace

WsgiServer::WsgiServer(const std::string& callable, ServerOptions options)
    : ServerProcess(with_cases(callable, std::move(options))) {
  wait_until_ready();
}

std::string WsgiServer::text(const std::string& target, const HttpFields& fields, std::size_t listener) const {
  const HttpResponse response = fetch(address(listener), target, fields);
  INFO(target << ": " << response.body << "\n" << log());
  CHECK(response.status == 200);
  return response.body;
}

boost::json::object WsgiServer::environ(const HttpFields& fields, const std::string& behind) const {
  return boost::json::parse(text("/environ_as_json" + behind, fields)).as_object();
}

unsigned threads_of_a_worker() {
  return static_cast<unsigned>(std::stoul(set_for_this_run("app.workers.threads").value_or("1")));
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

std::string shown(const boost::json::object& environ, std::string_view key) {
  const boost::json::value* value = environ.if_contains(key);
  if (value == nullptr) return "-";
  return value->is_string() ? std::string(value->as_string()) : boost::json::serialize(*value);
}

}  // namespace stint::test
