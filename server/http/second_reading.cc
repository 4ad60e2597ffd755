#include "server/http/second_reading.h"

#include "server/http/bytes_table.h"

#include <llhttp.h>

namespace stint::http {
namespace {

// Follows llhttp's spans. It may hand out a part in several pieces; `seen_` is where the next one has to begin.
class Follower {
 public:
  Follower(std::string_view target, std::span<const HeaderField> fields) : target_(target), fields_(fields) {
    seen_ = target.data();
  }

  bool take_target(const char* at, std::size_t size) { return is_next(at, size); }

  bool take_name(const char* at, std::size_t size) {
    if (!in_name_) {
      if (!finish_part() || begun_ == fields_.size()) return false;
      seen_ = fields_[begun_++].name.data();
      in_name_ = true;
    }
    return is_next(at, size);
  }

  bool take_value(const char* at, std::size_t size) {
    if (in_name_) {
      if (!finish_part()) return false;
      in_name_ = false;
      // An empty value has no place of its own.
      seen_ = fields_[begun_ - 1].value.empty() ? at : fields_[begun_ - 1].value.data();
      value_begin_ = seen_;
    }
    return size == 0 || is_next(at, size);
  }

  bool finish_all() { return !in_name_ && finish_part() && begun_ == fields_.size(); }

 private:
  bool is_next(const char* at, std::size_t size) {
    if (at != seen_) return false;
    seen_ += size;
    return true;
  }

  // What has been seen ends where our part ends; white space behind a value is not part of it.
  bool finish_part() {
    if (begun_ == 0) return seen_ == target_.data() + target_.size();
    const HeaderField& field = fields_[begun_ - 1];
    if (in_name_) return seen_ == field.name.data() + field.name.size();
    while (seen_ != value_begin_ && is_blank(seen_[-1])) --seen_;
    return static_cast<std::size_t>(seen_ - value_begin_) == field.value.size();
  }

  std::string_view target_;
  std::span<const HeaderField> fields_;
  std::size_t begun_ = 0;  // fields whose name has begun; 0: the target
  bool in_name_ = false;
  const char* seen_;
  const char* value_begin_ = nullptr;
};

Follower& follower_of(llhttp_t* parser) { return *static_cast<Follower*>(parser->data); }

constexpr int agreed = 0, disagreed = -1;

int on_url(llhttp_t* parser, const char* at, std::size_t size) {
  return follower_of(parser).take_target(at, size) ? agreed : disagreed;
}
int on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
  return follower_of(parser).take_name(at, size) ? agreed : disagreed;
}
int on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
  return follower_of(parser).take_value(at, size) ? agreed : disagreed;
}
// Stops llhttp at the empty line: bodies, upgrades and the next request are not its business here.
int on_headers_complete(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t* settings() {
  static const llhttp_settings_t made = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = on_url;
    s.on_header_field = on_header_field;
    s.on_header_value = on_header_value;
    s.on_headers_complete = on_headers_complete;
    return s;
  }();
  return &made;
}

}  // namespace

bool llhttp_reads_the_same(std::string_view from_target, std::string_view target, std::span<const HeaderField> fields,
                           int version_minor) {
  Follower follower(target, fields);
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, settings());
  parser.data = &follower;
  if (llhttp_execute(&parser, "GET ", 4) != HPE_OK) return false;
  return llhttp_execute(&parser, from_target.data(), from_target.size()) == HPE_PAUSED &&
         llhttp_get_error_pos(&parser) == from_target.data() + from_target.size() && parser.http_major == 1 &&
         parser.http_minor == version_minor && follower.finish_all();
}

}  // namespace stint::http
