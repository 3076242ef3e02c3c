// soft<T>: keeps a managed object as long as there is memory to spare: for what can be made again.
//
//     struct page { tenure::gc::soft<layout> shown; };
//     tenure::gc::local<layout> current = p->shown.lock();
//     if (!current) p->shown = current = compute(*p);
//
// A cycle keeps an object that only soft references lead to while the reference was used not longer ago than the heap
// has room for: heap_options::soft_ms_per_free_mib, 1000 unless told otherwise, times the MiB that are free. Free is
// what the heap's limit leaves after the last cycle, or, without a limit, what the heap may grow by before the next.
//
// The contract, a sentence a line; tests/unit/gc/soft_test.cc has a test for each:
//   1. An object that nothing but soft references lead to lives on while one of them was used within that time.
//   2. One that had not been used for that long when a cycle ended is gone after the next, as with weak<T>.
//   3. What was used longest ago goes first: less room is less time.
//   4. Before an allocation fails for want of memory, all that only soft references lead to is gone.
//   5. What a kept object leads to is kept with it.
//   6. All else is as with weak<T>: null is for ever, for all, and before the destructor runs.
//   7. With 0 ms a soft reference is a weak one.
//
// Using it is to make it or to lock() it. What looks at the clock is the end of a cycle, of any heap: a use counts from
// the end before it, and is as old as the last end makes it. So the next cycle finds nothing old that was used since
// the last, however long ago that was. It keeps its target whether or not what holds the soft<T> is reachable itself;
// so do not refer softly to what leads back to the reference. Where both are wanted, a weak<T> to the same object says
// the same as the soft<T>.
//
// Thread-safety and cost: as weak<T>, and a load more.
#pragma once

#include <tenure/gc/detail/cell_reference.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

template <class T>
class soft final : public detail::cell_reference<T, detail::strength::soft> {
 public:
  using detail::cell_reference<T, detail::strength::soft>::cell_reference;
};
template <class T>
soft(const local<T>&) -> soft<T>;
template <class T>
soft(const member<T>&) -> soft<T>;

}  // namespace tenure::gc

// What holds a soft reference is not traced for it.
template <class T>
inline constexpr bool tenure::gc::is_leaf<tenure::gc::soft<T>> = true;
template <class T>
inline constexpr tenure::gc::moving tenure::gc::moving_of<tenure::gc::soft<T>> = tenure::gc::moving::allowed;
