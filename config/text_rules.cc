#include "config/text_rules.h"

#include "config/listen_text.h"
#include "config/network_text.h"
#include "config/suggestion.h"
#include "config/toml_text.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace stint::config {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Python allows letters of every language in names; their bytes are above 0x7f.
bool is_identifier(std::string_view text) {
  const auto may_follow = [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || static_cast<unsigned char>(c) > 0x7f;
  };
  return !text.empty() && !is_digit(text.front()) && std::ranges::all_of(text, may_follow);
}

bool is_dotted_identifier(std::string_view text) {
  while (true) {
    const auto dot = text.find('.');
    if (!is_identifier(text.substr(0, dot))) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_module(std::string_view text) {
  const auto colon = text.find(':');
  return colon != text.npos && is_dotted_identifier(text.substr(0, colon)) && is_identifier(text.substr(colon + 1));
}

Error must(std::string_view demand, std::string_view text) {
  return error_because("must " + std::string(demand) + ", not " + toml_string(text));
}

// "mysite/wsgi.py" or "mysite.wsgi" for "mysite.wsgi:application".
Error not_a_module(std::string_view text) {
  std::string guess(text.substr(0, text.find(':')));
  if (guess.ends_with(".py")) guess.resize(guess.size() - 3);
  std::ranges::replace(guess, '/', '.');
  const auto colon = text.find(':');
  guess += colon == text.npos || colon + 1 == text.size() ? ":application" : std::string(text.substr(colon));
  Error error = must("be MODULE:CALLABLE, such as \"mysite.wsgi:application\"", text);
  if (is_module(guess)) error.doing += "; did you mean " + toml_string(guess) + "?";
  return error;
}

Result<std::string> check_venv(std::string_view text, const std::string& folder, bool check_folders) {
  if (text.empty()) return std::string();
  const auto path = check_folder(text, folder, check_folders);
  if (path.has_value() && check_folders && ::access((*path + "/bin/python").c_str(), X_OK) != 0)
    return error_because("names " + toml_string(*path) +
                         ", which is no virtual environment: it has no bin/python to run");
  return path;
}

Result<std::string> check_mount(std::string_view text) {
  if (text.empty()) return std::string();
  const auto is_impossible = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; };
  if (!text.starts_with('/')) return must(R"(be "" or a path that begins with "/")", text);
  if (text.ends_with('/')) return must(R"(not end with "/": a mount at the top is "")", text);
  if (text.find("//") != text.npos || text.find_first_of("?#%") != text.npos ||
      std::ranges::any_of(text, is_impossible))
    return must(R"(be a plain path without "//", "?", "#", "%" and spaces)", text);
  return std::string(text);
}

Result<std::string> check_socket_path(std::string_view text, const std::string& folder) {
  if (text.empty()) return std::string();
  const std::string path = absolute_path(text, folder);
  if (path.size() > longest_socket_path)
    return error_because("is too long: the path of a unix socket can have " + std::to_string(longest_socket_path) +
                         " bytes, and " + toml_string(path) + " has " + std::to_string(path.size()));
  return path;
}

Result<std::string> check_log_format(std::string_view text) {
  if (text.find('%') != text.npos || std::ranges::find(log_format_names, text) != std::end(log_format_names))
    return std::string(text);
  Error error = must(R"(be "combined", "common", "json" or an Apache LogFormat string)", text);
  const std::string_view meant = nearest(text, log_format_names);
  if (!meant.empty()) error.doing += "; did you mean " + toml_string(meant) + "?";
  return error;
}

}  // namespace

Result<std::string> apply_rule(TextRule rule, std::string_view text, const std::string& folder, bool check_folders) {
  if (text.find('\0') != text.npos) return error_because("must not contain a NUL character");
  switch (rule) {
    case TextRule::name: {
      const auto is_allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; };
      if (text.empty() || !std::ranges::all_of(text, is_allowed))
        return must(R"(consist of letters, digits, "_" and "-")", text);
      if (text.size() > 64) return must("have at most 64 characters", text);
      return std::string(text);
    }
    case TextRule::mount:
      return check_mount(text);
    case TextRule::module:
      if (!is_module(text)) return not_a_module(text);
      return std::string(text);
    case TextRule::folder:
      return check_folder(text, folder, check_folders);
    case TextRule::venv:
      return check_venv(text, folder, check_folders);
    case TextRule::socket_path:
      return check_socket_path(text, folder);
    case TextRule::access_log:
      if (text.empty() || text == "-") return std::string(text);
      return absolute_path(text, folder);
    case TextRule::error_log:
      if (text.empty()) return must("be a path or \"-\"", text);
      if (text == "-") return std::string(text);
      return absolute_path(text, folder);
    case TextRule::log_format:
      return check_log_format(text);
    case TextRule::account:
      if (text.find_first_of(":/ \t\r\n") != text.npos) return must("be the name of an account, or its number", text);
      return std::string(text);
    case TextRule::user_header:
      return check_user_header(text);
  }
  return std::string(text);
}

Result<std::string> check_target(std::string_view text) {
  // The request parser refuses what is not in a target; here only what is surely a slip.
  const auto is_impossible = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '#'; };
  if (!text.starts_with('/')) return must(R"(hold paths that begin with "/")", text);
  if (std::ranges::any_of(text, is_impossible)) return must("hold paths without spaces and \"#\"", text);
  return std::string(text);
}

Result<std::string> check_variable_name(std::string_view text) {
  if (text.empty() || text.find('=') != text.npos || text.find('\0') != text.npos)
    return error_because("has a variable that cannot be: " + toml_string(text));
  return std::string(text);
}

Result<std::string> check_static_url(std::string_view text) {
  if (!text.starts_with('/') || !text.ends_with('/')) return must(R"(begin and end with "/")", text);
  if (text.find_first_of("?#\0", 0, 3) != text.npos || text.find("//") != text.npos)
    return must(R"(be a plain path without "?", "#" and "//")", text);
  return std::string(text);
}

Result<std::string> check_folder(std::string_view text, const std::string& folder, bool check_folders) {
  if (text.empty() || text.find('\0') != text.npos) return must("name a folder", text);
  std::string path = absolute_path(text, folder);
  if (!check_folders) return path;
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    const bool is_missing = errno == ENOENT || errno == ENOTDIR;
    const std::string why = is_missing ? "which does not exist" : system_error("which cannot be reached").text();
    return error_because("names " + toml_string(path) + ", " + why);
  }
  if (!S_ISDIR(found.st_mode)) return error_because("names " + toml_string(path) + ", which is no folder");
  return path;
}

}  // namespace stint::config
