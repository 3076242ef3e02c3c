#include <tenure/ref/biased_counts.hpp>
#include <tenure/ref/block.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <new>

#include "core/base/check.h"

namespace tenure::detail {

constinit thread_local biased_thread this_biased_thread __attribute__((tls_model("initial-exec"))){no_thread, nullptr};

namespace {

// By id - 1. Records are never freed: an object may name its owner for as long as it lives.
constexpr std::uint32_t capacity = 4096;
constinit std::array<std::atomic<biased_owner*>, capacity> records{};
std::atomic<std::uint32_t> used_records{0};

biased_owner* record_of(std::uint32_t id) noexcept {
  TENURE_CHECK(id - 1 < capacity);
  return records[id - 1].load(std::memory_order_acquire);
}

bool claim(biased_owner& record) noexcept {
  std::uint32_t free = 0;
  return record.in_use.compare_exchange_strong(free, 1, std::memory_order_seq_cst);
}

// What is pushed after drain() has found nothing is seen here, or its pusher sees that the record is free: both store
// first and load then.
void unclaim(biased_owner& record) noexcept {
  for (;;) {
    drain(record);
    TENURE_REF_STEP();
    record.in_use.store(0, std::memory_order_seq_cst);
    TENURE_REF_STEP();
    if (record.queue.load(std::memory_order_seq_cst) == nullptr || !claim(record)) return;
  }
}

void push(biased_owner& record, biased_counts* counts, biased_counts*& next) noexcept {
  next = record.queue.load(std::memory_order_relaxed);
  while (!record.queue.compare_exchange_weak(next, counts, std::memory_order_seq_cst)) {
  }
  TENURE_REF_STEP();
  if (record.in_use.load(std::memory_order_seq_cst) == 0 && claim(record)) unclaim(record);
}

biased_owner* take_record() noexcept {
  const std::uint32_t count = std::min(used_records.load(std::memory_order_acquire), capacity);
  for (std::uint32_t i = 0; i < count; ++i) {
    biased_owner* const one = records[i].load(std::memory_order_acquire);
    if (one != nullptr && claim(*one)) return one;
  }
  auto* const made = new (std::nothrow) biased_owner;
  if (made == nullptr) return nullptr;
  const std::uint32_t index = used_records.fetch_add(1, std::memory_order_acq_rel);
  if (index >= capacity) {
    used_records.store(capacity, std::memory_order_release);
    delete made;
    return nullptr;
  }
  made->id = index + 1;
  made->in_use.store(1, std::memory_order_relaxed);
  records[index].store(made, std::memory_order_release);
  return made;
}

// The threads that had the other records are not there in the child.
void in_child() noexcept {
  for (const auto& one : records) {
    biased_owner* const record = one.load(std::memory_order_relaxed);
    if (record != nullptr && record != this_biased_thread.record) record->in_use.store(0, std::memory_order_relaxed);
  }
}

// A key's destructor runs after those of thread_local objects, which may have references to the last.
pthread_key_t leave_key() noexcept {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    TENURE_CHECK(pthread_key_create(&made, [](void*) { leave_biased(); }) == 0);
    TENURE_CHECK(pthread_atfork(nullptr, nullptr, in_child) == 0);
    return made;
  }();
  return key;
}

}  // namespace

void join_biased() noexcept {
  const pthread_key_t key = leave_key();
  biased_owner* const record = take_record();
  if (record == nullptr) return;
  if (pthread_setspecific(key, record) != 0) return unclaim(*record);
  this_biased_thread = {std::uint64_t{record->id} << 32, record};
  drain(*record);
}

void leave_biased() noexcept {
  biased_owner* const record = this_biased_thread.record;
  if (record == nullptr) return;
  this_biased_thread = {no_thread, nullptr};
  pthread_setspecific(leave_key(), nullptr);
  unclaim(*record);
}

std::uint64_t drain(biased_owner& record) noexcept {
  std::uint64_t settled = 0;
  while (record.queue.load(std::memory_order_relaxed) != nullptr) {
    biased_counts* one = record.queue.exchange(nullptr, std::memory_order_acquire);
    while (one != nullptr) {
      biased_counts* const next = one->next_in_queue_;
      // The counts are the first member of their block.
      if (one->settle(record.id)) reinterpret_cast<counted_block<biased_counts>*>(one)->finish();
      one = next;
      ++settled;
    }
  }
  return settled;
}

std::uint64_t settle_biased() noexcept {
  biased_owner* const mine = this_biased_thread.record;
  return mine == nullptr ? 0 : drain(*mine);
}

void biased_counts::merge(std::uint64_t mine) noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t sum = 0;
  do {
    TENURE_REF_STEP();
    sum = is_positive(low(word)) ? word + mine * one : word;  // one that is saturated stays so
  } while (!word_.compare_exchange_weak(word, sum | merged, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (!is_positive(low(sum))) saturate_others();
  TENURE_REF_STEP();
  owned_.store(0, std::memory_order_relaxed);
}

// The owner lets go of the last reference that it counts.
bool biased_counts::release_last() noexcept {
  // Nobody has a reference of any kind: there is nobody to tell.
  if (word_.load(std::memory_order_acquire) == one_weak + zero) return true;
  merge(1);
  return release_shared();
}

bool biased_counts::release_shared() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const auto owner = static_cast<std::uint32_t>(owned_.load(std::memory_order_relaxed) >> 32);
    const std::int32_t count = others(word);
    TENURE_REF_STEP();
    if (!is_positive(low(word))) [[unlikely]] {
      return false;  // saturated
    }
    if ((word & (merged | queued)) == 0 && count <= 0) {
      if (!word_.compare_exchange_weak(word, word | queued, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        continue;
      }
      TENURE_REF_STEP();
      push(*record_of(owner), this, next_in_queue_);
      return false;
    }
    if ((word & merged) != 0 && count <= 0) [[unlikely]] {
      report_count(this, "release of a reference that is not there");
      return false;
    }
    if (word_.compare_exchange_weak(word, word - one, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return (word & merged) != 0 && count == 1;
    }
  }
}

void biased_counts::saturate_others() noexcept {
  if (low(word_.load(std::memory_order_relaxed)) < saturated_count - (1u << 20)) {
    report_count(this, "more references than 268435455");
  }
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  constexpr std::uint64_t flags = queued | merged;
  while (!word_.compare_exchange_weak(word, (word >> 32 << 32) | saturated_count | (word & flags),
                                      std::memory_order_relaxed)) {
  }
}

bool biased_counts::settle(std::uint32_t id) noexcept {
  const std::uint64_t owned = owned_.load(std::memory_order_relaxed);
  if (owned >> 32 != id) return release_shared();
  TENURE_CHECK(low(owned) != 0);
  merge(low(owned));
  return release_shared();
}

}  // namespace tenure::detail
