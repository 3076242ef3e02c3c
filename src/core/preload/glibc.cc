// glibc's ways to look at and adjust malloc, with the same types and meanings where there is one.
#include <malloc.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>

#include "core/base/format.h"
#include "core/base/options.h"
#include "core/heap/heap.h"
#include "core/heap/walk.h"
#include "core/interface/export.h"
#include "core/interface/figures.h"
#include "core/interface/report.h"
#include "core/os/virtual_memory.h"

using namespace tenure::core;

namespace {

int capped(std::size_t value) noexcept { return value > INT32_MAX ? INT32_MAX : static_cast<int>(value); }

}  // namespace

TENURE_EXPORT struct mallinfo2 mallinfo2() {
  const current_figures now;
  const heap_figures& figures = *now;
  struct mallinfo2 info {};
  info.arena = figures.committed_bytes - figures.large_bytes;
  info.hblks = figures.large_blocks;
  info.hblkhd = figures.large_bytes;
  // As glibc counts: large blocks stand in hblkhd and nowhere else, and arena = uordblks + fordblks.
  info.uordblks = figures.live_bytes - figures.large_bytes + figures.named_live_bytes;
  info.fsmblks = figures.cached_bytes + figures.batch_bytes;
  info.fordblks = info.arena - info.uordblks;
  info.keepcost = figures.free_dirty_bytes;
  return info;
}

namespace {

struct mallinfo narrow_figures() {
  const struct mallinfo2 wide = mallinfo2();
  struct mallinfo info {};
  info.arena = capped(wide.arena);
  info.hblks = capped(wide.hblks);
  info.hblkhd = capped(wide.hblkhd);
  info.uordblks = capped(wide.uordblks);
  info.fsmblks = capped(wide.fsmblks);
  info.fordblks = capped(wide.fordblks);
  info.keepcost = capped(wide.keepcost);
  return info;
}

}  // namespace

TENURE_EXPORT struct mallinfo mallinfo() { return narrow_figures(); }

TENURE_EXPORT int malloc_trim(std::size_t) { return purge() != 0 ? 1 : 0; }

TENURE_EXPORT void malloc_stats() { write_report(STDERR_FILENO); }

// Service owners set these against growth. There is one heap however many threads there are, so M_ARENA_MAX holds
// anyway; M_TRIM_THRESHOLD's intent, memory returned sooner, becomes a quarter of the decay, however often it is said;
// the rest has no counterpart and is accepted.
TENURE_EXPORT int mallopt(int parameter, int value) {
  static bool is_shorter = false;
  if (parameter == M_TRIM_THRESHOLD && value >= 0 && value < 128 * 1024 &&
      !__atomic_exchange_n(&is_shorter, true, __ATOMIC_RELAXED)) {
    set_value(option::decay, tenure::core::value(option::decay) / 4);
  }
  return 1;
}

// The names under which glibc's own functions can be reached.
TENURE_EXPORT struct mallinfo __libc_mallinfo() { return narrow_figures(); }
TENURE_EXPORT int __libc_mallopt(int parameter, int value) { return mallopt(parameter, value); }

TENURE_EXPORT int malloc_info(int options, std::FILE* stream) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  char buffer[4096];
  text_writer text(buffer, sizeof buffer);
  {
    const current_figures now;
    const heap_figures& figures = *now;
    text.add("<malloc version=\"tenure-1\">\n<heap nr=\"0\">\n");
    text.add("<total type=\"live\" count=\"").add_decimal(figures.live_blocks);
    text.add("\" size=\"").add_decimal(figures.live_bytes).add("\"/>\n");
    text.add("<total type=\"cached\" size=\"").add_decimal(figures.cached_bytes + figures.batch_bytes).add("\"/>\n");
    text.add("<total type=\"fragmented\" size=\"").add_decimal(figures.fragmented_bytes).add("\"/>\n");
    text.add("<total type=\"mmap\" count=\"").add_decimal(figures.large_blocks);
    text.add("\" size=\"").add_decimal(figures.large_bytes).add("\"/>\n");
    text.add("<system type=\"current\" size=\"").add_decimal(figures.committed_bytes).add("\"/>\n");
    text.add("<aspace type=\"total\" size=\"").add_decimal(figures.chunk_bytes).add("\"/>\n");
    text.add("</heap>\n</malloc>\n");
  }
  return std::fwrite(text.data(), 1, text.size_bytes(), stream) == text.size_bytes() ? 0 : -1;
}
