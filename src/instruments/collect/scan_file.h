// The file with what a process found when it looked through a copy of itself (wire/leak_scan.h).
//
// It is the process's: it need not be one that a command can read from, nor stay as it is.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "wire/leak_scan.h"

namespace tenure::collect {

class scan_file {
 public:
  explicit scan_file(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {
    struct stat status {};
    is_file_ = descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  }
  ~scan_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  scan_file(const scan_file&) = delete;
  scan_file& operator=(const scan_file&) = delete;

  // Fewer only at the end of the file.
  std::size_t read(void* to, std::size_t bytes, std::uint64_t offset) const {
    std::size_t held = 0;
    while (is_file_ && held < bytes) {
      const ssize_t got =
          ::pread(descriptor_, static_cast<char*>(to) + held, bytes - held, static_cast<off_t>(offset + held));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      held += static_cast<std::size_t>(got);
    }
    return held;
  }
  bool read_header(wire::leak_scan_header& header) const {
    return read(&header, sizeof header, 0) == sizeof header && header.magic == wire::leak_scan_magic &&
           header.version == wire::leak_scan_version && header.refusal < wire::scan_refusal_count;
  }
  // By the process that writes it.
  bool is_locked() const { return is_file_ && ::flock(descriptor_, LOCK_SH | LOCK_NB) != 0; }

 private:
  int descriptor_;
  bool is_file_ = false;
};

}  // namespace tenure::collect
