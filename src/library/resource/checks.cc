#include "library/resource/checks.h"

#include <sys/mman.h>
#include <tenure/tenure.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "core/base/check.h"

namespace tenure::resources {

bool wants_checks(resource_checks wish) noexcept {
  if (wish != resource_checks::by_build) return wish == resource_checks::on;
#ifdef NDEBUG
  std::int64_t is_wanted = 0;
  return tenure_option_get("check_resources", &is_wanted) != 0 && is_wanted != 0;
#else
  return true;
#endif
}

std::size_t os_page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

void* map_checked(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

void unmap_checked(void* memory, std::size_t bytes) noexcept { TENURE_CHECK(::munmap(memory, bytes) == 0); }

void seal_pages(void* memory, std::size_t bytes) noexcept {
  ::madvise(memory, bytes, MADV_DONTNEED);
  TENURE_CHECK(::mprotect(memory, bytes, PROT_NONE) == 0);
}

}  // namespace tenure::resources
