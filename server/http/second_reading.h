// llhttp's reading of a head that our own rules have accepted. Request smuggling needs two readers that disagree;
// a head is served only when ours and llhttp's find the same target, names, values and end in it.
#pragma once

#include "stint/request.h"

#include <span>
#include <string_view>

namespace stint::http {

// `from_target`: the head's bytes from the request target to the empty line, inclusive. `target` and `fields` (all of
// them, in order) point into it. llhttp knows a fixed list of methods, a longer one in each version; ours is any
// token, so llhttp is told "GET": before the body the method changes nothing in its reading.
bool llhttp_reads_the_same(std::string_view from_target, std::string_view target, std::span<const HeaderField> fields,
                           int version_minor);

}  // namespace stint::http
