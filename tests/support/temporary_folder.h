// A folder of one test's own, removed with all that is in it. Its path is short enough for a unix socket's name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace stint::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string file(std::string_view name) const { return (path_ / name).string(); }
  std::string write(std::string_view name, std::string_view text) const;  // makes folders on the way; the full path

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);  // empty when it does not exist

}  // namespace stint::test
