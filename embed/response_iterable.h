// What the application returned, put into the sink item by item.
#pragma once

#include "embed/exchange.h"

#include "stint/application.h"

#include <optional>

namespace stint::embed {

// Takes the exception that is set. nullopt: it is write()'s own, which tells the application that the client is gone.
std::optional<ApplicationFailure> take_failure(const Gil& gil, const Exchange& exchange);

// Takes the body out of `iterable` until it is exhausted, the answer is complete, or the client is gone. When it
// returns, no Python error is set.
std::optional<ApplicationFailure> send_body(const Gil& gil, Exchange& exchange, PyObject* iterable);

// Calls the iterable's close(), whatever happened before: PEP 3333 requires it even after an error, and frameworks
// release database connections there. REQUIRES: once for each iterable; no Python error is set.
std::optional<ApplicationFailure> close_iterable(const Gil& gil, const Exchange& exchange, PyObject* iterable);

}  // namespace stint::embed
