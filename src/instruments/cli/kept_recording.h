// Kept recording: where the recording of `tenure run --full` goes: to the file that the user named, or to one that has
// no name and is gone with the command, however that ends.
#pragma once

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "instruments/record/block_file.h"

namespace tenure::cli {

class kept_recording {
 public:
  // Without a name: in $TMPDIR or /var/tmp or /tmp. The error is a sentence.
  static std::expected<kept_recording, std::string> create(const std::optional<std::filesystem::path>& named);
  kept_recording(kept_recording&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  kept_recording& operator=(kept_recording&&) = delete;
  ~kept_recording();

  // By which it can be opened while this lives.
  const std::filesystem::path& path() const { return path_; }

 private:
  kept_recording(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_ = -1;  // of the file without a name
  std::filesystem::path path_;
};

}  // namespace tenure::cli
