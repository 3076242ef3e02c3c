// What the collector takes of a program's threads: each call that leaves the fast path, measured in the thread's own
// processor time, for whoever has asked for it (heap.hpp, measure_entries).
#pragma once

#include <atomic>
#include <cstdint>

#include <tenure/duration_histogram.hpp>

namespace tenure::gc {

struct thread_state;

// Of a thread, written by it alone but for `passed`.
struct entry_figures {
  duration_histogram took;
  std::uint32_t depth = 0;  // of calls within one another: the outermost is measured
  std::uint64_t waits = 0;
  std::uint64_t waited_ns = 0;
};

extern std::atomic<bool> entries_are_measured;

class entry {
 public:
  explicit entry(thread_state& self) noexcept
      : self_(entries_are_measured.load(std::memory_order_relaxed) ? &self : nullptr) {
    if (self_ != nullptr) [[unlikely]]
      begin();
  }
  ~entry() {
    if (self_ != nullptr) [[unlikely]]
      end();
  }
  entry(const entry&) = delete;
  entry& operator=(const entry&) = delete;

 private:
  void begin() noexcept;
  void end() noexcept;

  thread_state* self_;
  std::uint64_t before_ns_ = 0;
};

}  // namespace tenure::gc
