// From app.module, "package.module:attribute.attribute", to the callable.
#pragma once

#include "embed/gil.h"

#include "stint/runtime.h"

#include <string>

namespace stint::embed {

// Imports the module and looks the callable up. Empty: `failure` has summary and traceback; no Python error is set.
PyRef import_application(const Gil& gil, const std::string& module_and_callable, LoadFailure& failure);

}  // namespace stint::embed
