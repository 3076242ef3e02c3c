// What a stranger sends that is no segment, no longer one, or one that cannot be.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <tenure/shared.hpp>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "library/resource/shared_layout.h"
#include "support/sizes.h"

namespace tenure {
namespace {

class SharedRefusals : public ::testing::Test {
 protected:
  static int copy_of(const shared& memory, std::size_t cut_bytes = 0) {
    struct stat status {};
    ::fstat(memory.descriptor(), &status);
    const int file = ::memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    std::vector<char> content(static_cast<std::size_t>(status.st_size) - cut_bytes);
    EXPECT_EQ(::pread(memory.descriptor(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::pwrite(file, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    return file;
  }
  static std::string refusal(int file) {
    ::fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK);
    try {
      shared joined = shared::attach(file);
    } catch (const std::runtime_error& error) {
      ::close(file);
      return error.what();
    }
    ::close(file);
    return "joined";
  }
  shared memory_{{.name = "tested", .bytes = mebibyte}};
};

TEST_F(SharedRefusals, NameWhatIsWrongWithTheFile) {
  const auto changed = [&](off_t offset, std::uint32_t value) {
    const int file = copy_of(memory_);
    EXPECT_EQ(::pwrite(file, &value, sizeof value, offset), 4);
    return refusal(file);
  };
  EXPECT_EQ(refusal(copy_of(memory_)), "joined");
  EXPECT_NE(changed(0, 0x21212121).find("no segment of Tenure's"), std::string::npos);
  EXPECT_NE(changed(8, 99).find("another version"), std::string::npos);
  EXPECT_NE(changed(24, 99).find("header is damaged"), std::string::npos);
  EXPECT_NE(refusal(copy_of(memory_, 4096)).find("has been cut"), std::string::npos);
  EXPECT_NE(refusal(::memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING)).find("shorter than the header"),
            std::string::npos);
}

TEST_F(SharedRefusals, NameBlocksThatOverlap) {
  static_cast<void>(memory_.allocate(64));
  const int file = copy_of(memory_);
  // The words of the first chunk begin where the tables do; the second smallest block lies in the first one's pair.
  struct stat status {};
  ASSERT_EQ(::fstat(file, &status), 0);
  const off_t tables = status.st_size - static_cast<off_t>(mebibyte) - 4 * 16384;
  const std::uint16_t two_blocks[2] = {2, 1};
  ASSERT_EQ(::pwrite(file, two_blocks, sizeof two_blocks, tables), 4);
  EXPECT_NE(refusal(file).find("overlaps"), std::string::npos);
}

// Sixty GiB of tables to read, said to be in use, without a page of memory; with the lock of a dead one, and without.
TEST_F(SharedRefusals, AreForTablesWithoutMemory) {
  resources::segment_layout layout;
  ASSERT_EQ(resources::layout_of(std::size_t{1} << 38, 16, layout), nullptr);
  for (const std::uint32_t owner : {0u, 1u}) {
    resources::segment_header header{};
    {
      const shared huge({.name = "tested", .bytes = layout.data_bytes, .smallest_bytes = 16});
      std::memcpy(&header, huge.begin(), offsetof(resources::segment_header, lock));
    }
    header.lock = owner;  // of slot 1, and dead
    const int file = ::memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ASSERT_EQ(::ftruncate(file, static_cast<off_t>(layout.segment_bytes)), 0);
    ASSERT_EQ(::pwrite(file, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    const std::vector<std::uint8_t> all(layout.chunks, 1);
    ASSERT_EQ(::pwrite(file, all.data(), all.size(), static_cast<off_t>(layout.committed_offset)),
              static_cast<ssize_t>(all.size()));
    EXPECT_NE(refusal(file).find("less memory than its tables say"), std::string::npos);
  }
}

TEST_F(SharedRefusals, AreForFilesThatCanBeCut) {
  const int file = copy_of(memory_);
  EXPECT_THROW(shared::attach(file), std::system_error);
  EXPECT_THROW(shared::attach(-1), std::system_error);
  EXPECT_THROW(shared::attach(STDERR_FILENO), std::system_error);
  ::close(file);
  EXPECT_EQ(::ftruncate(memory_.descriptor(), 4096), -1);
}

// A message of one byte with descriptors.
void send_descriptors(int socket, const std::vector<int>& descriptors) {
  char byte = 0;
  iovec content{&byte, 1};
  std::vector<std::uint64_t> space((CMSG_SPACE(descriptors.size() * sizeof(int)) + 7) / 8);
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
  ASSERT_EQ(::sendmsg(socket, &message, 0), 1);
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

TEST_F(SharedRefusals, KeepNoDescriptor) {
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  const auto before = open_descriptors();
  for (const std::size_t count : {2, 3, 50}) {
    send_descriptors(sockets[0], std::vector<int>(count, memory_.descriptor()));
    EXPECT_THROW(shared::receive_from(sockets[1]), std::system_error);
    EXPECT_EQ(open_descriptors(), before) << count << " sent";
  }
  ASSERT_EQ(::send(sockets[0], "", 1, 0), 1);
  EXPECT_THROW(shared::receive_from(sockets[1]), std::system_error);
  send_descriptors(sockets[0], {memory_.descriptor()});
  const int received = shared::receive_from(sockets[1]);
  EXPECT_EQ(open_descriptors(), before + 1);
  for (const int one : {received, sockets[0], sockets[1]}) ::close(one);
}

}  // namespace
}  // namespace tenure
