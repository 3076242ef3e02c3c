#include "library/gc/prefault.h"

#include <atomic>

#include "library/gc/cycle.h"
#include "library/gc/window.h"
#include "library/gc/worker.h"

namespace tenure::gc {

namespace {

void prefault_windows();

struct prefaulter {
  worker thread{prefault_windows, false};
  std::atomic<std::uint32_t> signal{0};
};
constinit prefaulter the_prefaulter;

void prefault_windows() {
  for (;;) {
    const std::uint32_t seen = the_prefaulter.signal.load(std::memory_order_acquire);
    window& all = window::get();
    while (all.prepare_chunk()) continue;
    if (all.end_block() == 0) {
      // The last heap has gone, and has given back what was ready then.
      const holding guard(cycle_lock());
      all.return_ready(0);
    }
    the_prefaulter.signal.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace

void request_prefault() noexcept {
#ifdef TENURE_SYSTEMATIC
  constexpr bool is_wanted = false;  // a thread that no seed schedules
#else
  constexpr bool is_wanted = true;
#endif
  if (!is_wanted || !the_prefaulter.thread.start()) return;
  the_prefaulter.signal.fetch_add(1, std::memory_order_release);
  the_prefaulter.signal.notify_one();
}

void reset_prefault_in_child() noexcept { the_prefaulter.thread.reset(); }

}  // namespace tenure::gc
