#include "library/gc/roots.h"

#include <new>

namespace tenure::gc {

using detail::root_slot;

namespace {

lock slots_lock;
std::atomic<root_segment*> segments{nullptr};
// Guarded by slots_lock.
root_slot* free_roots = nullptr;
root_slot* free_pins = nullptr;

// An odd number, which no object's address is; of the last one, which has no next, 1.
void* link_to(root_slot* next) noexcept {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(next) + 1);  // NOLINT(performance-no-int-to-ptr)
}
root_slot* link_in(const root_slot& free) noexcept {
  const auto link = reinterpret_cast<std::uintptr_t>(free.load(std::memory_order_relaxed));
  return reinterpret_cast<root_slot*>(link - 1);  // NOLINT(performance-no-int-to-ptr)
}

void add_segment(root_slot*& first_free) {
  auto* made = new root_segment;
  made->pins = &first_free == &free_pins;
  made->after = segments.load(std::memory_order_relaxed);
  for (root_slot& each : made->slots) {
    each.store(link_to(first_free), std::memory_order_relaxed);
    first_free = &each;
  }
  segments.store(made, std::memory_order_release);
}

root_slot* take_slot(root_slot*& first_free, void* target) {
  root_slot* taken;
  {
    const holding guard(slots_lock);
    if (first_free == nullptr) add_segment(first_free);
    taken = first_free;
    first_free = link_in(*taken);
    taken->store(target, std::memory_order_release);
  }
  detail::published(target);
  return taken;
}

void give_slot(root_slot*& first_free, root_slot* given) noexcept {
  const holding guard(slots_lock);
  given->store(link_to(first_free), std::memory_order_release);
  first_free = given;
}

}  // namespace

root_segment* first_root_segment() noexcept { return segments.load(std::memory_order_acquire); }
lock& roots_lock() noexcept { return slots_lock; }

}  // namespace tenure::gc

namespace tenure::gc::detail {

root_slot* take_root_slot(void* target) { return take_slot(free_roots, target); }
void give_root_slot(root_slot* given) noexcept { give_slot(free_roots, given); }
root_slot* take_pin_slot(void* target) { return take_slot(free_pins, target); }
void give_pin_slot(root_slot* given) noexcept { give_slot(free_pins, given); }

}  // namespace tenure::gc::detail
