// weak<T>: knows a managed object without keeping it alive.
//
//     tenure::gc::weak<texture> cached(loaded);
//     if (tenure::gc::local<texture> alive = cached.lock()) draw(*alive);
//
// The contract, a sentence a line; tests/unit/gc/weak_test.cc has a test for each:
//   1. lock() returns the object while something else keeps it alive.
//   2. What lock() returns keeps the object alive.
//   3. Once lock() has returned null, every weak reference to that object that there was returns null, for ever.
//   4. Weak references to an object are null before its destructor runs.
//   5. When a cycle ends that found the object dead, lock() returns null: collect() makes it certain.
//   6. Objects that die together become null together: no lock() sees one of them dead and then another alive.
//   7. A weak reference may live anywhere: on the stack, in globals, in standard containers, in managed objects.
//
// Thread-safety: as shared_ptr; lock() may be called by many threads on one weak<T>. Throws std::bad_alloc when there
// is no memory for the cell, which all weak references to an object share. A managed object that has a weak<T> has a
// destructor to run. Cost of lock(): two plain stores more than a local's; while a collector marks, for an object that
// is not marked yet, a lock. The first weak reference to an object takes a lock that few others want, a copy takes an
// atomic addition. Cost to the collector: what dies, and a word for each 64 objects of which one has a weak reference.
#pragma once

#include <tenure/gc/detail/cell_reference.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

template <class T>
class weak final : public detail::cell_reference<T, detail::strength::weak> {
 public:
  using detail::cell_reference<T, detail::strength::weak>::cell_reference;
};
template <class T>
weak(const local<T>&) -> weak<T>;
template <class T>
weak(const member<T>&) -> weak<T>;

}  // namespace tenure::gc

// What holds a weak reference is not traced for it.
template <class T>
inline constexpr bool tenure::gc::is_leaf<tenure::gc::weak<T>> = true;
template <class T>
inline constexpr tenure::gc::moving tenure::gc::moving_of<tenure::gc::weak<T>> = tenure::gc::moving::allowed;
