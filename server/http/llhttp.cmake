# Makes llhttp::llhttp from the first leg that has it. LLHTTP_FROM=config|pkg|sdist|debian forces one.
#   config, pkg  the distribution's libllhttp-dev (Debian 13)
#   sdist        llhttp's C files out of the source distribution of a Python package, pinned by its hash; fetched with
#                pip once and kept in the build folder (Debian 12)
#   debian       llhttp's C files out of node-llhttp: 8.1, for machines without a network
# The verdicts of server/http are the same with each: request_parser has its own rules and asks llhttp to agree.
set(LLHTTP_FROM auto CACHE STRING "Where llhttp comes from: auto, config, pkg, sdist or debian")
set(LLHTTP_SDIST httptools==0.9.0 CACHE STRING "The source distribution that carries llhttp's C files (9.4.3)")
set(LLHTTP_SDIST_SHA256 d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6 CACHE STRING
    "SHA-256 of that source distribution")
set(LLHTTP_DEBIAN_ROOT / CACHE PATH "Root below which node-llhttp is unpacked")

function(stint_llhttp_from_sources sources headers)
  add_library(stint_llhttp STATIC ${sources}/api.c ${sources}/http.c ${sources}/llhttp.c)
  target_include_directories(stint_llhttp SYSTEM PUBLIC ${headers})
  # llhttp 8 and older are two automata in one file, and the loose one is its header's default (CVE-2023-30589).
  target_compile_definitions(stint_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  set_target_properties(stint_llhttp PROPERTIES POSITION_INDEPENDENT_CODE ON)
  add_library(llhttp::llhttp ALIAS stint_llhttp)
endfunction()

if(LLHTTP_FROM MATCHES "^(auto|config)$")
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # rooms and tests of other folders link to it through stint::http
  find_package(llhttp CONFIG QUIET)
  unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
  foreach(candidate llhttp::llhttp_static llhttp::llhttp_shared)  # Debian 13 has only llhttp_shared
    if(TARGET ${candidate} AND NOT TARGET llhttp::llhttp)
      add_library(llhttp::llhttp INTERFACE IMPORTED GLOBAL)
      target_link_libraries(llhttp::llhttp INTERFACE ${candidate})
      set(llhttp_leg "config: ${candidate}")
    endif()
  endforeach()
endif()

if(NOT TARGET llhttp::llhttp AND LLHTTP_FROM MATCHES "^(auto|pkg)$")
  pkg_check_modules(PC_LLHTTP QUIET IMPORTED_TARGET GLOBAL libllhttp>=9)
  if(PC_LLHTTP_FOUND)
    add_library(llhttp::llhttp INTERFACE IMPORTED GLOBAL)
    target_link_libraries(llhttp::llhttp INTERFACE PkgConfig::PC_LLHTTP)
    set(llhttp_leg "pkg: ${PC_LLHTTP_VERSION}")
  endif()
endif()

if(NOT TARGET llhttp::llhttp AND LLHTTP_FROM MATCHES "^(auto|sdist)$")
  # One folder a hash: a changed pin is fetched anew, an unchanged one never again.
  set(cache ${CMAKE_BINARY_DIR}/_llhttp/${LLHTTP_SDIST_SHA256})
  file(GLOB archive ${cache}/*.tar.gz)
  if(NOT archive)
    file(WRITE ${cache}/requirements.txt "${LLHTTP_SDIST} --hash=sha256:${LLHTTP_SDIST_SHA256}\n")
    execute_process(COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --no-deps --no-binary :all: --require-hashes
                            -r ${cache}/requirements.txt -d ${cache}
                    RESULT_VARIABLE pip_status OUTPUT_QUIET ERROR_VARIABLE pip_errors)
    file(GLOB archive ${cache}/*.tar.gz)
  endif()
  if(archive)
    file(SHA256 ${archive} archive_hash)
    if(NOT archive_hash STREQUAL LLHTTP_SDIST_SHA256)
      message(FATAL_ERROR "${archive} has SHA-256 ${archive_hash}, not ${LLHTTP_SDIST_SHA256}; remove it")
    endif()
    file(GLOB vendored ${cache}/source/*/vendor/llhttp)
    if(NOT vendored)
      file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${cache}/source PATTERNS "*/vendor/llhttp/*")
      file(GLOB vendored ${cache}/source/*/vendor/llhttp)
    endif()
    if(NOT vendored)
      message(FATAL_ERROR "${LLHTTP_SDIST} has no vendor/llhttp")
    endif()
    stint_llhttp_from_sources(${vendored}/src ${vendored}/include)
    set(llhttp_leg "sdist: ${LLHTTP_SDIST}")
  endif()
endif()

if(NOT TARGET llhttp::llhttp AND LLHTTP_FROM MATCHES "^(auto|debian)$")
  find_path(LLHTTP_DEBIAN_SOURCES api.c PATHS ${LLHTTP_DEBIAN_ROOT}/usr/share/llhttp NO_DEFAULT_PATH)
  find_path(LLHTTP_DEBIAN_HEADERS llhttp.h
            PATHS ${LLHTTP_DEBIAN_ROOT}/usr/share/include/llhttp ${LLHTTP_DEBIAN_ROOT}/usr/include/llhttp NO_DEFAULT_PATH)
  if(LLHTTP_DEBIAN_SOURCES AND LLHTTP_DEBIAN_HEADERS)
    stint_llhttp_from_sources(${LLHTTP_DEBIAN_SOURCES} ${LLHTTP_DEBIAN_HEADERS})
    set(llhttp_leg "debian: ${LLHTTP_DEBIAN_SOURCES}")
  endif()
endif()

if(NOT TARGET llhttp::llhttp)
  message(FATAL_ERROR "No llhttp (LLHTTP_FROM=${LLHTTP_FROM}). Install libllhttp-dev (Debian 13), python3-pip, "
                      "or node-llhttp (Debian 12).\n${pip_errors}")
endif()
message(STATUS "llhttp from ${llhttp_leg}")
