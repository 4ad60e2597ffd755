// What a compiled access log format is made of; shared by its compiler and its writer alone.
#pragma once

#include "server/http/access_log.h"

#include <string>
#include <vector>

namespace stint::http {

enum class AccessItem {
  literal,  // `text`
  absent,   // what Stint never knows: identd's name
  user,
  remote_address,
  peer_address,
  remote_port,
  server_address,
  server_port,
  host,               // the client's Host without port, else server_address
  time_common,        // "[10/Oct/2000:13:55:36 -0700]"
  time_strftime,      // `text` is for strftime(3), local time
  time_iso,           // "2000-10-10T20:55:36Z"
  time_seconds,       // since the epoch
  time_milliseconds,  // the same, in units the clock of AccessEntry does not resolve: ends in 000
  time_microseconds,
  request_line,
  method,
  target,
  path,
  query,  // with its "?", or nothing
  protocol,
  status,
  body_bytes,  // 0 is "-"
  body_bytes_number,
  took_seconds,
  took_milliseconds,
  took_microseconds,
  request_field,   // `text` is its name
  cookie,          // `text` is its name
  response_field,  // `text` is its name
  request_id,
  worker,
  process_id,
  completion  // "+", or "X" when the client did not get all of it
};

enum class AccessEscape { apache, json };

struct AccessLogFormat::Part {
  AccessItem item = AccessItem::literal;
  std::string text;
  AccessEscape escape = AccessEscape::apache;
  bool at_end = false;         // times: of the answer's end, not of the request's beginning
  std::vector<int> statuses;   // only for these (%400,501{Referer}i), or for all
  bool is_for_others = false;  // for all but these (%!200{Referer}i)
};

}  // namespace stint::http
