#include <tenure/page_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace tenure {

disk_file::disk_file(std::string path, const disk_file_options& options) : path_(std::move(path)) {
  constexpr mode_t mode = 0666;
  const int flags =
      O_CLOEXEC | (options.is_writable || options.is_created ? O_RDWR : O_RDONLY) | (options.is_created ? O_CREAT : 0);
  if (options.wants_direct) {
    descriptor_ = ::open(path_.c_str(), flags | O_DIRECT, mode);
    is_direct_ = descriptor_ >= 0;
    if (descriptor_ < 0 && errno != EINVAL) fail("open");
  }
  if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), flags, mode);
  if (descriptor_ < 0) fail("open");
}

disk_file::~disk_file() { ::close(descriptor_); }

void disk_file::fail(const char* what) const {
  throw std::system_error(errno, std::generic_category(), "tenure::disk_file: " + std::string(what) + " " + path_);
}

std::size_t disk_file::read(std::uint64_t offset, std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) fail("read");
  }
}

std::size_t disk_file::write(std::uint64_t offset, std::span<const std::byte> from) {
  for (;;) {
    const ssize_t put = ::pwrite(descriptor_, from.data(), from.size(), static_cast<off_t>(offset));
    if (put >= 0) return static_cast<std::size_t>(put);
    if (errno != EINTR) fail("write");
  }
}

void disk_file::sync() {
  while (::fdatasync(descriptor_) != 0) {
    if (errno != EINTR) fail("sync");
  }
}

std::uint64_t disk_file::size_bytes() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("stat");
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace tenure
