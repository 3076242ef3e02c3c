#include <tenure/huge_page.hpp>

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <new>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tenure {
namespace {

// Reserved pages are touched here, since a group's limit for them is found out only then, by a signal. Before
// Linux 5.14 it still is.
std::uintptr_t map_reserved(std::size_t bytes) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (::madvise(memory, bytes, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
    ::munmap(memory, bytes);
    throw std::bad_alloc();
  }
  return reinterpret_cast<std::uintptr_t>(memory);
}

}  // namespace

huge_page::huge_page(const huge_page_options& options)
    : region_resource(options.name, "huge_page", {options.region_bytes, options.smallest_bytes, options.checks},
                      options.parent),
      pages_(options.pages) {}

std::uintptr_t huge_page::map_region(std::size_t bytes) const {
  if (pages_ == huge_page_kind::reserved) return map_reserved(bytes);
  const std::uintptr_t begin = map_aligned(bytes);
  // Refused where the kernel has none: small ones then.
  ::madvise(reinterpret_cast<void*>(begin), bytes, MADV_HUGEPAGE);
  return begin;
}

std::size_t huge_page::huge_bytes() const {
  std::FILE* smaps = std::fopen("/proc/self/smaps", "re");
  if (smaps == nullptr) return 0;
  std::size_t sum = 0;
  bool is_ours = false;
  char line[512];
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long begin, end, kilobytes;
    if (std::sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
      is_ours = owns(reinterpret_cast<const void*>(begin));
    } else if (is_ours && (std::sscanf(line, "AnonHugePages: %lu kB", &kilobytes) == 1 ||
                           std::sscanf(line, "Private_Hugetlb: %lu kB", &kilobytes) == 1)) {
      sum += kilobytes * 1024;
    }
  }
  std::fclose(smaps);
  return sum;
}

}  // namespace tenure
