#include "library/resource/resident_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "library/resource/checks.h"

namespace tenure::resources {
namespace {

// Of <linux/fs.h>, which older systems have without it.
struct page_region {
  std::uint64_t begin, end, categories;
};
struct scan_request {
  std::uint64_t size_bytes, flags, begin, end, walk_end;
  std::uint64_t regions, region_count, most_pages;
  std::uint64_t inverted, all_of, any_of, returned;
};
constexpr unsigned long pagemap_scan = _IOWR('f', 16, scan_request);
constexpr std::uint64_t is_present = 1u << 3;
constexpr std::uint64_t is_zero_page = 1u << 5;

// False where the kernel cannot.
bool scan(int pagemap, std::uintptr_t begin, std::size_t bytes, range_visitor visit, void* context,
          std::size_t& sum) noexcept {
  std::array<page_region, 128> regions;
  const std::uintptr_t end = begin + bytes;
  while (begin < end) {
    scan_request request{};
    request.size_bytes = sizeof request;
    request.begin = begin;
    request.end = end;
    request.regions = reinterpret_cast<std::uintptr_t>(regions.data());
    request.region_count = regions.size();
    request.inverted = is_zero_page;
    request.all_of = is_present | is_zero_page;
    request.returned = is_present;
    const int count = ::ioctl(pagemap, pagemap_scan, &request);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 || request.walk_end <= begin) return false;
    for (int i = 0; i < count; ++i) {
      const page_region& one = regions[static_cast<std::size_t>(i)];
      if (visit != nullptr) visit(context, one.begin, one.end - one.begin);
      sum += one.end - one.begin;
    }
    begin = request.walk_end;
  }
  return true;
}

}  // namespace

std::size_t visit_resident_by_mincore(std::uintptr_t begin, std::size_t bytes, range_visitor visit,
                                      void* context) noexcept {
  std::array<unsigned char, 16384> pages;
  const std::size_t page_bytes = os_page_bytes();
  std::size_t sum = 0;
  for (std::size_t offset = 0; offset < bytes;) {
    const std::size_t part = std::min(bytes - offset, pages.size() * page_bytes);
    if (::mincore(reinterpret_cast<void*>(begin + offset), part, pages.data()) != 0) return sum;
    const std::size_t count = part / page_bytes;
    for (std::size_t i = 0; i < count;) {
      const std::size_t first = i;
      while (i < count && (pages[i] & 1) != 0) ++i;
      if (i != first && visit != nullptr) {
        visit(context, begin + offset + first * page_bytes, (i - first) * page_bytes);
      }
      sum += (i - first) * page_bytes;
      while (i < count && (pages[i] & 1) == 0) ++i;
    }
    offset += part;
  }
  return sum;
}

std::size_t visit_resident(std::uintptr_t begin, std::size_t bytes, range_visitor visit, void* context) noexcept {
  std::size_t sum = 0;
  const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const bool is_told = pagemap >= 0 && scan(pagemap, begin, bytes, visit, context, sum);
  if (pagemap >= 0) ::close(pagemap);
  return is_told || sum != 0 ? sum : visit_resident_by_mincore(begin, bytes, visit, context);
}

}  // namespace tenure::resources
