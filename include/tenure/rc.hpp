// tenure::rc<T> and weak_rc<T>: counted references for one thread, or for objects that pass from one to another whole.
//
//     auto leaf = tenure::make_rc<node>("leaf");            // counts and object in one block
//     tenure::rc<node> also = leaf;                         // a plain increment
//     tenure::weak_rc<node> seen = leaf;
//     tenure::rc<std::string> name(leaf, &leaf->name);      // aliasing: keeps the node
//     if (auto still = seen.lock()) still->touch();
//
// What std::shared_ptr and std::weak_ptr have under these names means the same here: conversions, aliasing, casts,
// comparison, hashing, deleters, unique_ptr taken over. What is not there: arrays, and a reference from `this`
// (intrusive.hpp has that). allocate_rc takes the block from a resource, and gives the resource to an object that takes
// an allocator.
//
// Lists and trees of any depth can be let go of: beyond 64 ends inside of one another an end waits until the outermost
// ones are through (ref/block.hpp). More than 2^31 references, and one released too many, end in a message.
//
// When: shared ownership within one thread. When not: one owner is enough (std::unique_ptr, object_pool); several
// threads (arc, brc); cycles (cyclic_rc, gc).
//
// Not thread-safe: all references to one object belong to one thread at a time. Errors: std::bad_alloc, and what T's
// constructor throws. Cost: a reference is two words; a block has 16 bytes beside the object, 24 from a resource; a
// copy is one plain increment (docs/library/rc.md).
// Source: std::shared_ptr for the interface; Rust's Rc for counts that need no atomics.
#pragma once

#include <tenure/ref/counts.hpp>
#include <tenure/ref/reference.hpp>

namespace tenure {

template <class T>
using rc = detail::reference<T, detail::plain_counts>;
template <class T>
using weak_rc = detail::weak_reference<T, detail::plain_counts>;

template <class T, class... Arguments>
rc<T> make_rc(Arguments&&... arguments) {
  return detail::make_reference<T, detail::plain_counts>(std::forward<Arguments>(arguments)...);
}
template <class T, class... Arguments>
rc<T> allocate_rc(std::pmr::memory_resource& resource, Arguments&&... arguments) {
  return detail::allocate_reference<T, detail::plain_counts>(resource, std::forward<Arguments>(arguments)...);
}

}  // namespace tenure
