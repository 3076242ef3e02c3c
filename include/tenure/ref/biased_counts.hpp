// Biased counts: the thread that made an object counts with plain instructions, all others with locked ones.
//
//   owned    [ owner 32 | biased 32 ]   id of the thread that counts in `biased`, and its count; written by it alone.
//                                       All 0: nobody does any more, the counts are merged
//   word     [ weak 32 | others' count 30 | merged | queued ]
//
// The thread's id stands in the upper half of a word too: `owned` less that word is the count where the thread is the
// owner, and above 2^32 where it is not. One comparison tells that, and that the count has room.
//
// References alive = biased + others' count. The latter may be below zero: a reference that the owner has made can be
// let go of elsewhere. A thread that would bring it from 0 to -1 does not; it sets `queued` instead and gives its
// reference to the queue of the owner, which adds the two counts when it comes by (settle), and lets go of that
// reference. From then on, or when `biased` has come to 0, the counts are merged: there is one, in the word.
//
//     owner                          another thread
//     biased 1, others 0             has that one reference (moved to it)
//                                    lets go: others is 0 ──▶ queued, pushed to the owner's queue
//     settle: others = 0 + 1 - 1 = 0 ──▶ the object ends
//
// While the counts are not merged `biased` is at least 1, so a weak reference can be locked; the queue has a reference,
// so what is in it lives. The id is read before the exchange that sets `queued` on a word without `merged`, and the
// owner clears it after it has set `merged`, so the queue is the right one. The owner merges while it has a reference,
// which keeps the block until the id is cleared.
//
// `biased` stays below 2^28, since the others' count may fall as far below zero as `biased` is high: at that limit the
// owner merges as well.
//
// A thread's record (id and queue) outlives it and is taken over by the next thread, which then is the owner of what
// the first has left; while nobody has it, whoever pushes to it empties it. `in_use` changes hands like a lock.
//
// Not promised to users of the library: only what brc.hpp says is.
// Source: Choi, Shull and Torrellas, Biased Reference Counting, PACT 2018; that the queue keeps the reference instead
// of the count going below zero at once is CPython's way (PEP 703).
#pragma once

#include <atomic>
#include <cstdint>

#include <tenure/api.h>
#include <tenure/ref/counts.hpp>
#include <tenure/ref/step.hpp>

namespace tenure::detail {

class biased_counts;

struct alignas(64) biased_owner {
  std::atomic<std::uint32_t> in_use{0};
  std::uint32_t id = 0;
  std::atomic<biased_counts*> queue{nullptr};
};

struct biased_thread {
  std::uint64_t tag;     // the id, in the upper half; no_thread where it has no record
  biased_owner* record;  // null: none, or none yet
};
inline constexpr std::uint64_t no_thread = std::uint64_t{0xffff'ffff} << 32;
extern TENURE_API constinit thread_local biased_thread this_biased_thread __attribute__((tls_model("initial-exec")));

// Gets the calling thread a record, where there is one to be had (4096 threads at once).
TENURE_API void join_biased() noexcept;
// What the end of a thread does: its record is free.
TENURE_API void leave_biased() noexcept;
// Merges what is in the calling thread's queue. The number of objects.
TENURE_API std::uint64_t settle_biased() noexcept;

// Of a record that the calling thread has.
std::uint64_t drain(biased_owner& record) noexcept;

class biased_counts {
  static constexpr std::uint64_t most = (1u << 28) - 1;
  static constexpr std::uint32_t queued = 1;
  static constexpr std::uint32_t merged = 2;
  static constexpr std::uint32_t one = 4;
  static constexpr std::uint32_t zero = 1u << 30;  // so that a count below zero does not borrow from the weak half
  static constexpr std::uint64_t one_weak = std::uint64_t{1} << 32;
  static constexpr std::uint32_t low(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }
  static constexpr std::int32_t others(std::uint64_t word) noexcept {
    return static_cast<std::int32_t>(low(word) - zero) >> 2;
  }

 public:
  biased_counts() noexcept {
    if (this_biased_thread.record == nullptr) [[unlikely]] {
      join_biased();
    } else if (this_biased_thread.record->queue.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {
      settle_biased();
    }
    const biased_thread mine = this_biased_thread;
    if (mine.record != nullptr) [[likely]] {
      owned_.store(mine.tag + 1, std::memory_order_relaxed);
      word_.store(one_weak + zero, std::memory_order_relaxed);
    } else {
      word_.store(one_weak + zero + one + merged, std::memory_order_relaxed);
    }
  }

  void add_strong() noexcept {
    const std::uint64_t owned = owned_.load(std::memory_order_relaxed);
    const std::uint64_t mine = owned - this_biased_thread.tag;
    if (mine < most) [[likely]] {
      owned_.store(owned + 1, std::memory_order_relaxed);
      return;
    }
    if (mine >> 32 == 0) [[unlikely]] {
      merge(most);
    }
    TENURE_REF_STEP();
    if (!is_positive(low(word_.fetch_add(one, std::memory_order_relaxed) + one))) [[unlikely]] {
      saturate_others();
    }
  }
  bool release_strong() noexcept {
    const std::uint64_t owned = owned_.load(std::memory_order_relaxed);
    const std::uint64_t mine = owned - this_biased_thread.tag;
    if (mine - 2 < most - 1) [[likely]] {
      owned_.store(owned - 1, std::memory_order_relaxed);
      return false;
    }
    if (mine >> 32 != 0) return release_shared();
    return mine == 1 && release_last();
  }
  bool try_add_strong() noexcept {
    if ((owned_.load(std::memory_order_relaxed) - this_biased_thread.tag) >> 32 == 0) {
      add_strong();
      return true;
    }
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    do {
      TENURE_REF_STEP();
      if ((word & merged) != 0 && others(word) == 0) return false;
    } while (!word_.compare_exchange_weak(word, word + one, std::memory_order_acquire, std::memory_order_relaxed));
    if (!is_positive(low(word + one))) [[unlikely]] {
      saturate_others();
    }
    return true;
  }
  void add_weak() noexcept {
    if (!is_positive(static_cast<std::uint32_t>((word_.fetch_add(one_weak, std::memory_order_relaxed) >> 32) + 1)))
        [[unlikely]] {
      saturate(word_, 32);
    }
  }
  bool release_weak() noexcept {
    if (word_.load(std::memory_order_acquire) >> 32 == 1) return true;
    TENURE_REF_STEP();
    const auto left = static_cast<std::uint32_t>((word_.fetch_sub(one_weak, std::memory_order_acq_rel) >> 32) - 1);
    if (is_positive(left)) [[likely]] {
      return false;
    }
    if (left == 0) return true;
    saturate(word_, 32);
    return false;
  }
  // A snapshot of each of the two counts; of an object that waits in a queue, what the queue has counts too.
  std::uint32_t strong() const noexcept {
    const auto by_others = static_cast<std::uint32_t>(others(word_.load(std::memory_order_relaxed)));
    TENURE_REF_STEP();
    return by_others + low(owned_.load(std::memory_order_relaxed));
  }
  // In one load: between two the counts may be merged, and the sum be of neither.
  bool has_ended() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return (word & merged) != 0 && others(word) == 0;
  }

 private:
  friend std::uint64_t drain(biased_owner& record) noexcept;

  TENURE_API bool release_last() noexcept;
  TENURE_API bool release_shared() noexcept;
  // By the owner: the counts are one from now on, with so many references on its side.
  TENURE_API void merge(std::uint64_t mine) noexcept;
  [[gnu::cold]] TENURE_API void saturate_others() noexcept;
  // Merges one in the queue of that owner and lets go of the queue's reference; true when it was the last.
  bool settle(std::uint32_t id) noexcept;

  std::atomic<std::uint64_t> owned_{0};
  std::atomic<std::uint64_t> word_{0};
  biased_counts* next_in_queue_ = nullptr;
};

}  // namespace tenure::detail
