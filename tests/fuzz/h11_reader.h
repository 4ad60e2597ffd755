// h11, a Python package, as the second reader of requests. One interpreter a process, started with the first use.
#pragma once

#include <string>
#include <string_view>

namespace stint::fuzz {

// h11_reading.read(bytes): "incomplete", "refused: why", or what the request is, a line for each part.
std::string h11_reading(std::string_view bytes);

}  // namespace stint::fuzz
