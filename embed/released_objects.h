// Python objects that the sink let go of. The worker releases the bytes of an answer when the last of them is sent, on
// any thread and without the GIL; a decref needs the GIL. So they wait here until the flush that sent them has the GIL
// again, or the next call into the application.
#pragma once

#include "embed/gil.h"

#include "stint/response_sink.h"

namespace stint::embed {

// The content of a bytes object, with the means to keep it: REQUIRES: PyBytes_Check(bytes).
BodyChunk chunk_of(const Gil& gil, PyObject* bytes);

// Drops what was released since the last time. Cheap when there is nothing.
void drop_released(const Gil& gil);
// Whether drop_released() would find anything; needs no GIL.
bool has_released();

}  // namespace stint::embed
