#include "library/resource/shared_presence.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace tenure::resources {
namespace {

bool set_lock(int file, short type, unsigned slot) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = slot;
  lock.l_len = 1;
  return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

}  // namespace

shared_presence::~shared_presence() { close(); }

void shared_presence::open(int segment_file) {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", segment_file);
  close();
  file_ = ::open(path, O_RDWR | O_CLOEXEC);
  if (file_ < 0) {
    throw std::system_error(errno, std::generic_category(),
                            "tenure::shared: the segment cannot be opened again by /proc/self/fd, for the lock that "
                            "tells others that this process lives");
  }
}

void shared_presence::close() noexcept {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

bool shared_presence::try_take(unsigned slot) const noexcept { return set_lock(file_, F_WRLCK, slot); }

void shared_presence::leave(unsigned slot) const noexcept { set_lock(file_, F_UNLCK, slot); }

bool shared_presence::is_there(unsigned slot) const noexcept {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = slot;
  lock.l_len = 1;
  return ::fcntl(file_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace tenure::resources
