// One size class of one thread's cache: the slow paths' work, under the record's lock.
//
//   grant   opens the fast path: so many allocations are possible until the next slow path, and none of them is sampled
//   settle  closes it: how many there were follows from what is left (thread_cache.h)
//   supply  where blocks come from: what was set aside, what the thread has freed, the central list
//   relieve where they go: to the central list, as whole lists or the colder half of one
//
// How long lists may be follows demand: a capacity doubles at each visit while an OS page holds the list and at every
// eighth later, within two batches of the class and the thread's limit; it is halved by neglect.
#pragma once

#include <cstddef>

#include "core/heap/thread_cache.h"

namespace tenure::core {

// The most frequent slow path, of a class with two lists, where all that it has to do is known beforehand: the list
// that free filled takes the place of the one that malloc has used up. Null, and nothing has changed, where there is
// anything else to do.
void* exchange_lists(hot_cache& cache, thread_record& record, std::size_t size_class) noexcept;
// What is left of a malloc when there is nothing to pop. Null when the system refuses.
void* refill_held(hot_cache& cache, thread_record& record, std::size_t size_class, std::size_t requested_bytes,
                  wire::allocation_entry entry) noexcept;
// What is left of a free when there is no room. The block is known to be one of the class and in use.
void free_held(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept;

// Gives the class's blocks up; nothing is granted until reopen(), which takes the capacity as it is then.
void flush_class(hot_cache& cache, class_state& state, std::size_t size_class) noexcept;
void reopen(hot_cache& cache, class_state& state, std::size_t size_class) noexcept;
// The same in the child of fork, for a thread that is gone: it may have stood between counting a push and pushing, so
// the lists themselves tell how long they are.
void abandon_class(hot_cache& cache, class_state& state, std::size_t size_class) noexcept;
// Classes of the largest blocks give up what they hold until all together may hold no more than that.
void shrink_cache(hot_cache& cache, thread_record& record, std::uint64_t most_bytes) noexcept;
// What is set aside goes to the central list.
void give_spare(class_state& state, std::size_t size_class) noexcept;

// After a sample. A thread has credit for some samples in a row and earns one in each `sample_spacing`; when it is used
// up the mean is doubled, and halved again when there is plenty. What decides is the past only, so it stays a Poisson
// process, with an interval that each sample carries.
void spend_credit(thread_record& record) noexcept;
// Of a record that is new: the first one of a process has as much as a record can have.
void begin_credit(thread_record& record, bool is_first) noexcept;
// Who takes over the record of a thread that has ended goes on with what is left, so that a program of many short
// threads is sampled no more often than one of as many as it has at a time. After a long while there is plenty.
void take_over(thread_record& record) noexcept;

}  // namespace tenure::core
