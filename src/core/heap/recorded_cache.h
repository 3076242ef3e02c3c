// The thread cache while every allocation and free is told (telemetry/recorder.h), or counted for the thread itself
// (telemetry/tally.h).
//
//   front[class], list[class]   empty      so malloc takes its slow path
//   room[class]                 0          so free takes its slow path
//   spare                       one list   what the thread has: freed last, handed out first
//   visits                                 log2 of how many blocks it asks the central list for
//
// So the fast paths know nothing of it, and pay nothing while it is off. A thread changes from one way to the other in
// its own slow path, when it finds that recording was switched.
#pragma once

#include <cstddef>

#include "core/base/bits.h"
#include "core/heap/thread_cache.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/tally.h"

namespace tenure::core {

void switch_recording(hot_cache& cache, thread_record& record) noexcept;

// Whether the thread is recorded; changes its cache where that is new. The record's lock is held here and below.
[[gnu::always_inline]] inline bool follow_recording(hot_cache& cache, thread_record& record) noexcept {
  if (unlikely((telemetry::is_recording() || telemetry::is_tallied()) != record.recorded))
    switch_recording(cache, record);
  return record.recorded;
}

// A block of the class; null when the system refuses.
void* allocate_recorded(thread_record& record, std::size_t size_class) noexcept;
void free_recorded(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept;

}  // namespace tenure::core
