// guardian<T>: gives back objects that would have died.
//
//     tenure::gc::guardian<connection> spare;
//     spare.guard(opened);
//     ...                                                     // everybody lets go of it
//     if (tenure::gc::local<connection> again = spare.take()) again->reset();
//
// The only way in which a dead object comes back: destructors have none. For objects that are dear to make, or whose
// end takes more than a destructor may do.
//
// The contract, a sentence a line; tests/unit/gc/guardian_test.cc has a test for each:
//   1. take() returns a guarded object when a cycle has found it unreachable, with all it leads to; null: there is
//   none.
//   2. A guarded object that is reachable is not given back, and is not kept alive by its guardian.
//   3. Its destructor does not run until it has been taken, let go of and found dead again; then it is as any other.
//   4. Guarded again, it is given back again.
//   5. Guarded objects that die together are given back together, also those that lead to one another.
//   6. Weak references to it and to what died with it have become null, and stay so; ephemerons are gone likewise.
//   7. Guarded twice, or by two guardians, it is given back twice.
//   8. A guardian that is destroyed guards nobody, and lets go of what was not taken.
//   9. A heap that is destroyed gives nothing back.
//
// What waits to be taken is alive. An object that leads to its own guardian is never given up: keep guardians outside.
//
// Thread-safety: any thread may use it at any time. guard() throws std::bad_alloc. Cost: an allocation, a root slot and
// a lock for each object; to the collector, what dies, and one more handshake in a cycle that finds some.
#pragma once

#include <memory>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/watch.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

template <class T>
class guardian final {
 public:
  guardian() : queue_(detail::make_watch_queue()) {}
  ~guardian() { detail::close_watch_queue(queue_); }
  guardian(const guardian&) = delete;
  guardian& operator=(const guardian&) = delete;

  // `object` is not null.
  void guard(const local<T>& object) {
    auto made = std::make_unique<guarded>();
    made->target = detail::untyped(object.get());
    made->root = detail::take_root_slot(nullptr);
    try {
      detail::add_watch(made.get(), queue_);
    } catch (...) {
      detail::give_root_slot(made->root);
      throw;
    }
    made.release();
  }

  local<T> take() noexcept {
    detail::watch* taken = detail::take_watch(queue_);
    if (taken == nullptr) return nullptr;
    local<T> object(static_cast<T*>(taken->root->load(std::memory_order_relaxed)));
    detail::release_watch(taken);
    return object;
  }

 private:
  struct guarded final : detail::watch {
    guarded() noexcept : watch(&end) {}
    static void end(watch* ended) noexcept { delete static_cast<guarded*>(ended); }
  };

  detail::watch_queue* queue_;
};

}  // namespace tenure::gc

// What holds a guardian is not traced for it.
template <class T>
inline constexpr bool tenure::gc::is_leaf<tenure::gc::guardian<T>> = true;
template <class T>
inline constexpr tenure::gc::moving tenure::gc::moving_of<tenure::gc::guardian<T>> = tenure::gc::moving::allowed;
