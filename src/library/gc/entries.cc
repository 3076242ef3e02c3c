#include "library/gc/entries.h"

#include <tenure/gc/heap.hpp>

#include "library/gc/cycle.h"
#include "library/gc/threads.h"

namespace tenure::gc {

std::atomic<bool> entries_are_measured{false};

void entry::begin() noexcept {
  if (self_->entries.depth++ == 0) before_ns_ = thread_processor_ns();
}

void entry::end() noexcept {
  if (--self_->entries.depth != 0) return;
  const std::uint64_t took_ns = thread_processor_ns() - before_ns_;
  const holding guard(self_->entries_lock);
  self_->entries.took.add(std::chrono::nanoseconds(took_ns));
}

void measure_entries(bool on) noexcept { entries_are_measured.store(on); }

std::vector<thread_figures> thread_statistics() {
  std::vector<thread_figures> found;
  const holding threads(threads_lock());
  for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
    const holding guard(at->entries_lock);
    found.push_back({at->id, at->entries.took, at->handshakes, at->entries.waits, at->entries.waited_ns});
  }
  return found;
}

}  // namespace tenure::gc
