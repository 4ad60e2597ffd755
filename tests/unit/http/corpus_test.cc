// tests/conformance/requests, held against the parser and the decoder alone:
// invalid/STATUS-REASON-what-it-shows.http: refused with that status and reason, by the head or by the body.
// valid/NAME.http: one whole request, understood as NAME.expected says.
// Limits: message_reader.h.
#include "tests/support/catch.h"
#include "tests/unit/http/message_reader.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace stint::http {
namespace {

using namespace std::string_view_literals;

struct CorpusCase {
  std::string name, bytes;
};

std::string folder(std::string_view kind) {
  return std::string(STINT_REQUESTS_FOLDER) + "/" + std::string(kind) + "/";
}

std::vector<CorpusCase> corpus(std::string_view kind) {
  std::vector<CorpusCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(folder(kind))) {
    if (entry.path().extension() != ".http") continue;
    cases.push_back({entry.path().stem().string(), read_file(entry.path().string())});
  }
  std::sort(cases.begin(), cases.end(), [](const CorpusCase& a, const CorpusCase& b) { return a.name < b.name; });
  return cases;
}

// Large files are cut at fewer places; the test stays fast and each state is still cut in another file.
std::size_t stride(const CorpusCase& one) { return one.bytes.size() / 600 + 1; }

TEST_CASE("every invalid request of the corpus is refused with its status and reason", "[http][corpus]") {
  const auto cases = corpus("invalid");
  REQUIRE(cases.size() > 250);
  for (const CorpusCase& one : cases) {
    INFO(one.name);
    const Message message = read_message({one.bytes});
    CHECK(message.verdict == Message::Verdict::refused);
    const std::string refusal = std::to_string(message.status) + "-" + message.reason;
    CHECK(refusal == one.name.substr(0, refusal.size()));
    CHECK(one.name.substr(std::min(refusal.size(), one.name.size()), 1) == "-");
  }
}

TEST_CASE("every valid request of the corpus is understood as expected", "[http][corpus]") {
  const auto cases = corpus("valid");
  REQUIRE(cases.size() > 80);
  for (const CorpusCase& one : cases) {
    INFO(one.name);
    const Message message = read_message({one.bytes});
    CHECK(message.reason == "");
    CHECK(message.verdict == Message::Verdict::complete);
    CHECK(message.size == one.bytes.size());
    CHECK(message.text == read_file(folder("valid") + one.name + ".expected"));
  }
}

TEST_CASE("a request's verdict is the same however its bytes are cut", "[http][corpus]") {
  for (const char* kind : {"valid", "invalid"}) {
    for (const CorpusCase& one : corpus(kind)) {
      INFO(one.name);
      const Message whole = read_message({one.bytes});
      CHECK(read_message(cut_everywhere(one.bytes)) == whole);
      for (std::size_t position = 0; position <= one.bytes.size(); position += stride(one)) {
        if (read_message(cut_at(one.bytes, position)) != whole) FAIL_CHECK("cut at " << position);
      }
    }
  }
}

TEST_CASE("no part of a valid request is complete or refused before its last byte", "[http][corpus]") {
  for (const CorpusCase& one : corpus("valid")) {
    INFO(one.name);
    for (std::size_t size = 0; size < one.bytes.size(); size += stride(one)) {
      if (read_message({std::string_view(one.bytes).substr(0, size)}).verdict != Message::Verdict::incomplete) {
        FAIL_CHECK("verdict after " << size << " bytes");
      }
    }
  }
}

TEST_CASE("a valid request ends where the next pipelined one begins", "[http][corpus]") {
  for (const CorpusCase& one : corpus("valid")) {
    INFO(one.name);
    Message alone = read_message({one.bytes});
    CHECK(read_message({one.bytes + "GET /next HTTP/1.1\r\nHost: next\r\n\r\n"}) == alone);
    CHECK(read_message({one.bytes + "\r\n\r\n0\r\n\r\n"}) == alone);
  }
}

// llhttp is asked last, and has nothing to add: what our own rules accept, every version of it accepts as well, so
// that the verdict does not depend on which one is installed. A refusal by "second_reading" here is a rule of ours
// that is missing.
TEST_CASE("llhttp never refuses a head that our rules accept", "[http][corpus]") {
  std::size_t accepted = 0;
  const auto check = [&accepted](const std::string& bytes, std::string_view name) {
    const Message message = read_message({bytes});
    accepted += message.verdict != Message::Verdict::refused;
    if (message.reason == "second_reading") FAIL_CHECK("mutant of " << name << ": " << bytes);
  };
  for (const char* kind : {"valid", "invalid"}) {
    for (const CorpusCase& one : corpus(kind)) {
      if (one.bytes.size() > 400) continue;
      for (std::size_t i = 0; i < one.bytes.size(); ++i) {
        // Bytes that end, separate or hide something, anywhere; every byte in a few files.
        constexpr std::string_view marks = "\r\n\0\t :,;/?#%*@[]\\\"_-+.0aA\x0b\x7f\x80\xff"sv;
        const bool all = one.name == "minimal" || one.name == "absolute" || one.name == "length" ||
                         one.name == "chunked-any-case-with-blanks" || one.name == "values-empty";
        for (unsigned c = 0; c < 256; ++c) {
          if (!all && marks.find(static_cast<char>(c)) == marks.npos) continue;
          std::string changed = one.bytes;
          changed[i] = static_cast<char>(c);
          check(changed, one.name);
          changed = one.bytes;
          changed.insert(i, 1, static_cast<char>(c));
          check(changed, one.name);
        }
        std::string shorter = one.bytes;
        shorter.erase(i, 1);
        check(shorter, one.name);
      }
    }
  }
  CHECK(accepted > 10000);
}

}  // namespace
}  // namespace stint::http
