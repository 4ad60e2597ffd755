#include "server/http/conditional.h"

#include "server/http/bytes_table.h"
#include "server/http/date.h"
#include "server/http/decimal.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

namespace stint::http {
namespace {

bool is_named(const HeaderField& field, std::string_view lower) { return equals_ignoring_case(field.name, lower); }

bool has_field(std::span<const HeaderField> fields, std::string_view lower) {
  return std::any_of(fields.begin(), fields.end(), [&](const HeaderField& f) { return is_named(f, lower); });
}

std::string_view opaque_part(std::string_view tag) { return tag.starts_with("W/") ? tag.substr(2) : tag; }

bool is_strong_match(std::string_view a, std::string_view b) { return a == b && !a.starts_with("W/"); }
bool is_weak_match(std::string_view a, std::string_view b) { return opaque_part(a) == opaque_part(b); }

// Is the file's tag in the list of If-Match or If-None-Match (RFC 9110 §8.8.3)? Commas may stand inside quotes; what
// is no list of tags matches nothing. "*": any version, and there is one.
template <class Match>
bool lists_tag(std::string_view list, std::string_view etag, Match matches) {
  list = trim_blanks(list);
  if (list == "*") return true;
  while (!list.empty()) {
    const std::size_t quote = list.starts_with("W/") ? 2 : 0;
    if (quote >= list.size() || list[quote] != '"') return false;
    const std::size_t end = list.find('"', quote + 1);
    if (end == list.npos) return false;
    if (matches(list.substr(0, end + 1), etag)) return true;
    list = trim_blanks(list.substr(end + 1));
    if (!list.starts_with(',')) return false;
    while (list.starts_with(',')) list = trim_blanks(list.substr(1));
  }
  return false;
}

// All fields of the name are one list (RFC 9110 §5.3).
template <class Match>
bool any_lists_tag(std::span<const HeaderField> fields, std::string_view lower, std::string_view etag, Match matches) {
  return std::any_of(fields.begin(), fields.end(), [&](const HeaderField& field) {
    return is_named(field, lower) && lists_tag(field.value, etag, matches);
  });
}

// A date that cannot be read is as if it were not there (RFC 9110 §13.1.3, §13.1.4).
std::optional<std::time_t> date_field(std::span<const HeaderField> fields, std::string_view lower) {
  const std::string_view text = find_field(fields, lower);
  return text.empty() ? std::nullopt : parse_date(text);
}

// RFC 9110 §13.2.2, steps 1 to 4; 200 when the method is to be performed.
int check_preconditions(std::span<const HeaderField> fields, const FileVersion& file) {
  if (has_field(fields, "if-match")) {
    if (!any_lists_tag(fields, "if-match", file.etag, is_strong_match)) return 412;
  } else if (const auto since = date_field(fields, "if-unmodified-since"); since && file.modified > *since) {
    return 412;
  }
  if (has_field(fields, "if-none-match")) {
    if (any_lists_tag(fields, "if-none-match", file.etag, is_weak_match)) return 304;
  } else if (const auto since = date_field(fields, "if-modified-since"); since && file.modified <= *since) {
    return 304;
  }
  return 200;
}

// Step 5: a range counts only for the version the client has part of.
bool range_counts(std::span<const HeaderField> fields, const FileVersion& file) {
  const std::string_view condition = find_field(fields, "if-range");
  if (condition.data() == nullptr) return true;
  if (condition.starts_with('"') || condition.starts_with("W/")) return is_strong_match(condition, file.etag);
  const auto date = parse_date(condition);
  return date && *date == file.modified;
}

// "bytes=0-499", "bytes=500-" or "bytes=-500". What is malformed, another unit or several ranges: the whole file.
FileAnswer answer_range(std::string_view range, const FileVersion& file) {
  const FileAnswer whole{200, 0, file.size};
  if (!equals_ignoring_case(range.substr(0, 6), "bytes=")) return whole;
  range = trim_blanks(range.substr(6));
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return whole;
  const std::string_view first_text = range.substr(0, dash), last_text = range.substr(dash + 1);
  const auto first = parse_decimal(first_text), last = parse_decimal(last_text);
  if (first_text.empty()) {
    if (!last) return whole;
    if (*last == 0) return {416, 0, 0};
    if (file.size == 0) return whole;  // satisfiable, but Content-Range cannot say "no byte"
    const std::uint64_t length = std::min(*last, file.size);
    return {206, file.size - length, length};
  }
  if (!first || (!last && !last_text.empty()) || (last && *last < *first)) return whole;
  if (*first >= file.size) return {416, 0, 0};
  const std::uint64_t end = last ? std::min(*last, file.size - 1) : file.size - 1;
  return {206, *first, end - *first + 1};
}

}  // namespace

std::string make_etag(std::uint64_t size, std::int64_t modified_nanoseconds) {
  std::string tag = "\"";
  char digits[16];
  tag.append(digits, std::to_chars(digits, std::end(digits), static_cast<std::uint64_t>(modified_nanoseconds), 16).ptr);
  tag.push_back('-');
  tag.append(digits, std::to_chars(digits, std::end(digits), size, 16).ptr);
  tag.push_back('"');
  return tag;
}

FileAnswer decide(std::string_view method, std::span<const HeaderField> fields, const FileVersion& file) {
  const FileAnswer whole{200, 0, file.size};
  if (method != "GET" && method != "HEAD") return whole;
  if (const int status = check_preconditions(fields, file); status != 200) return {status, 0, 0};
  // RFC 9110 §14.2: Range is defined for GET alone.
  const auto is_range = [](const HeaderField& field) { return is_named(field, "range"); };
  if (method != "GET" || std::count_if(fields.begin(), fields.end(), is_range) != 1) return whole;
  return range_counts(fields, file) ? answer_range(find_field(fields, "range"), file) : whole;
}

std::string_view find_field(std::span<const HeaderField> fields, std::string_view name) {
  const auto same = [](char a, char b) { return to_lower(a) == to_lower(b); };
  for (const HeaderField& field : fields) {
    if (std::equal(field.name.begin(), field.name.end(), name.begin(), name.end(), same)) return field.value;
  }
  return {};
}

}  // namespace stint::http
