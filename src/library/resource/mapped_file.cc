#include <tenure/mapped_file.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/checks.h"

namespace tenure {
namespace {

using core::align_up;
using core::is_power_of_two;

// A file without a name. Not every file system can make one by itself.
int make_file(const char* folder) {
  const int made = ::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (made >= 0) return made;
  std::string path = std::string(folder) + "/tenure.XXXXXX";
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named < 0) {
    throw std::system_error(errno, std::generic_category(), "tenure::mapped_file: no file can be made in " + path);
  }
  ::unlink(path.c_str());
  return named;
}

// Beyond the process's limit for files the kernel refuses and sends a signal that ends the process.
bool may_have_file_of(std::size_t bytes) noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
}

bool reserve_in_file(int file, std::size_t begin, std::size_t bytes) noexcept {
  for (;;) {
    const int error = ::posix_fallocate(file, static_cast<off_t>(begin), static_cast<off_t>(bytes));
    if (error != EINTR) return error == 0;
  }
}

bool cut_file(int file, std::size_t bytes) noexcept {
  for (;;) {
    if (::ftruncate(file, static_cast<off_t>(bytes)) == 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace

mapped_file::mapped_file(const mapped_file_options& options)
    : memory_resource(options.name, "mapped_file", options.parent),
      limit_bytes_(options.limit_bytes),
      grow_bytes_(std::max(options.grow_bytes, resources::os_page_bytes())) {
  if (!is_power_of_two(limit_bytes_) || !is_power_of_two(grow_bytes_) || !is_power_of_two(options.smallest_bytes) ||
      grow_bytes_ > limit_bytes_ || options.smallest_bytes > limit_bytes_) {
    throw std::invalid_argument("tenure::mapped_file: sizes are powers of two, the limit the largest of them");
  }
  if (options.folder == nullptr) throw std::invalid_argument("tenure::mapped_file: a folder for the file");
  // Aligned to the limit, so that a block is aligned to its size.
  void* wide = ::mmap(nullptr, limit_bytes_ * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (wide == MAP_FAILED) throw std::bad_alloc();
  const auto wide_begin = reinterpret_cast<std::uintptr_t>(wide);
  begin_ = align_up(wide_begin, limit_bytes_);
  if (begin_ != wide_begin) ::munmap(wide, begin_ - wide_begin);
  ::munmap(reinterpret_cast<void*>(begin_ + limit_bytes_), wide_begin + limit_bytes_ - begin_);
  try {
    blocks_ = std::make_unique<buddy>(buddy_options{.name = name(),
                                                    .begin = reinterpret_cast<void*>(begin_),
                                                    .bytes = limit_bytes_,
                                                    .smallest_bytes = options.smallest_bytes,
                                                    .checks = options.checks,
                                                    .fills_from_begin = true,  // so the file stays short
                                                    .part_of = this});
    file_ = make_file(options.folder);
  } catch (...) {
    ::munmap(reinterpret_cast<void*>(begin_), limit_bytes_);
    throw;
  }
}

mapped_file::~mapped_file() {
  blocks_.reset();
  ::munmap(reinterpret_cast<void*>(begin_), limit_bytes_);
  ::close(file_);
}

void mapped_file::grow_to(std::size_t file_bytes) {
  const std::size_t more = file_bytes - file_bytes_;
  hold(more, 0);
  if (may_have_file_of(file_bytes) && reserve_in_file(file_, file_bytes_, more)) {
    void* const at = reinterpret_cast<void*>(begin_ + file_bytes_);
    if (::mmap(at, more, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, static_cast<off_t>(file_bytes_)) !=
        MAP_FAILED) {
      file_bytes_ = file_bytes;
      return;
    }
  }
  cut_file(file_, file_bytes_);  // part of it may have been reserved
  let_go(more, 0);
  throw std::bad_alloc();
}

void* mapped_file::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > limit_bytes_ || !is_power_of_two(alignment)) throw std::bad_alloc();
  const std::uint64_t peak_used_bytes = use().peak_used_bytes;
  void* const block = blocks_->allocate(bytes, alignment);
  const std::size_t end = reinterpret_cast<std::uintptr_t>(block) - begin_ + blocks_->block_bytes(block);
  if (end <= file_bytes_) return block;
  try {
    grow_to(align_up(end, grow_bytes_));
  } catch (...) {
    blocks_->deallocate(block, bytes, alignment);
    // Nobody has had it.
    store(use().allocations, use().allocations - 1);
    store(use().peak_used_bytes, peak_used_bytes);
    throw;
  }
  return block;
}

void mapped_file::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  blocks_->deallocate(block, bytes, alignment);
  blocks_->watch_released(block);
}

void mapped_file::sync() {
  if (file_bytes_ == 0) return;
  if (::msync(reinterpret_cast<void*>(begin_), file_bytes_, MS_SYNC) != 0) {
    throw std::system_error(errno, std::generic_category(), "tenure::mapped_file: pages could not be written");
  }
}

bool mapped_file::cool() noexcept {
  return file_bytes_ == 0 || ::madvise(reinterpret_cast<void*>(begin_), file_bytes_, MADV_COLD) == 0;
}

bool mapped_file::page_out() noexcept {
  return file_bytes_ == 0 || ::madvise(reinterpret_cast<void*>(begin_), file_bytes_, MADV_PAGEOUT) == 0;
}

std::size_t mapped_file::resident_bytes() const {
  std::vector<unsigned char> pages(file_bytes_ / resources::os_page_bytes());
  if (pages.empty() || ::mincore(reinterpret_cast<void*>(begin_), file_bytes_, pages.data()) != 0) return 0;
  const auto resident = std::count_if(pages.begin(), pages.end(), [](unsigned char one) { return (one & 1) != 0; });
  return static_cast<std::size_t>(resident) * resources::os_page_bytes();
}

bool mapped_file::owns(const void* block) const noexcept { return blocks_->owns(block); }

std::size_t mapped_file::trim() noexcept {
  std::uintptr_t end = begin_;
  for_each_live(
      [&](const live_block& one) { end = std::max(end, reinterpret_cast<std::uintptr_t>(one.address) + one.bytes); });
  const std::size_t kept = align_up(end - begin_, grow_bytes_);
  // A shrinker that trims while the file grows finds the block that it grows for.
  if (kept >= file_bytes_ || !cut_file(file_, kept)) return 0;
  const std::size_t freed = file_bytes_ - kept;
  blocks_->forget_released(reinterpret_cast<const void*>(begin_ + kept), freed);
  // Where that is refused the pages still fault, now that they are behind the file's end.
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  [[maybe_unused]] void* const rest = ::mmap(reinterpret_cast<void*>(begin_ + kept), freed, PROT_NONE, flags, -1, 0);
  file_bytes_ = kept;
  let_go(freed, 0);
  return freed;
}

void mapped_file::visit_live(live_visitor visit, void* context) const { blocks_->visit_live(visit, context); }

void mapped_file::check() const {
  blocks_->check();
  std::uint64_t used = 0, blocks = 0;
  for_each_live([&](const live_block& one) {
    TENURE_CHECK(reinterpret_cast<std::uintptr_t>(one.address) - begin_ + one.bytes <= file_bytes_);
    used += one.bytes, ++blocks;
  });
  const resource_statistics now = statistics();
  TENURE_CHECK(file_bytes_ == now.held_bytes && used == now.used_bytes && blocks == now.used_blocks);
}

}  // namespace tenure
