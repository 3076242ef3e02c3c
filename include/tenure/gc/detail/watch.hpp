// Who waits for the end of an object, and the queue where it is told: what phantom<T> and guardian<T> share.
//
//   object's list ──(found dead)──▶ in the collector's hand ──▶ queue ──▶ whoever takes it
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <atomic>
#include <cstdint>

#include <tenure/api.h>
#include <tenure/gc/detail/runtime.hpp>

namespace tenure::gc {
class lock;
}

namespace tenure::gc::detail {

struct watch_queue;

struct watch {
  explicit watch(void (*end)(watch*) noexcept) noexcept : destroy(end) {}

  watch* next = nullptr;
  watch_queue* queue = nullptr;
  void* target = nullptr;             // the object, as it was named
  root_slot* root = nullptr;          // of a guardian: keeps the object while it is in the queue
  std::atomic<lock*> guard{nullptr};  // of the list of the object's watches; another when the object is moved
  bool is_listed = false;             // in that list; guarded by it
  std::atomic<bool> is_over{false};
  std::atomic<std::uint32_t> holders{1};  // the list or the queue; a phantom<T>
  void (*destroy)(watch*) noexcept;
};

TENURE_API watch_queue* make_watch_queue();
// What is in the queue goes; what would come to it does not.
TENURE_API void close_watch_queue(watch_queue* queue) noexcept;
// Lists `added`, whose queue is set, with its target. Throws std::bad_alloc, and then it is the caller's still.
TENURE_API void add_watch(watch* added, watch_queue* queue);
// One holder less; the last ends it.
TENURE_API void release_watch(watch* held) noexcept;
// If it is still listed, it is told to nobody.
TENURE_API void cancel_watch(watch* held) noexcept;
// The one that came first, with the queue's hold on it; null: there is none.
TENURE_API watch* take_watch(watch_queue* queue) noexcept;
// The same, but returns when there is one.
TENURE_API watch* wait_for_watch(watch_queue* queue) noexcept;

}  // namespace tenure::gc::detail
