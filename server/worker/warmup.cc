#include "server/worker/warmup.h"

#include "server/http/request_parser.h"
#include "server/http/response_head.h"
#include "server/worker/mount.h"

namespace stint::worker {

namespace {

// Takes an answer and keeps its status.
class StatusSink final : public ResponseSink {
 public:
  Result<void> set_head(std::string_view status, std::span<const HeaderField> fields) override {
    return head_.set(status, fields);
  }
  Result<void> send_early_hints(std::span<const HeaderField> fields) override {
    std::string ignored;
    return http::append_early_hints(ignored, fields);
  }
  bool has_head() const override { return head_.is_set(); }
  bool has_sent_head() const override { return has_sent_head_; }
  void set_length(std::uint64_t) override {}
  void write(const BodyChunk&) override { has_sent_head_ = true; }
  void write_file(UniqueFd, std::uint64_t, std::uint64_t) override { has_sent_head_ = true; }
  bool is_complete() const override { return false; }  // the whole body is made, as for a client
  bool is_client_gone() const override { return false; }
  Result<void> flush() override { return {}; }
  const http::ResponseHead& head() const { return head_; }

 private:
  http::ResponseHead head_;
  bool has_sent_head_ = false;
};

std::string host_of(const Settings& settings) {
  for (const ListenAddress& address : settings.listen) {
    if (address.family == ListenAddress::Family::ipv4 || address.family == ListenAddress::Family::ipv6)
      return address.text();
  }
  return "localhost";
}

}  // namespace

std::optional<LoadFailure> warm_up(Application& application, const Settings& settings) {
  const std::string host = host_of(settings);
  for (const std::string& target : settings.app.warmup_requests) {
    const std::string bytes = "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: stint-warmup\r\n\r\n";
    http::RequestParser parser({.max_request_line = settings.http.max_request_line,
                                .max_header_fields = settings.http.max_header_fields,
                                .max_header_size = settings.http.max_header_size,
                                .max_body = settings.http.max_body});
    if (parser.parse(bytes) != http::RequestParser::Verdict::complete) {
      return LoadFailure{
          "warmup", "app.warmup.requests: '" + target + "' is not a request target such as \"/path?query\"", {}};
    }
    const http::RequestHead& head = parser.head();
    const Request request{.method = head.method,
                          .target = head.target,
                          .path = head.path,
                          .query = head.query,
                          .host = head.host,
                          .version_minor = head.version_minor,
                          .fields = head.fields,
                          .body = {},
                          .endpoints = {"127.0.0.1", "0", "localhost", "80"},
                          .scheme = "http",
                          .id = "warmup"};
    std::string script_name;
    const std::optional<Request> below = below_mount(settings.app.mount, request, script_name);
    if (!below) {
      return LoadFailure{"warmup",
                         "app.warmup.requests: '" + target + "' is not for the application, which is at app.mount " +
                             settings.app.mount,
                         {}};
    }
    StatusSink sink;
    if (std::optional<ApplicationFailure> failure = application.call(*below, sink)) {
      return LoadFailure{"warmup", "GET " + target + ": " + failure->summary, failure->traceback};
    }
    if (sink.head().code() >= 500) {
      return LoadFailure{"warmup", "GET " + target + " was answered " + std::string(sink.head().status()), {}};
    }
  }
  return std::nullopt;
}

}  // namespace stint::worker
