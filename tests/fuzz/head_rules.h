// The rules for a request's head, checked a second time and the slow way: whole lines, copies, no state kept between
// bytes. Shares no code with server/http, so that a mistake there is not made here as well.
#pragma once

#include "server/http/request_parser.h"

#include <string>
#include <string_view>

namespace stint::fuzz {

// The rule that an accepted head breaks, as a sentence; empty when it keeps all of them. `bytes`: exactly the head's,
// as they were given to the parser.
std::string broken_rule(std::string_view bytes, const http::RequestHead& head, const http::HeadLimits& limits);

}  // namespace stint::fuzz
