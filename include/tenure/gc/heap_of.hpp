// heap_of<plan>: a heap whose plan the compiler knows, and for plans that move all objects the only way to make one.
//
//     tenure::gc::heap_of<tenure::gc::plan::semispace> nodes({.name = "nodes"});
//     auto first = nodes.make<node>();
//
// semispace and mark_compact heaps are for types that may be moved (relocatable.hpp): make of any other type does not
// compile. All else is as with heap. What keeps an object where it is for a cycle: a local or a pin that leads to it, a
// word on the stack or in a register that looks like its address, its destructor being due, a key of an ephemeron. What
// leads to it otherwise is changed when it moves: members, roots, weak, soft and phantom references, guardians.
//
// Raw pointers elsewhere are not seen: in coroutine frames, on the stacks of fibers that are suspended, in a T* field
// of a managed object, in memory of malloc. There a root, a pin or a member is wanted.
//
// A heap whose plan moves objects (immix is one as well) belongs to the thread that allocates in it; when that thread
// ends, to the next. Another thread that allocates there meanwhile ends the program with a message, and none may read
// its objects, destructors excepted: objects do not wait for whoever looks at them. A cycle moves nothing when it is
// run by another thread, on a stack that is not the thread's own (a fiber), while a destructor of the heap runs or
// while another thread has a local into it.
#pragma once

#include <cstddef>
#include <utility>

#include <tenure/gc/heap.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

template <gc::plan of>
class heap_of final : private heap {
 public:
  // Whatever plan the options name.
  explicit heap_of(const heap_options& options = {}) : heap(options, of) {}

  template <class T, class... Arguments>
  local<T> make(Arguments&&... arguments) {
    if constexpr (moves_all(of)) detail::require_relocatable<T>();
    return heap::make<T>(std::forward<Arguments>(arguments)...);
  }
  template <class T>
  local<array<T>> make_array(std::size_t size) {
    if constexpr (moves_all(of)) detail::require_relocatable<T>();
    return heap::make_array<T>(size);
  }

  // For what looks at a heap and makes nothing in it: heap_snapshot.
  const heap& as_heap() const noexcept { return *this; }

  using heap::check;
  using heap::collect;
  using heap::collect_young;
  using heap::name;
  using heap::objects;
  using heap::path_to;
  using heap::plan;
  using heap::return_free_pages;
  using heap::set_growth_percent;
  using heap::set_limit_bytes;
  using heap::set_soft_ms_per_free_mib;
  using heap::statistics;
  using heap::usage;
  using heap::wait_for_destructors;
};

}  // namespace tenure::gc
