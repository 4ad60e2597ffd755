// The one file that compiles Boost.JSON, for all rooms that link this one; no library to install.
#include <boost/json/src.hpp>
