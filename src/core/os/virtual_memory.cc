#include "core/os/virtual_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/os/own_memory.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace tenure::os {
namespace {

std::uint64_t injected_countdown = 0;  // 0: off
std::uint64_t refusals = 0;

class keep_errno {
 public:
  keep_errno() noexcept : saved_(errno) {}
  ~keep_errno() { errno = saved_; }
  keep_errno(const keep_errno&) = delete;
  keep_errno& operator=(const keep_errno&) = delete;

 private:
  int saved_;
};

// Whether a test wants this call to fail.
bool injected() noexcept {
  if (__builtin_expect(__atomic_load_n(&injected_countdown, __ATOMIC_RELAXED) == 0, 1)) return false;
  const std::uint64_t left = __atomic_load_n(&injected_countdown, __ATOMIC_RELAXED);
  if (left == 1) return true;
  __atomic_store_n(&injected_countdown, left - 1, __ATOMIC_RELAXED);
  return false;
}

bool refused() noexcept {
  __atomic_fetch_add(&refusals, 1, __ATOMIC_RELAXED);
  return false;
}

void* map(void* address, std::size_t bytes, int protection, int flags) noexcept {
  keep_errno keep;
  TENURE_DCHECK(bytes != 0);
  if (injected()) return refused(), nullptr;
  void* result = ::mmap(address, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (result == MAP_FAILED) return refused(), nullptr;
  return result;
}

// Where something of ours was mapped a moment ago: takes no more than there was.
bool map_fixed(void* address, std::size_t bytes) noexcept {
  return ::mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == address;
}

bool advise(void* address, std::size_t bytes, int advice) noexcept {
  keep_errno keep;
  TENURE_DCHECK(reinterpret_cast<std::uintptr_t>(address) % page_bytes() == 0);
  if (injected()) return refused();
  return ::madvise(address, bytes, advice) == 0 || refused();
}

}  // namespace

std::size_t page_bytes() noexcept {
  static std::size_t cached = 0;
  if (cached == 0) cached = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return cached;
}

void* map_anywhere(std::size_t bytes) noexcept {
  void* const memory = map(nullptr, bytes, PROT_READ | PROT_WRITE, 0);
  if (memory != nullptr) own_memory(memory, bytes);
  return memory;
}

bool map_at(void* address, std::size_t bytes) noexcept {
  void* result = map(address, bytes, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);
  if (result == address) return true;
  if (result != nullptr) unmap(result, bytes);  // a kernel without MAP_FIXED_NOREPLACE took it as a hint
  return false;
}

bool map_over(void* address, std::size_t bytes) noexcept {
  return map(address, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) == address;
}

void* map_reserved_zeroes(std::size_t bytes) noexcept { return map(nullptr, bytes, PROT_READ, MAP_NORESERVE); }

bool make_writable(void* address, std::size_t bytes) noexcept {
  keep_errno keep;
  if (injected()) return refused();
  return ::mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0 || refused();
}

void unmap(void* address, std::size_t bytes) noexcept {
  keep_errno keep;
  disown_memory(address);
  // What is not given back would be lost for good; the addresses are ours, so nothing but a wrong size is refused.
  TENURE_CHECK(::munmap(address, bytes) == 0 || errno == ENOMEM);
}

bool is_occupied(void* address) noexcept {
  keep_errno keep;
  unsigned char resident = 0;
  return ::mincore(address, page_bytes(), &resident) == 0 || errno != ENOMEM;
}

bool release(void* address, std::size_t bytes) noexcept { return advise(address, bytes, MADV_DONTNEED); }
bool populate(void* address, std::size_t bytes) noexcept { return advise(address, bytes, MADV_POPULATE_WRITE); }

bool collapse(void* address, std::size_t bytes) noexcept {
  keep_errno keep;
  TENURE_DCHECK(reinterpret_cast<std::uintptr_t>(address) % page_bytes() == 0);
  // Nothing is refused to the program by a kernel that does not know it, or has no huge page.
  return !injected() && ::madvise(address, bytes, MADV_COLLAPSE) == 0;
}

void let_huge_pages_in(void* address, std::size_t bytes, bool may_come) noexcept {
  keep_errno keep;
  TENURE_DCHECK(reinterpret_cast<std::uintptr_t>(address) % page_bytes() == 0);
  if (!injected()) ::madvise(address, bytes, may_come ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

huge_page_policy kernel_huge_page_policy() noexcept {
  keep_errno keep;
  // By number: the program may have an open() and a read() of its own, which are not ready for this yet.
  const long file =
      ::syscall(SYS_openat, AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (file < 0) return huge_page_policy::unknown;
  char text[64] = {};
  const long length = ::syscall(SYS_read, file, text, sizeof text - 1);
  ::syscall(SYS_close, file);
  if (length <= 0) return huge_page_policy::unknown;
  if (std::strstr(text, "[never]") != nullptr) return huge_page_policy::never;
  if (std::strstr(text, "[madvise]") != nullptr) return huge_page_policy::on_request;
  return std::strstr(text, "[always]") != nullptr ? huge_page_policy::always : huge_page_policy::unknown;
}

std::size_t resident_percent(void* address, std::size_t bytes) noexcept {
  keep_errno keep;
  constexpr std::size_t most_pages = 512;
  unsigned char resident[most_pages];
  const std::size_t pages = bytes / page_bytes();
  if (pages == 0 || pages > most_pages || ::mincore(address, bytes, resident) != 0) return 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < pages; ++i) count += resident[i] & 1u;
  return count * 100 / pages;
}

move_outcome move_pages(void* from, std::size_t bytes, void* to, std::size_t to_bytes) noexcept {
  keep_errno keep;
  TENURE_DCHECK(bytes != 0 && bytes <= to_bytes);
  if (injected()) return refused(), move_outcome{false, true, true};
  if (::mremap(from, bytes, to_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
    // Kernels before 6.17 have unmapped `to` before they look at `from`.
    return refused(), move_outcome{false, true, map_fixed(to, to_bytes)};
  }
  return {true, map_fixed(from, bytes), true};
}

std::uint64_t address_space_limit_bytes() noexcept {
  keep_errno keep;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return ~0ull;
  return limit.rlim_cur;
}

void fail_from_nth_call(std::uint64_t nth) noexcept { __atomic_store_n(&injected_countdown, nth, __ATOMIC_RELAXED); }
std::uint64_t refused_calls() noexcept { return __atomic_load_n(&refusals, __ATOMIC_RELAXED); }

}  // namespace tenure::os
