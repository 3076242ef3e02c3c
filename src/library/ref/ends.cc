#include <tenure/ref/block.hpp>

#include "core/base/check.h"

namespace tenure::detail {

// A stack of ends in chunks, newest first. Empty chunks go at once: a thread that ends has none.
struct deferred_ends {
  static constexpr std::uint32_t capacity = 62;
  struct entry {
    void* what;
    void (*end)(void*) noexcept;
  };
  deferred_ends* below;
  std::uint32_t used;
  entry entries[capacity];
};

constinit thread_local end_state ends __attribute__((tls_model("initial-exec"))){0, nullptr};

bool defer_end(void* what, void (*end)(void*) noexcept) noexcept {
  end_state& mine = ends;
  if (mine.waiting == nullptr || mine.waiting->used == deferred_ends::capacity) {
    auto* const fresh = new (std::nothrow) deferred_ends;
    if (fresh == nullptr) return false;
    fresh->below = mine.waiting;
    fresh->used = 0;
    mine.waiting = fresh;
  }
  mine.waiting->entries[mine.waiting->used++] = {what, end};
  return true;
}

void run_deferred_ends() noexcept {
  end_state& mine = ends;
  TENURE_CHECK(mine.depth == 1);
  while (mine.waiting != nullptr) {
    deferred_ends* const top = mine.waiting;
    const deferred_ends::entry next = top->entries[--top->used];
    if (top->used == 0) {
      mine.waiting = top->below;
      delete top;
    }
    next.end(next.what);
  }
}

}  // namespace tenure::detail
