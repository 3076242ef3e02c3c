// Session folder: where the programs of one run put their region files. On a tmpfs when there is one, private to the
// user, and gone when the run is over; folders that a killed command left behind are cleared away by the next one.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

namespace tenure::collect {

class session_folder {
 public:
  // Tries /dev/shm, $TMPDIR and /tmp.
  static std::expected<session_folder, std::string> create();
  ~session_folder() { remove(); }
  session_folder(session_folder&& other) noexcept;
  session_folder& operator=(session_folder&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  void remove() noexcept;

 private:
  session_folder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_ = -1;  // an flock on the folder, held while the run lives: how others know that it is not stale
};

}  // namespace tenure::collect
