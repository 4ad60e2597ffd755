#include "server/http/request_target.h"

#include "server/http/bytes_table.h"
#include "server/http/host.h"

namespace stint::http {

std::optional<RequestTarget> split_target(std::string_view method, std::string_view target) {
  RequestTarget parts;
  if (target == "*") {
    if (method != "OPTIONS") return std::nullopt;
    parts.path = target;
    return parts;
  }
  const std::size_t question = target.find('?');
  parts.path = target.substr(0, question);
  if (question != target.npos) parts.query = target.substr(question + 1);
  if (parts.path.starts_with('/')) return parts;

  if (equals_ignoring_case(parts.path.substr(0, 7), "http://")) {
    parts.path.remove_prefix(7);
    parts.default_port = ":80";
  } else if (equals_ignoring_case(parts.path.substr(0, 8), "https://")) {
    parts.path.remove_prefix(8);
    parts.default_port = ":443";
  } else {
    return std::nullopt;
  }
  const std::size_t slash = parts.path.find('/');
  parts.authority = parts.path.substr(0, slash);
  parts.path = slash == parts.path.npos ? std::string_view("/") : parts.path.substr(slash);
  if (!is_valid_authority(parts.authority)) return std::nullopt;
  return parts;
}

bool has_valid_percents(std::string_view target) {
  for (std::size_t i = target.find('%'); i != target.npos; i = target.find('%', i + 3)) {
    if (i + 2 >= target.size()) return false;
    const int high = hex_value(target[i + 1]), low = hex_value(target[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
  }
  return true;
}

void decode_percents(std::string_view path, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%') {
      out.push_back(static_cast<char>(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2])));
      i += 2;
    } else {
      out.push_back(path[i]);
    }
  }
}

}  // namespace stint::http
