#include "server/worker/response_writer.h"

#include "server/http/date.h"
#include "stint/assert.h"

#include <array>
#include <charconv>
#include <ctime>
#include <string>

namespace stint::worker {

using http::BodyFraming;

void ResponseWriter::begin(std::string_view method, int version_minor, bool wants_keep_alive) {
  head_.clear();
  method_ = method;
  version_minor_ = version_minor;
  framing_ = BodyFraming::none;
  remaining_ = 0;
  body_bytes_ = 0;
  has_sent_head_ = false;
  keeps_alive_ = wants_keep_alive;
  is_broken_ = false;
  was_cut_ = was_short_ = false;
}

Result<void> ResponseWriter::set_head(std::string_view status, std::span<const HeaderField> fields) {
  STINT_ASSERT(!has_sent_head_);
  return head_.set(status, fields);
}

Result<void> ResponseWriter::send_early_hints(std::span<const HeaderField> fields) {
  STINT_ASSERT(!has_sent_head_);
  std::string answer;
  if (Result<void> made = http::append_early_hints(answer, fields); !made.has_value()) return made;
  if (version_minor_ >= 1) host_.send_interim(answer);
  return {};
}

void ResponseWriter::send_head() {
  STINT_ASSERT(head_.is_set());
  framing_ = head_.framing(method_, version_minor_);
  // As late as possible: a worker that began to drain during the call still announces the close.
  keeps_alive_ = keeps_alive_ && framing_ != BodyFraming::until_close && !host_.shall_announce_close();
  if (framing_ == BodyFraming::length) remaining_ = head_.content_length().value_or(0);
  thread_local http::DateClock clock;
  head_.append_to(queue_.owned(), framing_, version_minor_, keeps_alive_, clock.at(std::time(nullptr)));
  queue_.commit();
  has_sent_head_ = true;
}

std::uint64_t ResponseWriter::admit(std::uint64_t length) {
  if (framing_ == BodyFraming::none) return 0;
  if (framing_ == BodyFraming::length && length > remaining_) {
    was_cut_ = true;
    length = remaining_;
  }
  if (framing_ == BodyFraming::length) remaining_ -= length;
  body_bytes_ += length;
  return length;
}

void ResponseWriter::begin_chunk(std::uint64_t length) {
  if (framing_ != BodyFraming::chunked) return;
  std::array<char, 18> size;
  char* end = std::to_chars(size.data(), size.data() + 16, length, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  queue_.push(std::string_view(size.data(), static_cast<std::size_t>(end - size.data())));
}

void ResponseWriter::end_chunk() {
  if (framing_ == BodyFraming::chunked) queue_.push(std::string_view("\r\n"));
}

void ResponseWriter::write(const BodyChunk& chunk) {
  if (names_file()) return;
  if (!has_sent_head_) send_head();
  BodyChunk admitted = chunk;
  admitted.bytes = chunk.bytes.substr(0, admit(chunk.bytes.size()));
  if (admitted.bytes.empty()) return;
  begin_chunk(admitted.bytes.size());
  queue_.push(admitted);
  end_chunk();
}

void ResponseWriter::write_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) {
  if (names_file()) return;
  if (!has_sent_head_) send_head();
  const std::uint64_t admitted = admit(length);
  if (admitted == 0) return;
  begin_chunk(admitted);
  queue_.push_file(std::move(file), offset, admitted);
  end_chunk();
}

bool ResponseWriter::is_complete() const {
  if (!head_.is_set()) return false;
  if (names_file()) return true;
  const BodyFraming framing = has_sent_head_ ? framing_ : head_.framing(method_, version_minor_);
  if (framing == BodyFraming::none) return true;
  return framing == BodyFraming::length && (has_sent_head_ ? remaining_ == 0 : head_.content_length() == 0U);
}

void ResponseWriter::answer(int status, std::span<const HeaderField> fields, std::string_view line) {
  std::string body(line);
  if (body.empty()) body.append(std::to_string(status)).append(" ").append(http::reason_phrase(status));
  body.push_back('\n');
  answer_with(status, fields, "text/plain; charset=utf-8", body);
}

void ResponseWriter::answer_page(int status, std::string_view html) {
  answer_with(status, {}, "text/html; charset=utf-8", html);
}

void ResponseWriter::answer_with(int status, std::span<const HeaderField> fields, std::string_view type,
                                 std::string_view body) {
  std::string text = std::to_string(status);
  text.append(" ").append(http::reason_phrase(status));
  std::vector<HeaderField> all(fields.begin(), fields.end());
  const std::string length = std::to_string(body.size());
  if (status != 304 && status != 204) {
    all.push_back({"Content-Type", type});
    all.push_back({"Content-Length", length});
  }
  const Result<void> is_set = set_head(text, all);
  STINT_ASSERT(is_set.has_value());
  write({.bytes = body});
}

void ResponseWriter::finish() {
  if (is_broken_) return;
  if (!has_sent_head_) {
    // No item had a byte in it: the length is known after all. (Not for HEAD and 304: theirs is another answer's
    // length.)
    if (method_ != "HEAD" && head_.code() != 304) head_.set_length(0);
    send_head();
  }
  if (framing_ == BodyFraming::chunked) queue_.push(std::string_view("0\r\n\r\n"));
  if (framing_ == BodyFraming::length && remaining_ > 0) is_broken_ = was_short_ = true;
}

}  // namespace stint::worker
