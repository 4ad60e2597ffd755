// Trusted proxies and the fields they send, as people write them.
#pragma once

#include "stint/forwarded_field.h"
#include "stint/network.h"
#include "stint/result.h"

#include <string>
#include <string_view>

namespace stint::config {

// "10.0.0.0/8", "2001:db8::/32", "127.0.0.1" or "unix". The error says what is wrong with `text`, and what was probably
// meant.
Result<Network> parse_network(std::string_view text);

// One of forwarded_field_names, in any case. The error continues a sentence that begins with the key's name.
Result<ForwardedField> find_forwarded_field(std::string_view text);

// "" or the name of a field that may say who the user is; an error like that of find_forwarded_field.
Result<std::string> check_user_header(std::string_view text);

}  // namespace stint::config
