// A ResponseSink that keeps what it gets and knows just enough of HTTP to say when an answer is complete.
#pragma once

#include "stint/response_sink.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stint::test {

class FakeSink final : public ResponseSink {
 public:
  struct FilePart {
    UniqueFd file;
    std::uint64_t offset;
    std::uint64_t length;
  };

  std::string method = "GET";
  bool keeps_chunks = false;           // as the worker does with what it cannot send at once
  bool is_gone = false;                // the client, as far as it is known without a flush
  int flushes_until_gone = -1;         // the client goes away at this flush; -1: never
  std::function<void()> during_flush;  // runs without the GIL

  std::string status;
  std::vector<std::pair<std::string, std::string>> fields;
  std::vector<std::pair<std::string, std::string>> hints;
  std::optional<std::uint64_t> length;
  std::string body;
  std::vector<FilePart> files;
  std::vector<BodyChunk> kept;
  std::vector<std::string> flushed;  // the body as far as it was at each flush
  int writes = 0;

  // The field's value; "" when it is not there.
  std::string field(std::string_view name) const {
    for (const auto& [known, value] : fields) {
      if (known == name) return value;
    }
    return "";
  }

  Result<void> set_head(std::string_view new_status, std::span<const HeaderField> new_fields) override {
    for (const HeaderField& field : new_fields) {
      if (field.value.find_first_of("\r\n") != std::string_view::npos) {
        return error_because("header value of '" + std::string(field.name) + "' contains a line feed");
      }
    }
    status = new_status;
    fields.clear();
    length.reset();
    for (const HeaderField& field : new_fields) {
      fields.emplace_back(field.name, field.value);
      if (field.name == "Content-Length") length = std::stoull(std::string(field.value));
    }
    has_head_ = true;
    return {};
  }
  Result<void> send_early_hints(std::span<const HeaderField> new_fields) override {
    for (const HeaderField& field : new_fields) {
      if (field.value.find('\n') != std::string_view::npos) return error_because("a value contains a line feed");
      hints.emplace_back(field.name, field.value);
    }
    return {};
  }
  bool is_client_gone() const override { return is_gone; }
  bool has_head() const override { return has_head_; }
  bool has_sent_head() const override { return has_sent_head_; }
  void set_length(std::uint64_t known) override {
    if (!length) length = known;
  }
  void write(const BodyChunk& chunk) override {
    ++writes;
    has_sent_head_ = true;
    if (has_no_body()) return;
    std::string_view bytes = chunk.bytes;
    if (length) bytes = bytes.substr(0, *length - body.size());
    body += bytes;
    if (keeps_chunks) {
      chunk.retain(chunk.owner);
      kept.push_back(chunk);
    }
  }
  void write_file(UniqueFd file, std::uint64_t offset, std::uint64_t size) override {
    has_sent_head_ = true;
    std::string content(size, '\0');
    ssize_t got = ::pread(file.get(), content.data(), size, static_cast<off_t>(offset));
    content.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    body += content;
    files.push_back({std::move(file), offset, size});
  }
  bool is_complete() const override { return has_no_body() || (length && body.size() >= *length); }
  Result<void> flush() override {
    flushed.push_back(body);
    if (during_flush) during_flush();
    if (flushes_until_gone >= 0 && flushes_until_gone-- == 0) return system_error("send", EPIPE);
    return {};
  }

 private:
  bool has_no_body() const { return method == "HEAD" || status.starts_with("204") || status.starts_with("304"); }

  bool has_head_ = false;
  bool has_sent_head_ = false;
};

}  // namespace stint::test
