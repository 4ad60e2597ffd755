// The real interpreter, by the way a worker takes: ask the Python, open its library and our module, start, load.
#pragma once

#include "tests/embed/fake_sink.h"

#include "stint/runtime.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace stint::test {

class FakeLog final : public Log {
 public:
  struct Line {
    LogLevel level;
    std::string message;
    std::map<std::string, std::string> fields;
    std::string detail;
  };

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
             std::string_view detail) override;
  bool is_on(LogLevel) const override { return true; }
  std::vector<Line> lines() const;
  std::string texts() const;  // field "text" of all lines, joined by "|"

  bool keeps_lines = true;  // else only the length of the longest "text"
  std::size_t longest_text = 0;
  std::function<void()> during_write;  // in the thread that writes; not while two may do so

 private:
  mutable std::mutex mutex_;
  std::vector<Line> lines_;
};

// One for the process: started by the first test case that asks for it, with tests/apps as the application's directory.
struct EmbeddedPython {
  AppSettings app;
  FakeLog log;
  std::unique_ptr<Runtime> runtime;
  std::vector<StartStep> steps;
  LoadFailure failure;

  // "module:callable", or only the callable of wsgi_cases. Null: see `failure`.
  std::unique_ptr<Application> load(const std::string& name);
};

EmbeddedPython& python();

// A request that owns what Request points to.
struct TestRequest {
  std::string method = "GET";
  std::string target = "/";
  std::optional<std::string> path;  // the target without query when not given
  std::string host;
  int version_minor = 1;
  std::vector<HeaderField> fields;
  std::optional<std::string> body;
  bool body_in_file = false;
  std::string scheme = "http";
  std::string id = "request-1";
  Endpoints endpoints{"192.0.2.7", "51234", "127.0.0.1", "8000"};
  bool was_interrupted = false;
  std::uint64_t number = 0;
};

// Calls a loaded application with `request`, or `GET /?query`, and a sink.
std::optional<ApplicationFailure> call(Application& application, const TestRequest& request, FakeSink& sink);
std::optional<ApplicationFailure> call(Application& application, const std::string& query, FakeSink& sink);

// Loads wsgi_cases:name, calls it, and returns the body; a failure or an answer without head fails the test case.
std::string body_of(const std::string& name, const std::string& query = "");
std::string body_of(const std::string& name, const TestRequest& request);

}  // namespace stint::test
