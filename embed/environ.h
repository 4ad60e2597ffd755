// environ: an exact dict, new for each request, made from a prepared one by a copy. What repeats from request to
// request (names and values of fields, addresses, methods) is not made again: that is most of the cost of a small
// request.
#pragma once

#include "embed/gil.h"

#include "stint/request.h"
#include "stint/runtime.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stint::embed {

// Remembers the last str it made: a kept-alive connection says the same again and again.
class RepeatedText {
 public:
  // Lent; null with a Python error set when memory is short.
  PyObject* str(const Gil& gil, std::string_view bytes);

 private:
  PyRef last_;
};

class EnvironBuilder {
 public:
  EnvironBuilder(WorkerIdentity worker, bool is_multithread)
      : worker_(std::move(worker)), is_multithread_(is_multithread) {}

  // Makes what all requests share; once, before build(). False: a Python error is set.
  bool prepare(const Gil& gil);

  // After a fork: what environ says of the worker. False: a Python error is set.
  bool set_worker(const Gil& gil, unsigned slot);

  // Objects of one request, lent.
  struct Objects {
    PyObject* request_id;  // the str of request.id
    PyObject* input;
    PyObject* errors;
    PyObject* early_hints;
  };
  // A new environ. Empty: a Python error is set.
  PyRef build(const Gil& gil, const Request& request, const Objects& objects);

 private:
  enum Key : std::size_t {
    request_method,
    script_name,
    path_info,
    query_string,
    content_type,
    content_length,
    server_name,
    server_port,
    server_protocol,
    server_software,
    gateway_interface,
    remote_addr,
    remote_port,
    request_uri,
    raw_uri,
    https,
    http_host,
    remote_user,
    wsgi_version,
    wsgi_url_scheme,
    wsgi_input,
    wsgi_errors,
    wsgi_multithread,
    wsgi_multiprocess,
    wsgi_run_once,
    wsgi_input_terminated,
    wsgi_file_wrapper,
    wsgi_early_hints,
    stint_version,
    stint_worker,
    stint_generation,
    stint_request_id,
    stint_retried,
    key_count
  };

  // What becomes of a field, by its name as the client wrote it.
  struct Field {
    enum class Kind { plain, cookie, content_type, dropped };
    Kind kind = Kind::plain;
    bool is_value_kept = true;  // not of secrets, which differ from client to client anyway
    PyRef key;                  // "HTTP_ACCEPT", interned
    RepeatedText value;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept;
  };

  bool make_keys(const Gil& gil);
  bool make_base(const Gil& gil);
  Field* field_of(const Gil& gil, std::string_view name);
  bool make_field(const Gil& gil, std::string_view name, Field& field);
  bool add_fields(const Gil& gil, PyObject* environ, const Request& request);
  bool join(const Gil& gil, PyObject* environ, const Field& field, PyObject* existing, PyObject* value);
  PyObject* server_name_str(const Gil& gil, std::string_view address);

  const WorkerIdentity worker_;
  const bool is_multithread_;

  std::array<PyRef, key_count> keys_;
  PyRef base_;  // has every key that is always there, so that a copy has room for the fields without growing
  PyRef empty_, on_, http_1_0_, http_1_1_, http_, https_;
  std::unordered_map<std::string, Field, NameHash, std::equal_to<>> fields_;  // bounded
  Field passing_;                                                             // of a name that fields_ has no room for
  RepeatedText method_, host_, server_address_, server_port_, remote_address_, remote_port_;
};

}  // namespace stint::embed
