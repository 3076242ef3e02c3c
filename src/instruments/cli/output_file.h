// Output file: appears whole under its name, or not at all.
#pragma once

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tenure::cli {

// Whether write_output() can work, found out before a program is run for an hour. The error is one sentence.
std::expected<void, std::string> check_output(const std::filesystem::path& path);

// Whether the two name one file, or both standard output, so that the second would replace the first.
bool are_one_output(const std::filesystem::path& one, const std::filesystem::path& other);

// Writes beside the target and renames; a device, a pipe or "-" (standard output) is written to directly.
std::expected<void, std::string> write_output(const std::filesystem::path& path, std::string_view contents);

// A file that is written piece by piece, and then appears whole under its name or not at all. Until then it has no name
// where the file system can do that, so that nothing is left of it even when the command is killed.
class pending_output {
 public:
  // The error is one sentence.
  static std::expected<pending_output, std::string> open(const std::filesystem::path& path);
  pending_output(pending_output&& other) noexcept;
  pending_output& operator=(pending_output&&) = delete;
  ~pending_output();

  // The open file once more; the caller closes it. -1 when there are too many open.
  int descriptor() const;
  // The next piece. False when it cannot be written: then nothing more is, and commit() says why.
  bool write(std::string_view piece);
  // When all of it has been written.
  std::expected<void, std::string> commit();

 private:
  pending_output(int file, std::filesystem::path path, std::filesystem::path target, std::string name)
      : file_(file), path_(std::move(path)), target_(std::move(target)), name_(std::move(name)) {}
  std::expected<void, std::string> commit_whole();

  int file_;
  std::filesystem::path path_;      // as it was given
  std::filesystem::path target_;    // empty: it is written to directly
  std::string name_;                // where it lies meanwhile; empty: nowhere
  std::optional<std::string> why_;  // the first piece that was not written was not
};

// All of `contents` to an open descriptor.
bool write_all(int descriptor, std::string_view contents);

}  // namespace tenure::cli
