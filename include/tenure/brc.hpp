// tenure::brc<T> and weak_brc<T>: counted references for objects that mostly stay with the thread that made them.
//
//     auto document = tenure::make_brc<tree>(text);         // this thread is its owner
//     walk(document);                                       // copies here cost what they cost an rc
//     queue.push(document);                                 // may be copied and let go of by any thread
//     while (running) {
//       serve();
//       tenure::settle_brc();                               // ends what others have let go of last
//     }
//
// All that arc.hpp says of arc holds for brc, with one difference: where the last reference is one that the owner made
// and another thread lets go of, the object ends when its owner comes by, which is when it makes another brc, at
// settle_brc(), and when it ends. Then the destructor runs on the owner's thread. Objects of a thread that has ended
// are ended by whoever lets go.
//
// When: trees, documents, messages that one thread makes and works on, and that others may see. When not: objects that
// are made by one thread and used by another (arc); destructors that must run at once, wherever the last one goes;
// owners that wait for long without coming by.
//
// Thread-safe as arc; in a child of fork() the objects of threads that are not there are ended by whoever lets go.
// Errors: as rc. An object may have 268,435,455 references; one of those beyond, which may be as many again, ends in a
// message. Cost: two words; 32 bytes beside the object, 40 from a resource; a copy by the owner is a plain increment,
// by others a locked one (docs/library/brc.md). 4096 threads can be owners at a time; what further ones make has no
// owner.
// Source: Choi, Shull and Torrellas, Biased Reference Counting, PACT 2018; as in Swift and CPython without its lock.
#pragma once

#include <cstdint>

#include <tenure/ref/biased_counts.hpp>
#include <tenure/ref/reference.hpp>

namespace tenure {

template <class T>
using brc = detail::reference<T, detail::biased_counts>;
template <class T>
using weak_brc = detail::weak_reference<T, detail::biased_counts>;

template <class T, class... Arguments>
brc<T> make_brc(Arguments&&... arguments) {
  return detail::make_reference<T, detail::biased_counts>(std::forward<Arguments>(arguments)...);
}
template <class T, class... Arguments>
brc<T> allocate_brc(std::pmr::memory_resource& resource, Arguments&&... arguments) {
  return detail::allocate_reference<T, detail::biased_counts>(resource, std::forward<Arguments>(arguments)...);
}

// Takes over what other threads have let go of and the calling thread owns, and ends what nobody has any more. The
// number of objects looked at. Without any it costs a load.
inline std::uint64_t settle_brc() noexcept { return detail::settle_biased(); }

}  // namespace tenure
