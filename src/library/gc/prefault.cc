#include "library/gc/prefault.h"

#include <atomic>

#include "library/gc/window.h"
#include "library/gc/worker.h"

namespace tenure::gc {

namespace {

struct prefaulter {
  worker thread;
  std::atomic<std::uint32_t> signal{0};
};
prefaulter& the_prefaulter() {
  static prefaulter* const made = new prefaulter;
  return *made;
}

void live() {
  prefaulter& self = the_prefaulter();
  for (;;) {
    const std::uint32_t seen = self.signal.load(std::memory_order_acquire);
    while (window::get().prepare_chunk()) continue;
    self.signal.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace

void request_prefault() noexcept {
#ifdef TENURE_SYSTEMATIC
  constexpr bool is_wanted = false;  // a thread that no seed schedules
#else
  constexpr bool is_wanted = true;
#endif
  prefaulter& all = the_prefaulter();
  if (!is_wanted || !all.thread.start(live)) return;
  all.signal.fetch_add(1, std::memory_order_release);
  all.signal.notify_one();
}

void reset_prefault_in_child() noexcept { the_prefaulter().thread.reset(); }

}  // namespace tenure::gc
