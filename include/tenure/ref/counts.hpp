// Counts of references, plain and atomic: 32 bits each, which saturate instead of coming round.
//
//   plain_count    one count, for one thread at a time         atomic_count   the same for many
//   plain_counts   strong and weak, side by side               atomic_counts  strong (low) and weak (high) in one word
//
// All strong references together hold one weak one, so the block is freed by whoever lets the last weak one go. In one
// word, a single load tells that a reference is the only one of both kinds, and nothing needs to be exchanged then.
//
// A count at 2^31 ends in a message. Where the option abort_on_misuse is off it stays near 3 * 2^30 for good, and what
// it counts is never freed: a leak, and not an object that is freed while it is used.
//
// While the process has one thread, which glibc says in a byte, atomic counts are changed without locked instructions.
//
// Not promised to users of the library: only what rc.hpp, arc.hpp and intrusive.hpp say is.
#pragma once

#include <atomic>
#include <cstdint>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include <tenure/api.h>
#include <tenure/ref/step.hpp>

namespace tenure::detail {

inline constexpr std::uint32_t saturated_count = 0xc000'0000;

// A count above its limit, or below none.
[[gnu::cold]] TENURE_API void report_count(const void* counts, const char* what) noexcept;
[[gnu::cold]] TENURE_API void saturate(std::uint32_t& count) noexcept;
[[gnu::cold]] TENURE_API void saturate(std::atomic<std::uint32_t>& count) noexcept;
[[gnu::cold]] TENURE_API void saturate(std::atomic<std::uint64_t>& word, unsigned shift) noexcept;

inline bool has_one_thread() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

constexpr bool is_positive(std::uint32_t count) noexcept { return static_cast<std::int32_t>(count) > 0; }

template <class Word>
Word add_to(std::atomic<Word>& word, Word value) noexcept {
  if (!has_one_thread()) return word.fetch_add(value, std::memory_order_relaxed) + value;
  const Word sum = word.load(std::memory_order_relaxed) + value;
  word.store(sum, std::memory_order_relaxed);
  return sum;
}
template <class Word>
Word take_from(std::atomic<Word>& word, Word value) noexcept {
  if (!has_one_thread()) return word.fetch_sub(value, std::memory_order_acq_rel) - value;
  const Word difference = word.load(std::memory_order_relaxed) - value;
  word.store(difference, std::memory_order_relaxed);
  return difference;
}

// Begins at one reference. add() is for whoever holds one; release() is true for the last.
class plain_count {
 public:
  void add() noexcept {
    if (!is_positive(++count_)) [[unlikely]] {
      saturate(count_);
    }
  }
  bool release() noexcept {
    if (is_positive(--count_)) [[likely]] {
      return false;
    }
    if (count_ == 0) return true;
    saturate(count_);
    return false;
  }
  bool try_add() noexcept {
    if (count_ == 0) return false;
    add();
    return true;
  }
  std::uint32_t value() const noexcept { return count_; }

 private:
  std::uint32_t count_ = 1;
};

class atomic_count {
 public:
  void add() noexcept {
    if (!is_positive(add_to(count_, 1u))) [[unlikely]] {
      saturate(count_);
    }
  }
  bool release() noexcept {
    // The only one is let go without an exchange: nobody else has one to copy.
    if (count_.load(std::memory_order_acquire) == 1) return true;
    TENURE_REF_STEP();
    const std::uint32_t left = take_from(count_, 1u);
    if (is_positive(left)) [[likely]] {
      return false;
    }
    if (left == 0) return true;
    saturate(count_);
    return false;
  }
  std::uint32_t value() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> count_{1};
};

class plain_counts {
 public:
  void add_strong() noexcept { strong_.add(); }
  bool release_strong() noexcept { return strong_.release(); }
  // From a weak reference: false when the object has ended.
  bool try_add_strong() noexcept { return strong_.try_add(); }
  void add_weak() noexcept { weak_.add(); }
  bool release_weak() noexcept { return weak_.release(); }
  std::uint32_t strong() const noexcept { return strong_.value(); }
  bool has_ended() const noexcept { return strong() == 0; }

 private:
  plain_count strong_;
  plain_count weak_;
};

class atomic_counts {
  static constexpr std::uint64_t one_strong = 1;
  static constexpr unsigned weak_shift = 32;
  static constexpr std::uint64_t one_weak = std::uint64_t{1} << weak_shift;
  static constexpr std::uint32_t strong_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }
  static constexpr std::uint32_t weak_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> weak_shift);
  }

 public:
  void add_strong() noexcept {
    if (!is_positive(strong_of(add_to(word_, one_strong)))) [[unlikely]] {
      saturate(word_, 0);
    }
  }
  bool release_strong() noexcept {
    if (word_.load(std::memory_order_acquire) == one_strong + one_weak) return true;
    TENURE_REF_STEP();
    const std::uint32_t left = strong_of(take_from(word_, one_strong));
    if (is_positive(left)) [[likely]] {
      return false;
    }
    if (left == 0) return true;
    saturate(word_, 0);
    return false;
  }
  bool try_add_strong() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    do {
      if (strong_of(word) == 0) return false;
      TENURE_REF_STEP();
    } while (
        !word_.compare_exchange_weak(word, word + one_strong, std::memory_order_acquire, std::memory_order_relaxed));
    if (!is_positive(strong_of(word + one_strong))) [[unlikely]] {
      saturate(word_, 0);
    }
    return true;
  }
  void add_weak() noexcept {
    if (!is_positive(weak_of(add_to(word_, one_weak)))) [[unlikely]] {
      saturate(word_, weak_shift);
    }
  }
  bool release_weak() noexcept {
    TENURE_REF_STEP();
    if (weak_of(word_.load(std::memory_order_acquire)) == 1) return true;
    TENURE_REF_STEP();
    const std::uint32_t left = weak_of(take_from(word_, one_weak));
    if (is_positive(left)) [[likely]] {
      return false;
    }
    if (left == 0) return true;
    saturate(word_, weak_shift);
    return false;
  }
  std::uint32_t strong() const noexcept { return strong_of(word_.load(std::memory_order_relaxed)); }
  bool has_ended() const noexcept { return strong() == 0; }

 private:
  std::atomic<std::uint64_t> word_{one_strong + one_weak};
};

}  // namespace tenure::detail
