// Handles under many threads, where entries go as soon as they are let go of: few keys, room for half of them, and
// every way in which an entry gets into somebody's hands or out of the cache. Values check themselves, and are spoilt
// when they end. Under AddressSanitizer and ThreadSanitizer this holds pins, hazards and the reuse of slots to their
// promises.
#include <gtest/gtest.h>
#include <tenure/cache.hpp>
#include <tenure/eviction.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace tenure::test {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int handle_rounds = 2'000;
#else
constexpr int handle_rounds = 10'000;
#endif
constexpr int board_places = 6;
constexpr int looked_at_together = 8;
// With the one that is changed for another on the board.
constexpr unsigned most_held = looked_at_together + 1;

std::atomic<std::int64_t> living{0};

// Its words say one another, for as long as it lives.
class checked {
 public:
  checked(int key, std::uint64_t version) : words_{static_cast<std::uint64_t>(key), version, seal(key, version)} {
    ++living;
  }
  checked(const checked& other) : words_{other.words_[0], other.words_[1], other.words_[2]} { ++living; }
  checked& operator=(const checked&) = delete;
  ~checked() {
    // Volatile: a compiler leaves out what is written to an object that ends.
    for (std::uint64_t& word : words_) *const_cast<volatile std::uint64_t*>(&word) = ~std::uint64_t{0};
    --living;
  }
  bool is_of(int key) const {
    return words_[0] == static_cast<std::uint64_t>(key) && words_[2] == seal(key, words_[1]);
  }

 private:
  static std::uint64_t seal(int key, std::uint64_t version) {
    return detail::mixed_identity(static_cast<std::uint64_t>(key) * 1'000'003 + version);
  }
  std::uint64_t words_[3];
};

}  // namespace
}  // namespace tenure::test

template <>
struct tenure::owned_memory<tenure::test::checked> {
  static std::uint64_t of(const tenure::test::checked&) { return 0; }
};

namespace tenure::test {
namespace {

// Runs what it is given on whichever thread comes by.
class task_queue {
 public:
  void push(std::function<void()> task) {
    const std::lock_guard hold(lock_);
    tasks_.push_back(std::move(task));
  }
  bool run_one() {
    std::function<void()> task;
    {
      const std::lock_guard hold(lock_);
      if (tasks_.empty()) return false;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
    return true;
  }

 private:
  std::mutex lock_;
  std::deque<std::function<void()>> tasks_;
};

// Where threads leave handles for one another: a place is taken whole, so that handles change hands without a lock that
// would order what they do with them.
template <class handle>
class board {
 public:
  ~board() {
    for (auto& place : places_) delete place.load();
  }
  // What was there before.
  handle change(std::size_t at, handle given) {
    handle* const before = places_[at % places_.size()].exchange(new handle(std::move(given)));
    if (before == nullptr) return {};
    handle found = std::move(*before);
    delete before;
    return found;
  }

 private:
  std::array<std::atomic<handle*>, board_places> places_{};
};

class handing_around {
  using shipped_cache = cache<int, checked, eviction::lru>;
  using handle = shipped_cache::handle;

 public:
  template <class Limit>
  handing_around(Limit limit, int keys)
      : keys_(keys),
        shipped_(limit, {.refresh_after = std::chrono::nanoseconds(1),
                         .executor = [this](std::function<void()> task) { tasks_.push(std::move(task)); }}) {}

  void run(int threads) {
    {
      board<handle> shared;
      std::vector<std::thread> all;
      for (int i = 0; i < threads; ++i) all.emplace_back([&, i] { live(shared, i); });
      for (std::thread& one : all) one.join();
      while (tasks_.run_one()) {
      }
    }
    shipped_.check();
    const cache_statistics figures = shipped_.statistics();
    EXPECT_GT(figures.hits, 0u);
    EXPECT_GT(figures.refreshes, 0u);
    // Of what nobody holds any more, as many again may wait as were held when somebody looked last, and a few.
    EXPECT_LE(figures.waiting_entries, 2u * (static_cast<unsigned>(threads) * most_held + board_places) + 8u);
    shipped_.clear();
    shipped_.trim();
    EXPECT_EQ(shipped_.statistics().waiting_entries, 0u);
    EXPECT_EQ(living.load(), 0);
  }

 private:
  void live(board<handle>& shared, int number) {
    std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
    for (int round = 0; round < handle_rounds; ++round) {
      const int key = static_cast<int>(random() % static_cast<std::uint64_t>(keys_));
      switch (random() % 8) {
        case 0:
          shipped_.erase(key);
          break;
        case 1:
          shipped_.put(key, checked(key, ++versions_));
          break;
        case 2:
          tasks_.run_one();
          break;
        case 3:
          look_at_many(key);
          break;
        case 4:
          expect_intact(shared.change(random(), shipped_.get(key)));
          break;
        default:
          expect_intact(load(key));
      }
    }
  }

  handle load(int key) {
    try {
      return shipped_.get_or_load(key, [this](int of) -> std::optional<checked> {
        const std::uint64_t version = ++versions_;
        if (version % 64 == 0) throw std::runtime_error("not now");
        if (version % 16 == 0) return std::nullopt;
        return checked(of, version);
      });
    } catch (const std::runtime_error&) {
      return {};
    }
  }

  // By a copy that outlives the handle it was made from.
  static void expect_intact(handle found) {
    const handle copy = found;
    found.reset();
    EXPECT_TRUE(!copy || copy->is_of(copy.key()));
  }

  // More than a thread has slots for.
  void look_at_many(int first) {
    std::vector<handle> many;
    for (int i = 0; i < looked_at_together; ++i) many.push_back(shipped_.get((first + i) % keys_));
    for (const handle& one : many) EXPECT_TRUE(!one || one->is_of(one.key()));
  }

  const int keys_;
  task_queue tasks_;
  std::atomic<std::uint64_t> versions_{0};
  shipped_cache shipped_;
};

TEST(cache_handles, keep_what_they_hold_in_a_cache_of_few_entries) { handing_around(limit_entries{5}, 10).run(8); }
TEST(cache_handles, keep_what_they_hold_in_a_cache_of_few_bytes) {
  handing_around(limit_bytes{128 * 1024}, 2000).run(8);
}
// More threads than the log of reads has stripes.
TEST(cache_handles, keep_what_they_hold_among_many_threads) { handing_around(limit_entries{5}, 10).run(40); }

// Another thread lets go of a handle, and its slot is used again at once: whoever frees the entry sees only what is in
// the slot now, and must see with it what was done with the entry before. The flags order nothing but the time.
TEST(cache_handles, let_a_slot_be_used_again) {
  cache<int, checked, eviction::lru> shipped(limit_entries{5});
  shipped.put(1, checked(1, 1));
  shipped.put(2, checked(2, 2));
  std::atomic<int> stage{0};
  const auto wait_for = [&](int wanted) {
    while (stage.load(std::memory_order_relaxed) != wanted) std::this_thread::yield();
  };
  std::thread lender([&] {
    auto lent = shipped.get(1);
    std::thread borrower([&] {
      EXPECT_TRUE(lent->is_of(1));
      lent.reset();
      stage.store(1, std::memory_order_relaxed);
    });
    wait_for(1);
    const auto next = shipped.get(2);
    stage.store(2, std::memory_order_relaxed);
    wait_for(3);
    EXPECT_TRUE(next->is_of(2));
    borrower.join();
  });
  std::thread remover([&] {
    wait_for(2);
    EXPECT_TRUE(shipped.erase(1));
    EXPECT_EQ(living.load(), 1) << "it was free to go";
    stage.store(3, std::memory_order_relaxed);
  });
  lender.join();
  remover.join();
}

// Threads that share a stripe of the log set each other's places back, and whoever drains it comes to an end all the
// same.
TEST(cache_concurrent, tells_its_policy_of_hits_from_any_number_of_threads) {
  cache<std::uint64_t, std::uint64_t, eviction::lru> shipped(limit_entries{64});
  for (std::uint64_t key = 0; key < 64; ++key) shipped.put(key, key);
  std::vector<std::thread> all;
  for (int number = 0; number < 48; ++number) {
    all.emplace_back([&shipped, number] {
      for (int round = 0; round < handle_rounds; ++round) {
        const auto key = static_cast<std::uint64_t>(round + number) % 64;
        const auto found = shipped.get(key);
        EXPECT_TRUE(found && *found == key);
        if (round % 16 == 0) shipped.put(key, key);
      }
    });
  }
  for (std::thread& one : all) one.join();
  shipped.check();
  EXPECT_EQ(shipped.statistics().hits, 48u * static_cast<std::uint64_t>(handle_rounds));
}

// A bound that is lowered is kept from then on, however busy the cache is.
TEST(cache_concurrent, keeps_a_bound_that_is_lowered_under_load) {
  cache<int, std::string> shipped(limit_bytes{2 << 20});
  std::atomic<bool> is_over{false};
  std::vector<std::thread> all;
  for (int number = 0; number < 6; ++number) {
    all.emplace_back([&, number] {
      std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
      while (!is_over) {
        const int key = static_cast<int>(random() % 2000);
        if (!shipped.get(key)) shipped.put(key, std::string(1000, 'v'));
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t limit = round % 2 == 0 ? 256 * 1024 : 2 << 20;
    shipped.set_limit(limit_bytes{limit});
    // What is held for a moment may be over it for that moment.
    for (int look = 0; shipped.statistics().used_bytes > limit && look < 1000; ++look) std::this_thread::yield();
    EXPECT_LE(shipped.statistics().used_bytes, limit);
  }
  is_over = true;
  for (std::thread& one : all) one.join();
  shipped.check();
}

}  // namespace
}  // namespace tenure::test
