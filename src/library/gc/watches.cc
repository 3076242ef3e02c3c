#include "library/gc/watches.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/cycle.h"
#include "library/gc/sides.h"

namespace tenure::gc::detail {

// Guarded by watches_lock(), all of it.
struct watch_queue {
  watch* first = nullptr;
  watch** end = &first;
  std::size_t holders = 1;  // its owner, and each watch that would come here
  bool is_closed = false;
  std::atomic<std::uint32_t> told{0};  // how many, for who waits
};

}  // namespace tenure::gc::detail

namespace tenure::gc {

using detail::watch_queue;

namespace {

constinit lock watches;
watch* abandoned = nullptr;  // guarded by it

bool is_guardian(const watch& of) noexcept { return of.root != nullptr; }

// With the lock held.
void leave_queue(watch_queue* queue) noexcept {
  if (--queue->holders == 0) delete queue;
}

// Its address goes from the list to the root slot before anybody could take it.
void tell_one(watch& told) noexcept {
  watch_queue* queue = told.queue;
  told.next = nullptr;
  if (is_guardian(told)) told.root->store(told.target, std::memory_order_release);
  told.is_over.store(true, std::memory_order_release);
  *queue->end = &told;
  queue->end = &told.next;
  queue->told.fetch_add(1, std::memory_order_release);
  queue->told.notify_all();
}

// With the lock held.
void abandon_one(watch& left) noexcept {
  left.is_over.store(true, std::memory_order_release);
  left.next = std::exchange(abandoned, &left);
}

// With no lock held.
void end_all(watch* first) noexcept {
  while (first != nullptr) detail::release_watch(std::exchange(first, first->next));
}

// Moves the watches that `wanted` holds of from the list to `chain`; true when something is left.
template <class Wanted>
bool split(watch*& list, watch*& chain, Wanted wanted) noexcept {
  for (watch** at = &list; *at != nullptr;) {
    watch* each = *at;
    if (!wanted(*each)) {
      at = &each->next;
      continue;
    }
    *at = each->next;
    each->is_listed = false;
    each->next = chain;
    chain = each;
  }
  return list != nullptr;
}

template <class Wanted>
void take_of(side_word& side, std::uint64_t bit, watch*& chain, Wanted wanted) noexcept {
  watch* list = side.watched.find(bit);
  if (list == nullptr) return;
  if (split(list, chain, wanted)) {
    side.watched.replace(bit, list);
  } else {
    side.watched.remove(bit);
  }
}

// `is_last`: what is not marked is free next.
template <class Wanted>
watch* take_dead(heap_state& heap, bool is_last, Wanted wanted) noexcept {
  watch* chain = nullptr;
  window& all = window::get();
  for_each_side(heap, [&](std::size_t block, std::size_t word, side_word& side) {
    std::uint64_t dead = side.watched.bits() & ~all.bits(block).marks[word].alive();
    for (; dead != 0; dead &= dead - 1) take_of(side, dead & (~dead + 1), chain, wanted);
    if (is_last) forget_samples(side, ~all.bits(block).marks[word].alive());
  });
  return chain;
}

}  // namespace

lock& watches_lock() noexcept { return watches; }

watch* take_guarded(heap_state& heap) noexcept {
  watch* taken = take_dead(heap, false, is_guardian);
  // A guardian that is gone guards nobody.
  watch* kept = nullptr;
  const holding guard(watches);
  while (taken != nullptr) {
    watch* each = std::exchange(taken, taken->next);
    if (each->queue->is_closed) {
      abandon_one(*each);
    } else {
      each->next = std::exchange(kept, each);
    }
  }
  return kept;
}

watch* take_phantoms(heap_state& heap) noexcept {
  return take_dead(heap, true, [](const watch&) { return true; });
}

watch* take_phantoms_of(const cell_place& at) noexcept {
  if (!at.header->has_sides.load(std::memory_order_acquire)) return nullptr;
  watch* chain = nullptr;
  const holding guard(side_lock(at));
  if (side_word* side = find_side(at)) {
    take_of(*side, at.bit, chain, [](const watch&) { return true; });
    forget_samples(*side, at.bit);
    keep_side(at.block, at.index / 64);
  }
  return chain;
}

void tell(watch* first) noexcept {
  const holding guard(watches);
  while (first != nullptr) {
    watch* each = std::exchange(first, first->next);
    if (each->queue->is_closed) {
      abandon_one(*each);
    } else {
      tell_one(*each);
    }
  }
}

void abandon(watch* first) noexcept {
  const holding guard(watches);
  while (first != nullptr) abandon_one(*std::exchange(first, first->next));
}

void end_abandoned() noexcept {
  watch* left;
  {
    const holding guard(watches);
    left = std::exchange(abandoned, nullptr);
  }
  end_all(left);
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

watch_queue* make_watch_queue() { return new watch_queue; }

void close_watch_queue(watch_queue* queue) noexcept {
  watch* left;
  {
    const holding guard(watches);
    left = std::exchange(queue->first, nullptr);
    queue->is_closed = true;
    leave_queue(queue);
  }
  end_all(left);
}

void add_watch(watch* added, watch_queue* queue) {
  const cell_place at = window::get().place(added->target);
  lock& guard = side_lock(at);
  {
    const holding held(guard);
    try {
      side_word& side = make_side(at);
      watch* first = side.watched.find(at.bit);
      if (first == nullptr) side.watched.add(at.bit, added);
      added->next = first;
      side.watched.replace(at.bit, added);
    } catch (...) {
      keep_side(at.block, at.index / 64);
      throw;
    }
    added->guard.store(&guard, std::memory_order_release);
    added->queue = queue;
    added->is_listed = true;
  }
  const holding held(watches);
  ++queue->holders;
}

void release_watch(watch* held) noexcept {
  if (held->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (held->root != nullptr) give_root_slot(held->root);
  {
    const holding guard(watches);
    leave_queue(held->queue);
  }
  held->destroy(held);
}

void cancel_watch(watch* held) noexcept {
  bool was_listed = false;
  {
    const holding_side guard(held->guard);
    if (held->is_listed) {
      const cell_place at = window::get().place(held->target);
      watch* chain = nullptr;
      take_of(*find_side(at), at.bit, chain, [&](const watch& each) { return &each == held; });
      TENURE_CHECK(chain == held);
      keep_side(at.block, at.index / 64);
      was_listed = true;
    }
  }
  if (was_listed) release_watch(held);
  release_watch(held);
}

watch* take_watch(watch_queue* queue) noexcept {
  const holding guard(watches);
  watch* taken = queue->first;
  if (taken == nullptr) return nullptr;
  queue->first = taken->next;
  if (queue->first == nullptr) queue->end = &queue->first;
  return taken;
}

watch* wait_for_watch(watch_queue* queue) noexcept {
  for (;;) {
    const std::uint32_t told = queue->told.load(std::memory_order_acquire);
    if (watch* taken = take_watch(queue)) return taken;
    queue->told.wait(told, std::memory_order_acquire);
  }
}

}  // namespace tenure::gc::detail
