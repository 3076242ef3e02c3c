#include "library/resource/locked_regions.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/checks.h"

namespace tenure::resources {

void* locked_regions::do_allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t page = os_page_bytes();
  if (bytes > PTRDIFF_MAX / 2 || alignment > page) throw std::bad_alloc();
  const std::size_t region = core::align_up(bytes, page);
  unlocked_.reserve(unlocked_.size() + 1);
  hold(region - bytes, 0);  // the rest is held by whoever asks
  void* const wide = ::mmap(nullptr, region + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* const begin = static_cast<char*>(wide) + page;
  if (wide != MAP_FAILED && ::mprotect(begin, region, PROT_READ | PROT_WRITE) == 0) {
    const bool is_hidden =
        ::madvise(begin, region, MADV_DONTDUMP) == 0 && ::madvise(begin, region, MADV_WIPEONFORK) == 0;
    // The call itself: the sanitizers' mlock does nothing and says that it did.
    const bool is_locked = ::syscall(SYS_mlock, begin, region) == 0;
    if (is_hidden && (is_locked || !must_lock_)) {
      if (is_locked) {
        locked_bytes_ += region;
      } else {
        unlocked_.push_back(begin);
      }
      return begin;
    }
  }
  if (wide != MAP_FAILED) ::munmap(wide, region + 2 * page);
  let_go(region - bytes, 0);
  throw std::bad_alloc();
}

void locked_regions::do_deallocate(void* block, std::size_t bytes, std::size_t) {
  const std::size_t page = os_page_bytes();
  const std::size_t region = core::align_up(bytes, page);
  ::explicit_bzero(block, region);
  TENURE_CHECK(::munmap(static_cast<char*>(block) - page, region + 2 * page) == 0);
  if (std::erase(unlocked_, block) == 0) locked_bytes_ -= region;
  let_go(region - bytes, 0);
}

}  // namespace tenure::resources
