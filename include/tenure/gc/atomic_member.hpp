// atomic_member<T>: a member<T> that threads may read and change at the same time.
//
//     struct stack { tenure::gc::atomic_member<node> top; };
//     void push(stack& s, tenure::gc::local<node> n) {
//       tenure::gc::local<node> seen = s.top.load();
//       do n->next = seen; while (!s.top.compare_exchange(seen, n));
//     }
//
// What load() returns is kept alive by the local it comes in: no hazard pointers, no epochs, and no ABA, since an
// address is not used again while somebody holds it. Sequentially consistent. Cost of a load: two plain stores more
// than a local's, in the thread's own record.
#pragma once

#include <cstddef>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>

namespace tenure::gc {

template <class T>
class atomic_member final : detail::slot_class {
 public:
  atomic_member() noexcept { detail::store_word(&pointer_, static_cast<T*>(nullptr)); }
  atomic_member(const local<T>& target) noexcept { detail::store_member(pointer_, target.get()); }
  atomic_member(const atomic_member&) = delete;
  atomic_member& operator=(const atomic_member&) = delete;
  ~atomic_member() = default;

  local<T> load() const noexcept {
    local<T> result;
    const detail::operation held;
    T* pointer = __atomic_load_n(&pointer_, __ATOMIC_SEQ_CST);
    TENURE_GC_STEP();
    keep(held, result, pointer);
    return result;
  }

  void store(const local<T>& target) noexcept {
    __atomic_store_n(&pointer_, target.get(), __ATOMIC_SEQ_CST);
    stored(target.get());
  }

  local<T> exchange(const local<T>& target) noexcept {
    local<T> result;
    {
      const detail::operation held;
      T* pointer = __atomic_exchange_n(&pointer_, target.get(), __ATOMIC_SEQ_CST);
      TENURE_GC_STEP();
      keep(held, result, pointer);
    }
    stored(target.get());
    return result;
  }

  // Stores `target` if the value is `expected`; otherwise puts the value into `expected`. May not fail spuriously.
  bool compare_exchange(local<T>& expected, const local<T>& target) noexcept {
    expected.held_slot();
    {
      const detail::operation held;
      T* pointer = expected.get();
      if (!__atomic_compare_exchange_n(&pointer_, &pointer, target.get(), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        TENURE_GC_STEP();
        keep(held, expected, pointer);
        return false;
      }
    }
    stored(target.get());
    return true;
  }

 private:
  static void keep(const detail::operation& held, local<T>& into, T* pointer) noexcept {
    held.keep(into.held_slot(), detail::untyped(pointer));
    into.refresh(pointer);
  }
  void stored(T* target) const noexcept {
    if (target == nullptr) return detail::nulled(&pointer_);
    detail::published(detail::untyped(target));
    TENURE_GC_STEP();
    detail::mark_card(&pointer_);
  }

  T* pointer_;
};

}  // namespace tenure::gc
