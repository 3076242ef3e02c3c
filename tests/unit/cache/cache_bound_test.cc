// The bound of a cache under 16 writers, held by a count that is none of the cache's (counted_memory.h): operator new
// and delete of this program, and mmap() and munmap(), count what the calls of the cache take, at the moment they do.
//
// What the test itself makes is not counted: its blocks are taken and freed by `uncounted`. A value that owns a block
// (`carried`) tells by its own address whether it lies on a stack, so that the block goes over to the cache, and back,
// with the move itself. So a byte that the cache holds beyond its bound is seen at once, by whichever thread takes it.
#include <gtest/gtest.h>
#include <pthread.h>
#include <tenure/cache.hpp>

#include <array>
#include <memory_resource>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "any_policy.h"
#include "counted_memory.h"

namespace tenure::test {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 1'500;
#else
constexpr int rounds = 20'000;
#endif
constexpr int writers = 16;
constexpr std::uint64_t limit = 600 * 1024;

bool is_on_stack(const void* address) noexcept {
  thread_local const std::pair<std::uintptr_t, std::uintptr_t> stack = [] {
    const counted_memory::uncounted meanwhile;
    pthread_attr_t attributes;
    void* begin = nullptr;
    std::size_t bytes = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &begin, &bytes);
    pthread_attr_destroy(&attributes);
    return std::pair(reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(begin) + bytes);
  }();
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at >= stack.first && at < stack.second;
}

// Owns a block that moves with it.
class carried {
 public:
  explicit carried(std::size_t bytes) {
    const counted_memory::uncounted meanwhile;
    block_ = ::operator new(bytes);
    static_cast<unsigned char*>(block_)[0] = static_cast<unsigned char>(bytes);
  }
  carried(carried&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {
    if (block_ != nullptr && is_on_stack(this) != is_on_stack(&other))
      counted_memory::add(is_on_stack(this) ? -bytes() : bytes());
  }
  carried& operator=(carried&&) = delete;
  ~carried() {
    if (block_ == nullptr) return;
    if (!is_on_stack(this)) counted_memory::add(-bytes());
    const counted_memory::uncounted meanwhile;
    ::operator delete(block_);
  }
  std::int64_t bytes() const noexcept { return counted_memory::usable(block_); }
  const void* block() const noexcept { return block_; }

 private:
  void* block_;
};

}  // namespace
}  // namespace tenure::test

template <>
struct tenure::owned_memory<tenure::test::carried> {
  static std::uint64_t of(const tenure::test::carried& value) noexcept {
    return tenure::detail::block_bytes(value.block());
  }
};

namespace tenure::test {
namespace {

// Sixteen threads put, replace, read and erase; `make(bytes, use)` hands a value of that size to `use`. Gives how much
// the count must have come near the bound for the test to mean something.
template <class V, class Make>
void write_with_all(Make make) {
  // What a process has once for all caches.
  static_cast<void>(cache<std::uint64_t, V, any_policy>(limit_bytes{limit}));
  counted_memory::begin(static_cast<std::int64_t>(limit));
  {
    // What is set aside for the policy and not used is no part of the count: as little of it as can be, but where the
    // policy needs it.
    const bool is_adaptive = any_policy::chosen->name == "adaptive";
    const std::size_t set_aside = is_adaptive ? limit / 16 : 4096;
    auto made = [&] {
      const counted_memory::marked call;
      return std::make_unique<cache<std::uint64_t, V, any_policy>>(limit_bytes{limit},
                                                                   cache_options{.policy_bytes = set_aside});
    }();
    auto& shipped = *made;
    std::vector<std::thread> threads;
    for (int number = 0; number < writers; ++number) {
      threads.emplace_back([&, number] {
        std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
        // What a thread has once for all caches is made here, outside of the count.
        static_cast<void>(shipped.get(0));
        for (int round = 0; round < rounds; ++round) {
          const std::uint64_t key = random() % 64 * (random() % 32);
          const std::uint64_t draw = random() % 16;
          if (draw < 11) {
            const auto strength = random() % 4 == 0 ? value_strength::firm : value_strength::soft;
            make(1 + random() % 4'000, [&](V value) {
              const counted_memory::marked call;
              shipped.put(key, std::move(value), strength);
            });
          } else if (draw < 14) {
            const counted_memory::marked call;
            static_cast<void>(shipped.get(key));
          } else if (draw < 15) {
            const counted_memory::marked call;
            shipped.erase(key);
          } else if (round % 64 == 0) {
            const counted_memory::marked call;
            shipped.trim(20'000);
          }
        }
      });
    }
    for (std::thread& one : threads) one.join();
    EXPECT_EQ(counted_memory::beyond.load(), 0u)
        << "the most was " << counted_memory::most_inside.load() << " of " << limit;
    const cache_statistics figures = shipped.statistics();
    EXPECT_GT(figures.evictions, 0u);
    // It was full: what is left is for the policies, soft and firm, and a part in 64.
    const auto least_spare = static_cast<std::int64_t>(2 * set_aside + limit / 64);
    EXPECT_GT(counted_memory::most_inside.load(), static_cast<std::int64_t>(limit) - least_spare - 16 * 1024);
    // At rest the cache counts what is there, what it has set aside, and its first small tables.
    const auto told = static_cast<std::int64_t>(figures.used_bytes);
    EXPECT_LE(counted_memory::inside.load(), told);
    EXPECT_GE(counted_memory::inside.load(), told - static_cast<std::int64_t>(2 * set_aside) - 16 * 1024);
    const counted_memory::marked call;
    made.reset();
  }
  EXPECT_EQ(counted_memory::inside.load(), 0) << "all was given back, by both counts";
  counted_memory::bound = counted_memory::no_bound;
}

using cache_bound = of_every_policy;
INSTANTIATE_TEST_SUITE_P(, cache_bound,
                         testing::Values(&policy_named("lru"), &policy_named("s3-fifo"), &policy_named("lirs"),
                                         &policy_named("adaptive")),
                         name_of);

// A value that brings its block along.
TEST_P(cache_bound, holds_for_blocks_that_move_in) {
  write_with_all<carried>([](std::size_t bytes, auto use) { use(carried(bytes)); });
}

// A value that takes the cache's memory, of which the cache makes a copy: the original is in a buffer of its own.
TEST_P(cache_bound, holds_for_copies_in_memory_of_the_cache) {
  write_with_all<std::pmr::string>([](std::size_t bytes, auto use) {
    std::array<std::byte, 16 * 1024> buffer;
    std::pmr::monotonic_buffer_resource memory(buffer.data(), buffer.size(), std::pmr::null_memory_resource());
    use(std::pmr::string(bytes, 'v', &memory));
  });
}

// The count itself sees what is too much.
TEST(count_of_this_program, sees_a_byte_beyond_the_bound) {
  counted_memory::begin(static_cast<std::int64_t>(limit));
  const counted_memory::marked call;
  std::string block(limit - 200, 'b');
  EXPECT_EQ(counted_memory::beyond.load(), 0u);
  const std::string more(400, 'b');
  EXPECT_EQ(counted_memory::beyond.load(), 1u);
  EXPECT_GT(counted_memory::most_inside.load(), static_cast<std::int64_t>(limit));
  counted_memory::bound = counted_memory::no_bound;
}

}  // namespace
}  // namespace tenure::test
