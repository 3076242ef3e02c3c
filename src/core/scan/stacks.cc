#include "core/scan/stacks.h"

#include <cerrno>

#include "core/base/sanitizers.h"
#include "core/os/machine.h"
#include "core/os/own_memory.h"
#include "core/os/stopped_threads.h"
#include "core/scan/memory_map.h"
#include "core/scan/scan.h"

namespace tenure::core {
namespace {

constexpr std::uintptr_t most_unknown_bytes = 64 * 1024;

bool visit_stacks(const memory_map& map, stack_visitor visit, void* context) noexcept {
  for (std::size_t i = 0; i < os::stopped_thread_count(); ++i) {
    const os::stopped_thread& one = os::stopped_thread_at(i);
    const mapping* const home = one.stack_pointer == 0 ? nullptr : map.find(one.stack_pointer);
    if (home == nullptr || !home->is_readable || os::is_own_memory(one.stack_pointer)) continue;
    const bool has_block_above = home->holds(one.thread_pointer) && one.thread_pointer > one.stack_pointer;
    // Of a stack that the program has made nobody knows the end: other memory may lie in the same mapping.
    const bool is_known = has_block_above || home->is_main_stack;
    const std::uintptr_t last = has_block_above ? one.thread_pointer : home->end;
    const bool is_cut = !is_known && last - one.stack_pointer > most_unknown_bytes;
    const std::uintptr_t end = is_cut ? one.stack_pointer + most_unknown_bytes : last;
    const bool has_red_zone = one.stack_pointer - home->begin >= os::red_zone_bytes;
    const std::uintptr_t begin = one.stack_pointer - (has_red_zone ? os::red_zone_bytes : 0);
    if (!visit(context, begin, end, one.id)) return false;
    // On a stack of its own the signal's frame is not in the range.
    const bool is_apart = one.saved_begin < begin || one.saved_begin >= end;
    if (is_apart && !visit(context, one.saved_begin, one.saved_end, one.id)) return false;
  }
  return true;
}

// A thread may stand still in ThreadSanitizer's own code, with a lock that everybody's next access needs.
#ifdef TENURE_THREAD_SANITIZER
constexpr bool can_stop = false;
#else
constexpr bool can_stop = true;
#endif

}  // namespace

bool visit_other_stacks(stack_visitor visit, void* context) noexcept {
  if (!can_stop || !begin_scan()) return false;
  const int saved_errno = errno;
  const bool is_listed = os::stop_other_threads(stop_patience_ns).is_listed;
  bool is_read = false;
  if (is_listed) {
    memory_map map;
    is_read = map.read();
    if (is_read) visit_stacks(map, visit, context);
    os::let_threads_go();
  }
  end_scan();
  errno = saved_errno;
  return is_read;
}

}  // namespace tenure::core
