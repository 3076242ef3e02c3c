#include "library/resource/shared_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "library/resource/shared_segment.h"

namespace tenure::resources {
namespace {

[[noreturn]] void refuse(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), "tenure::shared: " + what);
}

// Beyond the process's limit for files the kernel sends a signal that ends the process.
bool may_have_file_of(std::size_t bytes) noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
}

// All that a cut would need. Nobody can undo it.
constexpr int no_cuts = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// A byte with room for a descriptor beside it.
struct one_descriptor_message {
  one_descriptor_message() {
    header.msg_iov = &content;
    header.msg_iovlen = 1;
    header.msg_control = space;
    header.msg_controllen = sizeof space;
  }
  one_descriptor_message(const one_descriptor_message&) = delete;
  one_descriptor_message& operator=(const one_descriptor_message&) = delete;

  char byte = 0;
  iovec content{&byte, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
};

// The kernel has put all descriptors of a message that fit into this process, wanted or not: the first is returned, or
// -1, the others are closed.
int take_first_descriptor(msghdr& message, std::size_t& count) noexcept {
  int first = -1;
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t descriptors = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < descriptors; ++i) {
      int one = -1;
      std::memcpy(&one, CMSG_DATA(each) + i * sizeof one, sizeof one);
      if (count++ == 0) {
        first = one;
      } else {
        ::close(one);
      }
    }
  }
  return first;
}

}  // namespace

owned_file::~owned_file() {
  if (file_ >= 0) ::close(file_);
}

int owned_file::release() noexcept {
  const int file = file_;
  file_ = -1;
  return file;
}

owned_file make_segment_file(const char* name, const char* segment, std::size_t bytes) {
  if (!may_have_file_of(bytes)) refuse(EFBIG, "the process's limit for files (ulimit -f) is below the segment's size");
  owned_file made(segment == nullptr ? ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
                                     : ::shm_open(segment, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (made.get() < 0) {
    refuse(errno, segment == nullptr ? std::string("no memory file can be made (memfd_create)")
                                     : "the segment " + std::string(segment) + " cannot be made");
  }
  if (::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0 ||
      (segment == nullptr && ::fcntl(made.get(), F_ADD_SEALS, no_cuts) != 0)) {
    const int error = errno;
    if (segment != nullptr) ::shm_unlink(segment);
    refuse(error, "the segment's size cannot be set");
  }
  return made;
}

owned_file open_segment_file(const char* segment) {
  owned_file opened(::shm_open(segment, O_RDWR | O_CLOEXEC, 0));
  if (opened.get() < 0) refuse(errno, "the segment " + std::string(segment) + " cannot be opened");
  return opened;
}

owned_file duplicate_segment_file(int descriptor) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0) refuse(errno, "descriptor " + std::to_string(descriptor) + " is no memory file");
  if ((seals & F_SEAL_SHRINK) == 0) {
    refuse(EPERM, "descriptor " + std::to_string(descriptor) +
                      " is a file that its other owners can cut, which would end this process with a signal");
  }
  owned_file copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (copy.get() < 0) refuse(errno, "the descriptor cannot be duplicated");
  return copy;
}

void send_descriptor(int socket, int descriptor) {
  one_descriptor_message message;
  cmsghdr* const rights = CMSG_FIRSTHDR(&message.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  ssize_t sent = 0;
  do sent = ::sendmsg(socket, &message.header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent != 1) refuse(errno, "the segment cannot be sent (is this a connected unix socket?)");
}

int receive_descriptor(int socket) {
  one_descriptor_message message;
  ssize_t received = 0;
  do received = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received < 0) refuse(errno, "no segment can be received");
  std::size_t count = 0;
  owned_file descriptor(take_first_descriptor(message.header, count));
  if (count == 0) {
    refuse(EBADMSG, received == 0 ? "the other end has closed the socket" : "what was sent is no descriptor");
  }
  if (count > 1 || (message.header.msg_flags & MSG_CTRUNC) != 0) {
    refuse(EBADMSG, "what was sent is more than one descriptor");
  }
  return descriptor.release();
}

bool reserve_in_segment(int file, std::size_t begin, std::size_t bytes) noexcept {
  for (;;) {
    const int error = ::posix_fallocate(file, static_cast<off_t>(begin), static_cast<off_t>(bytes));
    if (error != EINTR) return error == 0;
  }
}

void punch_in_segment(int file, std::size_t begin, std::size_t bytes) noexcept {
  while (::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                     static_cast<off_t>(bytes)) != 0 &&
         errno == EINTR) {
  }
}

segment_header first_header(const segment_layout& layout, const char* name) noexcept {
  segment_header header{};
  header.magic = segment_magic;
  header.version = segment_version;
  header.header_bytes = sizeof(segment_header);
  header.segment_bytes = layout.segment_bytes;
  header.data_bytes = layout.data_bytes;
  header.smallest_shift = layout.smallest_shift;
  header.slots = segment_slots;
  header.check = check_of(header);
  const std::size_t length = std::min(std::strlen(name), header.name.size() - 1);
  std::copy_n(name, length, header.name.begin());
  return header;
}

}  // namespace tenure::resources
