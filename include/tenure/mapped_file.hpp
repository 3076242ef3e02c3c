// tenure::mapped_file: memory that the kernel keeps in a file.
//
//   address space  [ file, mapped ................ ][ reserved, no access .......... ] limit_bytes
//   blocks         [1 MiB][64K][4K]....   of a buddy over all of it; the file grows as far as the last of them
//
// Pages that are not used can be written to the file and leave memory, without swap: what is seldom needed may be
// larger than the memory there is. The file has no name and ends with the resource; its blocks on the disk are reserved
// when it grows, so a full disk is a std::bad_alloc and no signal. On a file system that copies what is written (btrfs,
// ZFS) a reserved block is no promise: there a full disk can be a signal.
//
//     tenure::mapped_file scratch({.name = "sort runs", .folder = "/var/tmp", .limit_bytes = 64ull << 30});
//     std::pmr::vector<record> runs(&scratch);
//     ...
//     scratch.page_out();          // until they are read again
//
// When: large data that is seldom touched; a program in a container without swap. When not: what has to outlive the
// program; small blocks, which take 4 KiB each (put a slab or an arena on it); hot data, since written pages are
// written to the disk again and again.
//
// A release of what is no block in use, or with another size, ends in a message, always; with checks on with both
// sites. A child of fork() shares the memory.
//
// One thread at a time. Errors: std::bad_alloc at the limit, at the process's limit for files (RLIMIT_FSIZE) and where
// the disk is full; std::system_error when no file can be made; std::invalid_argument without a folder, and for sizes
// that are no powers of two. Cost: docs/library/mapped_file.md; 3 bytes
// for each smallest block of the limit. Source: mmap(2), madvise(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <tenure/buddy.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

struct mapped_file_options {
  std::string_view name = "mapped file";
  const char* folder = "/var/tmp";                 // on the disk that is to hold it
  std::size_t limit_bytes = std::size_t{1} << 30;  // address space; a power of two
  std::size_t grow_bytes = 1 << 20;                // the file's length is a multiple of it; a power of two
  std::size_t smallest_bytes = 4096;               // a power of two
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

class TENURE_API mapped_file final : public memory_resource {
 public:
  explicit mapped_file(const mapped_file_options& options = {});
  // Blocks in use go with it.
  ~mapped_file() override;

  // The pages that were written are on the disk when it returns. Throws std::system_error.
  void sync();
  // Its pages are the first that go when memory is short; or go now, as far as the kernel can. False where it refuses.
  bool cool() noexcept;
  bool page_out() noexcept;
  // Of the file, what lies in memory now. Throws std::bad_alloc.
  std::size_t resident_bytes() const;

  bool owns(const void* block) const noexcept override;
  // Cuts the file behind its last block in use.
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  void grow_to(std::size_t file_bytes);

  int file_ = -1;
  std::uintptr_t begin_ = 0;
  std::size_t limit_bytes_;
  std::size_t grow_bytes_;
  std::size_t file_bytes_ = 0;
  std::unique_ptr<buddy> blocks_;
};

}  // namespace tenure
