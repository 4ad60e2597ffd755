#include "tests/conformance/request_cases.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

namespace stint::test {
namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::filesystem::path> files_of(const char* kind) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(STINT_REQUESTS_FOLDER "/") + kind)) {
    if (entry.path().extension() == ".http") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// "key: [value]" lines; fields are "field NAME: [VALUE]". Values are as visible() of the echo writes them.
struct Expectation {
  std::map<std::string, std::string> facts;
  std::vector<std::pair<std::string, std::string>> fields;
};

Expectation read_expectation(const std::string& text) {
  Expectation expected;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t colon = line.find(": [");
    if (colon == line.npos) continue;  // "body bytes: N", whose text is left out
    const std::string key = line.substr(0, colon), value = line.substr(colon + 3, line.size() - colon - 4);
    if (key.starts_with("field ")) {
      expected.fields.emplace_back(key.substr(6), value);
    } else {
      expected.facts[key] = value;
    }
  }
  return expected;
}

std::string key_of_field(const std::string& name) {
  std::string key;
  for (const char c : name) key += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return key == "CONTENT_TYPE" ? key : "HTTP_" + key;
}

// What the client meant to send as body: the plainest of decoders, which believes all it reads.
std::string body_of(const std::string& bytes, const std::string& kind) {
  if (kind == "none") return {};
  std::size_t at = bytes.find("\r\n\r\n", bytes.find_first_not_of("\r\n")) + 4;
  if (kind != "chunked") return bytes.substr(at);
  std::string body;
  for (;;) {
    const std::size_t size = std::stoull(bytes.substr(at, 15), nullptr, 16);
    if (size == 0) return body;
    at = bytes.find("\r\n", at) + 2;
    body += bytes.substr(at, size);
    at += size + 2;
  }
}

// PEP 3333 applied to what was understood, without the server's code.
std::string expected_answer(const Expectation& expected, const std::string& body) {
  std::map<std::string, std::string> environ = {
      {"QUERY_STRING", expected.facts.at("query")},
      {"PATH_INFO", expected.facts.at("path")},
      {"RAW_URI", expected.facts.at("target")},
      {"REQUEST_METHOD", expected.facts.at("method")},
      {"REQUEST_URI", expected.facts.at("target")},
      {"SCRIPT_NAME", ""},
      {"SERVER_PROTOCOL", "HTTP/" + expected.facts.at("version")},
      {"wsgi.url_scheme", "http"},
  };
  for (const auto& [name, value] : expected.fields) {
    const std::string key = key_of_field(name);
    if (key == "HTTP_CONTENT_LENGTH" || key == "HTTP_TRANSFER_ENCODING") continue;
    const auto [place, is_first] = environ.try_emplace(key, value);
    if (!is_first) place->second += (key == "HTTP_COOKIE" ? "; " : ", ") + value;
  }
  if (!expected.facts.at("host").empty()) environ.try_emplace("HTTP_HOST", expected.facts.at("host"));
  if (expected.facts.at("body") != "none") environ["CONTENT_LENGTH"] = std::to_string(body.size());
  std::string text;
  for (const auto& [key, value] : environ) text.append(key).append(": [").append(value).append("]\n");
  return text + "\n" + body;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> limits_of_the_cases() {
  return {{"http.max_request_line", "\"256B\""},
          {"http.max_header_fields", "20"},
          {"http.max_header_size", "\"2KiB\""},
          {"http.max_body", "\"10000B\""}};
}

std::vector<InvalidCase> invalid_cases() {
  std::vector<InvalidCase> cases;
  for (const auto& path : files_of("invalid")) {
    const std::string name = path.stem().string();
    cases.push_back({name, content_of(path), std::stoi(name.substr(0, 3)), name.substr(4, name.find('-', 4) - 4)});
  }
  return cases;
}

std::vector<ValidCase> valid_cases() {
  std::vector<ValidCase> cases;
  for (const auto& path : files_of("valid")) {
    const std::string bytes = content_of(path);
    const Expectation expected =
        read_expectation(content_of(std::filesystem::path(path).replace_extension("expected")));
    cases.push_back({.name = path.stem().string(),
                     .bytes = bytes,
                     .method = expected.facts.at("method"),
                     .is_about_the_server = expected.facts.at("target") == "*",
                     .wants_keep_alive = expected.facts.at("keep-alive") == "yes",
                     .expects_continue = expected.facts.at("continue") == "yes",
                     .answer = expected_answer(expected, body_of(bytes, expected.facts.at("body")))});
  }
  return cases;
}

}  // namespace stint::test
