#include "embed/environ.h"

#include "embed/file_wrapper.h"
#include "embed/py_text.h"

#include <charconv>
#include <cstring>

namespace stint::embed {
namespace {

// Names come from clients, so what is remembered of them is bounded: about 250 KiB at most. Names beyond these bounds
// are not interned either: CPython 3.12.0 to 3.12.6 never frees an interned str (gh-113993).
constexpr std::size_t most_fields = 512;
constexpr std::size_t longest_kept_name = 64;
constexpr std::size_t longest_kept_value = 256;

// Remembered from the start, so that a client that sends many invented names cannot crowd them out. In lower case, too:
// proxies that speak HTTP/2 to the client write them so.
constexpr const char* usual_names[] = {"Accept",
                                       "Accept-Encoding",
                                       "Accept-Language",
                                       "Authorization",
                                       "Cache-Control",
                                       "Connection",
                                       "Content-Length",
                                       "Content-Type",
                                       "Cookie",
                                       "DNT",
                                       "Forwarded",
                                       "Host",
                                       "If-Modified-Since",
                                       "If-None-Match",
                                       "Origin",
                                       "Pragma",
                                       "Priority",
                                       "Range",
                                       "Referer",
                                       "Sec-CH-UA",
                                       "Sec-CH-UA-Mobile",
                                       "Sec-CH-UA-Platform",
                                       "Sec-Fetch-Dest",
                                       "Sec-Fetch-Mode",
                                       "Sec-Fetch-Site",
                                       "Sec-Fetch-User",
                                       "Transfer-Encoding",
                                       "Upgrade-Insecure-Requests",
                                       "User-Agent",
                                       "X-Forwarded-For",
                                       "X-Forwarded-Host",
                                       "X-Forwarded-Port",
                                       "X-Forwarded-Proto",
                                       "X-Real-IP",
                                       "X-Request-ID",
                                       "X-Requested-With"};

constexpr const char* key_names[] = {
    "REQUEST_METHOD",  "SCRIPT_NAME",           "PATH_INFO",         "QUERY_STRING",
    "CONTENT_TYPE",    "CONTENT_LENGTH",        "SERVER_NAME",       "SERVER_PORT",
    "SERVER_PROTOCOL", "SERVER_SOFTWARE",       "GATEWAY_INTERFACE", "REMOTE_ADDR",
    "REMOTE_PORT",     "REQUEST_URI",           "RAW_URI",           "HTTPS",
    "HTTP_HOST",       "REMOTE_USER",           "wsgi.version",      "wsgi.url_scheme",
    "wsgi.input",      "wsgi.errors",           "wsgi.multithread",  "wsgi.multiprocess",
    "wsgi.run_once",   "wsgi.input_terminated", "wsgi.file_wrapper", "wsgi.early_hints",
    "stint.version",   "stint.worker",          "stint.generation",  "stint.request_id",
    "stint.retried"};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool is_same(PyObject* text, std::string_view bytes) {
  return static_cast<std::size_t>(PyUnicode_GET_LENGTH(text)) == bytes.size() &&
         std::memcmp(PyUnicode_1BYTE_DATA(text), bytes.data(), bytes.size()) == 0;
}

}  // namespace

PyObject* RepeatedText::str(const Gil& gil, std::string_view bytes) {
  // A str made from latin-1 has one byte a character, so its memory can be compared.
  if (!last_ || !is_same(last_.get(), bytes)) last_ = latin1(gil, bytes);
  return last_.get();
}

// Names are short and told apart by length and both ends; std::hash of a string costs three times as much here.
std::size_t EnvironBuilder::NameHash::operator()(std::string_view name) const noexcept {
  std::uint64_t first = 0, last = 0;
  if (name.size() >= sizeof first) {
    std::memcpy(&first, name.data(), sizeof first);
    std::memcpy(&last, name.data() + name.size() - sizeof last, sizeof last);
  } else {
    std::memcpy(&first, name.data(), name.size());
  }
  std::uint64_t hash = (first * 0x9E3779B97F4A7C15U) ^ ((last + name.size()) * 0xC2B2AE3D27D4EB4FU);
  return static_cast<std::size_t>(hash ^ (hash >> 29));
}

bool EnvironBuilder::prepare(const Gil& gil) {
  if (!make_keys(gil) || !make_base(gil)) return false;
  for (const char* name : usual_names) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (field_of(gil, name) == nullptr || field_of(gil, lower) == nullptr) return false;
  }
  return true;
}

bool EnvironBuilder::make_keys(const Gil& gil) {
  static_assert(std::size(key_names) == key_count);
  for (std::size_t i = 0; i < key_count; ++i) {
    keys_[i] = interned(gil, key_names[i]);
    if (!keys_[i]) return false;
  }
  empty_ = interned(gil, "");
  on_ = interned(gil, "on");
  http_1_0_ = interned(gil, "HTTP/1.0");
  http_1_1_ = interned(gil, "HTTP/1.1");
  http_ = interned(gil, "http");
  https_ = interned(gil, "https");
  return empty_ && on_ && http_1_0_ && http_1_1_ && http_ && https_;
}

bool EnvironBuilder::make_base(const Gil& gil) {
  base_ = PyRef::steal(PyDict_New());
  if (!base_) return false;
  auto set = [&](Key key, PyRef value) {
    return value && PyDict_SetItem(base_.get(), keys_[key].get(), value.get()) == 0;
  };
  for (std::size_t key = 0; key < key_count; ++key) {
    // These are there only when the request has them; the others' places are kept by None until build() fills them.
    if (key == content_type || key == content_length || key == https || key == http_host || key == remote_user) {
      continue;
    }
    if (!set(static_cast<Key>(key), PyRef::borrow(Py_None))) return false;
  }
  return set(script_name, PyRef::borrow(empty_.get())) && set(server_software, latin1(gil, "stint/" STINT_VERSION)) &&
         set(gateway_interface, latin1(gil, "CGI/1.1")) &&
         set(wsgi_version, PyRef::steal(Py_BuildValue("(ii)", 1, 0))) &&
         set(wsgi_multithread, PyRef::borrow(is_multithread_ ? Py_True : Py_False)) &&
         // With one worker too: its replacement, or the next generation, is there before it goes.
         set(wsgi_multiprocess, PyRef::borrow(Py_True)) && set(wsgi_run_once, PyRef::borrow(Py_False)) &&
         set(wsgi_input_terminated, PyRef::borrow(Py_True)) &&
         set(wsgi_file_wrapper, PyRef::borrow(file_wrapper_type())) && set(stint_version, latin1(gil, STINT_VERSION)) &&
         set(stint_worker, PyRef::steal(PyLong_FromUnsignedLong(worker_.slot))) &&
         set(stint_generation, PyRef::steal(PyLong_FromUnsignedLong(worker_.generation))) &&
         set(stint_retried, PyRef::borrow(Py_False));
}

bool EnvironBuilder::set_worker(const Gil&, unsigned slot) {
  PyRef number = PyRef::steal(PyLong_FromUnsignedLong(slot));
  return number && PyDict_SetItem(base_.get(), keys_[stint_worker].get(), number.get()) == 0;
}

bool EnvironBuilder::make_field(const Gil&, std::string_view name, Field& field) {
  std::string key = "HTTP_";
  bool has_underscore = false;
  for (char c : name) {
    has_underscore = has_underscore || c == '_';
    key += c == '-' ? '_' : upper(c);
  }
  field.kind = Field::Kind::plain;
  if (key == "HTTP_CONTENT_TYPE" && !has_underscore) {
    field.kind = Field::Kind::content_type;
    key.erase(0, std::strlen("HTTP_"));
  } else if (has_underscore || key == "HTTP_CONTENT_LENGTH" || key == "HTTP_CONTENT_TYPE" || key == "HTTP_PROXY" ||
             key == "HTTP_TRANSFER_ENCODING" || key == "HTTP_HOST") {
    // The host is the request's (add_fields), whoever named it. The length is that of the decoded body. Proxy would
    // become the variable that HTTP clients in the application take for their proxy (CVE-2016-5388); "_" would let a
    // client write X_Forwarded_For past those who check "-".
    field.kind = Field::Kind::dropped;
  } else if (key == "HTTP_COOKIE") {
    field.kind = Field::Kind::cookie;
  }
  field.is_value_kept = key != "HTTP_COOKIE" && key != "HTTP_AUTHORIZATION";
  // A name has only ASCII (server/http refuses others).
  field.key = PyRef::steal(PyUnicode_FromStringAndSize(key.data(), static_cast<Py_ssize_t>(key.size())));
  return static_cast<bool>(field.key);
}

EnvironBuilder::Field* EnvironBuilder::field_of(const Gil& gil, std::string_view name) {
  if (auto found = fields_.find(name); found != fields_.end()) return &found->second;
  if (fields_.size() >= most_fields || name.size() > longest_kept_name) {
    return make_field(gil, name, passing_) ? &passing_ : nullptr;
  }
  Field field;
  if (!make_field(gil, name, field)) return nullptr;
  PyObject* key = field.key.release();
  PyUnicode_InternInPlace(&key);  // it is a key of many requests to come
  field.key = PyRef::steal(key);
  return &fields_.emplace(name, std::move(field)).first->second;
}

// A repeated field is one value in environ (RFC 9110 §5.3).
bool EnvironBuilder::join(const Gil&, PyObject* environ, const Field& field, PyObject* existing, PyObject* value) {
  const char* format = field.kind == Field::Kind::cookie ? "%U; %U" : "%U, %U";
  PyRef joined = PyRef::steal(PyUnicode_FromFormat(format, existing, value));
  return joined && PyDict_SetItem(environ, field.key.get(), joined.get()) == 0;
}

bool EnvironBuilder::add_fields(const Gil& gil, PyObject* environ, const Request& request) {
  for (const HeaderField& given : request.fields) {
    Field* field = field_of(gil, given.name);
    if (field == nullptr) return false;
    if (field->kind == Field::Kind::dropped) continue;

    PyRef value = field->is_value_kept && given.value.size() <= longest_kept_value
                      ? PyRef::borrow(field->value.str(gil, given.value))
                      : latin1(gil, given.value);
    if (!value) return false;
    const Py_ssize_t size_before = PyDict_GET_SIZE(environ);
    PyObject* existing = PyDict_SetDefault(environ, field->key.get(), value.get());  // lent
    if (existing == nullptr) return false;
    if (PyDict_GET_SIZE(environ) == size_before && !join(gil, environ, *field, existing, value.get())) return false;
  }
  // Which host is meant is the field's word, or an absolute target's, or a trusted proxy's.
  if (request.host.empty()) return true;
  PyObject* host = host_.str(gil, request.host);
  return host != nullptr && PyDict_SetItem(environ, keys_[http_host].get(), host) == 0;
}

PyObject* EnvironBuilder::server_name_str(const Gil& gil, std::string_view address) {
  if (address.find(':') == std::string_view::npos) return server_address_.str(gil, address);
  // RFC 3875 §4.1.14: an IPv6 address stands in brackets, so that the URL built from it is right.
  char bracketed[64];
  if (address.size() + 2 > sizeof bracketed) return server_address_.str(gil, address);
  bracketed[0] = '[';
  std::memcpy(bracketed + 1, address.data(), address.size());
  bracketed[address.size() + 1] = ']';
  return server_address_.str(gil, {bracketed, address.size() + 2});
}

PyRef EnvironBuilder::build(const Gil& gil, const Request& request, const Objects& objects) {
  PyRef environ = PyRef::steal(PyDict_Copy(base_.get()));
  if (!environ) return {};
  auto set = [&](Key key, PyObject* value) {
    return value != nullptr && PyDict_SetItem(environ.get(), keys_[key].get(), value) == 0;
  };
  auto set_text = [&](Key key, std::string_view bytes) {
    if (bytes.empty()) return set(key, empty_.get());
    PyRef text = latin1(gil, bytes);
    return set(key, text.get());
  };

  PyRef target = latin1(gil, request.target);
  const Endpoints& ends = request.endpoints;
  bool is_done = set(request_method, method_.str(gil, request.method)) &&
                 set(server_protocol, (request.version_minor == 0 ? http_1_0_ : http_1_1_).get()) &&
                 set(server_name, server_name_str(gil, ends.server_address)) &&
                 set(server_port, server_port_.str(gil, ends.server_port)) &&
                 set(remote_addr, remote_address_.str(gil, ends.remote_address)) &&
                 set(remote_port, remote_port_.str(gil, ends.remote_port)) && set(request_uri, target.get()) &&
                 set(raw_uri, target.get()) && set_text(query_string, request.query) &&
                 set(stint_request_id, objects.request_id) && set(wsgi_input, objects.input) &&
                 set(wsgi_errors, objects.errors) && set(wsgi_early_hints, objects.early_hints);
  if (!is_done) return {};
  if (!request.script_name.empty() && !set_text(script_name, request.script_name)) return {};
  if (!request.user.empty() && !set_text(remote_user, request.user)) return {};
  if (request.was_interrupted && !set(stint_retried, Py_True)) return {};
  // Most requests ask for a path that is its own raw target, too.
  if (request.path == request.target ? !set(path_info, target.get()) : !set_text(path_info, request.path)) return {};
  if (request.scheme == "https") {
    if (!set(wsgi_url_scheme, https_.get()) || !set(https, on_.get())) return {};
  } else if (!set(wsgi_url_scheme, http_.get())) {
    return {};
  }
  if (request.body.is_present) {
    char digits[24];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, request.body.size);
    if (!set_text(content_length, {digits, static_cast<std::size_t>(end - digits)})) return {};
  }
  if (!add_fields(gil, environ.get(), request)) return {};
  return environ;
}

}  // namespace stint::embed
