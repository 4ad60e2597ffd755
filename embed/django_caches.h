// Django keeps a client for each configured cache in asgiref's Local, and that in a context variable. A request's
// context is a copy (wsgi_application.cc), so a client made within a request would go with it, and the next request
// would make another: with Redis or memcached a connection for every request. Servers that run all requests of a
// thread in one context do not see this, but let everything else leak from request to request.
//
// So the clients are made before the first request, in the context that all requests' contexts are copies of. Making
// one connects to nothing.
#pragma once

#include "embed/gil.h"

namespace stint::embed {

// After the application is imported, in each thread that will call it. Does nothing where Django's caches are not in
// use; a cache that cannot be made is left to the request that wants it, which is told why.
void make_django_caches(const Gil& gil);

}  // namespace stint::embed
