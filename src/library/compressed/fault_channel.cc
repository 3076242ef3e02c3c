#include "library/compressed/fault_channel.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>

namespace tenure::resources {
namespace {

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

constexpr const char* refused =
    "userfaultfd is refused: this needs Linux 5.14 or newer, and in a container a seccomp profile that allows the "
    "userfaultfd system call";
constexpr const char* too_old = "the kernel's userfaultfd does not know minor faults on shared memory: Linux 5.14 does";
constexpr const char* user_only =
    "userfaultfd is allowed for the process's own accesses alone: run as root, set vm.unprivileged_userfaultfd to 1, "
    "or let the user open /dev/userfaultfd";

struct opened {
  int file;
  bool serves_system_calls;
};

opened open_channel() noexcept {
  constexpr int flags = O_CLOEXEC | O_NONBLOCK;
  if (const auto all = static_cast<int>(::syscall(SYS_userfaultfd, flags)); all >= 0) return {all, true};
  if (const int device = ::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC); device >= 0) {
    const int all = ::ioctl(device, USERFAULTFD_IOC_NEW, flags);
    ::close(device);
    if (all >= 0) return {all, true};
  }
  return {static_cast<int>(::syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY)), false};
}

bool agree(int file) noexcept {
  uffdio_api wanted{};
  wanted.api = UFFD_API;
  wanted.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
  return ::ioctl(file, UFFDIO_API, &wanted) == 0;
}

// The kernel is changing the mapping (a fork, a punched hole) and wants to be asked again.
template <class Request>
int ask(int file, unsigned long what, Request& request) noexcept {
  for (;;) {
    if (::ioctl(file, what, &request) == 0) return 0;
    if (errno != EAGAIN && errno != EINTR) return errno;
  }
}

}  // namespace

const char* fault_channel::why_not() noexcept {
  const opened channel = open_channel();
  if (channel.file < 0) return refused;
  const bool is_new_enough = agree(channel.file);
  ::close(channel.file);
  return is_new_enough ? nullptr : too_old;
}

fault_channel::fault_channel(bool must_serve_system_calls) {
  const auto refuse = [&](int error, const char* why) {
    if (file_ >= 0) ::close(file_);
    throw std::system_error(error, std::generic_category(), std::string("tenure::compressed: ") + why);
  };
  const opened channel = open_channel();
  file_ = channel.file;
  serves_system_calls_ = channel.serves_system_calls;
  if (file_ < 0) refuse(errno, refused);
  if (must_serve_system_calls && !serves_system_calls_) refuse(EPERM, user_only);
  if (!agree(file_)) refuse(errno, too_old);
}

fault_channel::~fault_channel() { ::close(file_); }

void fault_channel::watch(std::uintptr_t begin, std::size_t bytes) {
  uffdio_register range{};
  range.range.start = begin;
  range.range.len = bytes;
  range.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;
  if (::ioctl(file_, UFFDIO_REGISTER, &range) != 0) {
    throw std::system_error(errno, std::generic_category(), std::string("tenure::compressed: ") + too_old);
  }
}

std::size_t fault_channel::read_faults(std::uintptr_t* addresses, std::size_t most) const noexcept {
  std::array<uffd_msg, 32> messages;
  const ssize_t bytes = ::read(file_, messages.data(), std::min(most, messages.size()) * sizeof(uffd_msg));
  std::size_t count = 0;
  for (std::size_t i = 0; bytes > 0 && i < static_cast<std::size_t>(bytes) / sizeof(uffd_msg); ++i) {
    if (messages[i].event == UFFD_EVENT_PAGEFAULT) addresses[count++] = messages[i].arg.pagefault.address;
  }
  return count;
}

void fault_channel::wake(std::uintptr_t page, std::size_t bytes) const noexcept {
  uffdio_range range{page, bytes};
  ::ioctl(file_, UFFDIO_WAKE, &range);
}

bool fault_channel::put_zeros(std::uintptr_t page, std::size_t bytes) const noexcept {
  uffdio_zeropage request{};
  request.range = {page, bytes};
  const int error = ask(file_, UFFDIO_ZEROPAGE, request);
  if (error == EEXIST) wake(page, bytes);
  return error == 0 || error == EEXIST;
}

bool fault_channel::put_content(std::uintptr_t page, const void* content, std::size_t bytes) const noexcept {
  uffdio_copy request{};
  request.dst = page;
  request.src = reinterpret_cast<std::uintptr_t>(content);
  request.len = bytes;
  const int error = ask(file_, UFFDIO_COPY, request);
  if (error == EEXIST) wake(page, bytes);
  return error == 0 || error == EEXIST;
}

bool fault_channel::map_what_is_there(std::uintptr_t page, std::size_t bytes) const noexcept {
  uffdio_continue request{};
  request.range = {page, bytes};
  const int error = ask(file_, UFFDIO_CONTINUE, request);
  if (error != 0) wake(page, bytes);
  return error == 0 || error == EEXIST;
}

}  // namespace tenure::resources
