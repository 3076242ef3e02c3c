// tenure::arc<T> and weak_arc<T>: counted references for many threads.
//
//     auto table = tenure::make_arc<routes>(file);
//     std::thread reader([table] { serve(*table); });       // a copy for each thread
//     tenure::weak_arc<routes> seen = table;
//
// All that rc.hpp says of rc holds for arc, but that references to one object may be copied, let go of and locked by
// any number of threads at once. One reference itself is for one thread at a time, as a std::shared_ptr is.
//
// When: ownership shared by threads. When not: one thread (rc); references that are made and copied mostly by the
// thread that made the object (brc); a pointer that many threads read and seldom change: a copy for each access makes
// all of them write to one line.
//
// Thread-safe as above. Errors: as rc. Cost: two words; 16 bytes beside the object, 24 from a resource; a copy is one
// locked instruction, and a plain one while the process has one thread; letting go of the only reference needs none
// (docs/library/rc.md).
// Source: std::shared_ptr; Rust's Arc. That a process with one thread needs no locked instructions, and that both
// counts at one tell that nobody else is there, is libstdc++'s observation.
#pragma once

#include <tenure/ref/counts.hpp>
#include <tenure/ref/reference.hpp>

namespace tenure {

template <class T>
using arc = detail::reference<T, detail::atomic_counts>;
template <class T>
using weak_arc = detail::weak_reference<T, detail::atomic_counts>;

template <class T, class... Arguments>
arc<T> make_arc(Arguments&&... arguments) {
  return detail::make_reference<T, detail::atomic_counts>(std::forward<Arguments>(arguments)...);
}
template <class T, class... Arguments>
arc<T> allocate_arc(std::pmr::memory_resource& resource, Arguments&&... arguments) {
  return detail::allocate_reference<T, detail::atomic_counts>(resource, std::forward<Arguments>(arguments)...);
}

}  // namespace tenure
