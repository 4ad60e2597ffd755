// Catch2 2's main, compiled once (12 s on Debian 12).
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
