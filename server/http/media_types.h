// File name → Content-Type, for [[static]] (IANA media types of what web sites serve).
#pragma once

#include <string_view>

namespace stint::http {

// "text/css; charset=utf-8"; "application/octet-stream" for unknown endings.
std::string_view media_type_of(std::string_view file_name);

}  // namespace stint::http
