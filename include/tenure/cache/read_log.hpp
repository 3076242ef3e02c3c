// Which entries were asked for, told to the policy later and in bulk.
//
//   stripe of a thread   [ hits | misses | told | drained ]  [ identity x 32 ]
//
// A hit adds one and leaves the identity; whoever holds the lock next empties the stripes. When nobody comes in time,
// the oldest identities are written over and the policy does not hear of them; hits and misses are counted exactly all
// the same. A single thread loses nothing, and its policy hears everything in order.
//
// The first threads of a process have a stripe each and count in it without a locked instruction, which would be a
// third of what a hit costs; the others share what is left.
//
// Where nothing comes and nothing goes, the order of the entries matters to nobody: the policy is told of one hit in
// eight then (thin), until something comes.
// Source: the striped read buffers of Caffeine, which follow Ding and others, BP-Wrapper, ICDE 2009.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <tenure/cache/step.hpp>

namespace tenure::detail {

class read_log {
 public:
  static constexpr std::size_t kept = 32;
  using identities = std::array<std::uint64_t, kept>;

  // True: it is time to drain.
  bool hit(std::uint32_t thread, std::uint64_t identity) noexcept {
    stripe& mine = stripe_of(thread);
    const std::uint64_t number = add_one(mine.hits, thread);
    if (is_thin_.load(std::memory_order_relaxed) && number % 8 != 0) return false;
    // Two threads of one stripe may tell the same place: one of the hits is lost then. One that stops here for long
    // sets `told` back, below `drained` even; drain() puts that right.
    const std::uint64_t place = mine.told.load(std::memory_order_relaxed);
    TENURE_CACHE_STEP();
    mine.identities[place % kept].store(identity, std::memory_order_relaxed);
    mine.told.store(place + 1, std::memory_order_relaxed);
    return place + 1 - mine.drained.load(std::memory_order_relaxed) >= kept * 3 / 4;
  }
  void miss(std::uint32_t thread) noexcept { add_one(stripe_of(thread).misses, thread); }

  std::uint64_t hits() const noexcept {
    return sum([](const stripe& one) { return one.hits.load(); });
  }
  std::uint64_t misses() const noexcept {
    return sum([](const stripe& one) { return one.misses.load(); });
  }

  // Under the lock: something comes, or nothing has for so many hits.
  void end_quiet() noexcept {
    quiet_ = 0;
    if (is_thin_.load(std::memory_order_relaxed)) is_thin_.store(false, std::memory_order_relaxed);
  }
  void begin_quiet_after(std::uint64_t hits) noexcept {
    if (quiet_ >= hits && !is_thin_.load(std::memory_order_relaxed)) is_thin_.store(true, std::memory_order_relaxed);
  }

  // Under the lock: hands out what each stripe has, oldest first. An identity of 0 has not arrived yet.
  template <class receiver>
  void drain(receiver receive) {
    const std::size_t used = used_.load(std::memory_order_relaxed);
    for (std::size_t index = 0; index < used; ++index) drain_one(stripes_[index], receive);
  }
  // What the stripe of a thread has, and one of the others in turn, so that nothing stays for ever.
  template <class receiver>
  void drain(std::uint32_t thread, receiver receive) {
    const std::size_t used = used_.load(std::memory_order_relaxed);
    const std::size_t own = index_of(thread);
    if (own < used) drain_one(stripes_[own], receive);
    if (++turn_ >= used) turn_ = 0;
    if (turn_ != own && turn_ < used) drain_one(stripes_[turn_], receive);
  }

 private:
  struct stripe {
    alignas(64) std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> misses{0};
    std::atomic<std::uint64_t> told{0};
    std::atomic<std::uint64_t> drained{0};
    alignas(64) std::array<std::atomic<std::uint64_t>, kept> identities{};
  };

  static constexpr std::size_t own_stripes = 24;
  static constexpr std::size_t shared_stripes = 8;

  template <class receiver>
  void drain_one(stripe& one, receiver& receive) {
    const std::uint64_t end = one.told.load(std::memory_order_relaxed);
    std::uint64_t begin = one.drained.load(std::memory_order_relaxed);
    if (begin == end) return;
    if (end - begin > kept) begin = end < kept ? 0 : end - kept;  // written over, or `told` was set back
    identities told;
    std::size_t count = 0;
    for (std::uint64_t place = begin; place != end; ++place) {
      std::atomic<std::uint64_t>& at = one.identities[place % kept];
      told[count] = at.load(std::memory_order_relaxed);
      at.store(0, std::memory_order_relaxed);
      if (told[count] != 0) ++count;
    }
    one.drained.store(end, std::memory_order_relaxed);
    quiet_ += count;
    receive(told, count);
  }

  static constexpr std::size_t index_of(std::uint32_t thread) noexcept {
    return thread < own_stripes ? thread : own_stripes + thread % shared_stripes;
  }
  stripe& stripe_of(std::uint32_t thread) noexcept {
    const std::size_t index = index_of(thread);
    std::size_t used = used_.load(std::memory_order_relaxed);
    while (index >= used && !used_.compare_exchange_weak(used, index + 1, std::memory_order_relaxed)) {
    }
    return stripes_[index];
  }
  static std::uint64_t add_one(std::atomic<std::uint64_t>& count, std::uint32_t thread) noexcept {
    if (thread >= own_stripes) return count.fetch_add(1, std::memory_order_relaxed);
    // Nobody else has this thread's number, and who had it before has handed it on.
    const std::uint64_t before = count.load(std::memory_order_relaxed);
    count.store(before + 1, std::memory_order_relaxed);
    return before;
  }

  template <class function>
  std::uint64_t sum(function of) const noexcept {
    std::uint64_t all = 0;
    for (const stripe& one : stripes_) all += of(one);
    return all;
  }

  std::array<stripe, own_stripes + shared_stripes> stripes_{};
  alignas(64) std::atomic<bool> is_thin_{false};
  std::atomic<std::size_t> used_{0};  // stripes, counted from the first
  std::uint64_t quiet_ = 0;           // hits since something came
  std::size_t turn_ = 0;              // the stripe that was drained besides a thread's own
};

}  // namespace tenure::detail
