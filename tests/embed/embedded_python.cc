#include "tests/embed/embedded_python.h"

#include "server/runtime_loader/runtime_loader.h"
#include "tests/support/catch.h"

#include <sys/mman.h>

#include <algorithm>

namespace stint::test {

void FakeLog::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
                    std::string_view detail) {
  if (during_write) during_write();
  std::lock_guard lock(mutex_);
  for (const LogField& field : fields) {
    if (field.name == "text") longest_text = std::max(longest_text, field.value.size());
  }
  if (!keeps_lines) return;
  Line line{level, std::string(message), {}, std::string(detail)};
  for (const LogField& field : fields) line.fields.emplace(field.name, field.value);
  lines_.push_back(std::move(line));
}

std::vector<FakeLog::Line> FakeLog::lines() const {
  std::lock_guard lock(mutex_);
  return lines_;
}

std::string FakeLog::texts() const {
  std::string texts;
  for (Line& line : lines()) texts += (texts.empty() ? "" : "|") + line.fields["text"];
  return texts;
}

EmbeddedPython& python() {
  static EmbeddedPython* embedded = [] {
    auto made = std::make_unique<EmbeddedPython>();
    made->app.name = "test";
    made->app.module = "wsgi_cases:hello";
    made->app.directory = STINT_SOURCE_DIR "/tests/apps";
    auto identity = runtime_loader::ask_python("");
    if (!identity.has_value()) throw std::runtime_error(identity.error().text());
    auto loaded = runtime_loader::open_runtime(*identity);
    if (!loaded.has_value()) throw std::runtime_error(loaded.error().text());
    ::setenv("PYTHONDONTWRITEBYTECODE", "1", 1);  // tests leave no files in the sources
    RuntimeOptions options;
    options.app = &made->app;
    options.worker = {3, 7};
    options.python = identity->executable;
    options.log = &made->log;
    auto runtime = loaded->module->start(options);
    if (!runtime.has_value()) throw std::runtime_error(runtime.error().text());
    made->runtime = std::move(*runtime);
    return made.release();  // for the life of the process, as in a worker
  }();
  return *embedded;
}

std::unique_ptr<Application> EmbeddedPython::load(const std::string& name) {
  app.module = name.find(':') == std::string::npos ? "wsgi_cases:" + name : name;
  failure = {};
  steps.clear();
  return runtime->load(steps, failure);
}

std::optional<ApplicationFailure> call(Application& application, const TestRequest& given, FakeSink& sink) {
  UniqueFd file;
  Request request;
  request.method = given.method;
  request.target = given.target;
  const std::size_t question = given.target.find('?');
  std::string path = given.path.value_or(given.target.substr(0, question));
  request.path = path;
  if (question != std::string::npos) request.query = std::string_view(given.target).substr(question + 1);
  request.host = given.host;
  request.version_minor = given.version_minor;
  request.fields = given.fields;
  if (given.body) {
    request.body.is_present = true;
    request.body.size = given.body->size();
    request.body.memory = *given.body;
    if (given.body_in_file) {
      file.reset(::memfd_create("body", MFD_CLOEXEC));
      REQUIRE(::write(file.get(), given.body->data(), given.body->size()) == static_cast<ssize_t>(given.body->size()));
      request.body.file = file.get();
      request.body.memory = {};
    }
  }
  request.endpoints = given.endpoints;
  request.scheme = given.scheme;
  request.id = given.id;
  request.was_interrupted = given.was_interrupted;
  request.number = given.number;
  sink.method = given.method;
  return application.call(request, sink);
}

std::optional<ApplicationFailure> call(Application& application, const std::string& query, FakeSink& sink) {
  return call(application, TestRequest{.target = "/?" + query}, sink);
}

std::string body_of(const std::string& name, const TestRequest& request) {
  auto application = python().load(name);
  INFO(python().failure.summary << "\n" << python().failure.traceback);
  REQUIRE(application != nullptr);
  FakeSink sink;
  auto failure = call(*application, request, sink);
  INFO((failure ? failure->summary + "\n" + failure->traceback : ""));
  REQUIRE(!failure);
  REQUIRE(sink.has_head());
  return sink.body;
}

std::string body_of(const std::string& name, const std::string& query) {
  return body_of(name, TestRequest{.target = "/?" + query});
}

}  // namespace stint::test
