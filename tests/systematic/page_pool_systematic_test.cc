// A page pool step by step: threads stop between finding a slot, pinning it and looking whether it is still the page's;
// while they let go; before each lock, each read, each hook and each write; others evict, write back, flush, prefetch
// and give frames back meanwhile. Each page carries its number and its version.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include <tenure/eviction.hpp>
#include <tenure/page_pool.hpp>

#include "core/base/yield_point.h"
#include "systematic.h"
#include "unit/cache/paged_memory.h"

namespace {

// What happens at a step that is chosen, instead of a change of turn.
std::function<void()> at_step;
unsigned steps_before = 0;

}  // namespace

namespace tenure::core {
void yield_point() noexcept {
  if (at_step && steps_before-- == 0) std::exchange(at_step, nullptr)();
  testing::systematic::yield();
}
}  // namespace tenure::core

using namespace tenure;
using namespace std::chrono_literals;
using tenure::test::mark_of;
using tenure::test::paged_memory;
using tenure::test::set_mark;
using tenure::testing::systematic;

namespace {

constexpr std::uint64_t pages = 4;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t seeds = 200;
#else
constexpr std::uint64_t seeds = 600;
#endif

// One read and one write of a page at a time.
class watched_file final : public page_file {
 public:
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    const guard alone(reading_[offset / paged_memory::page_bytes]);
    return memory_.read(offset, into);
  }
  std::size_t write(std::uint64_t offset, std::span<const std::byte> from) override {
    const guard alone(writing_[offset / paged_memory::page_bytes]);
    EXPECT_EQ(mark_of(from).version, told[offset / paged_memory::page_bytes]) << "changed behind the hook";
    return memory_.write(offset, from);
  }
  void sync() override {}
  const char* name() const noexcept override { return "watched"; }
  // By the hook.
  std::array<std::uint64_t, pages> told{};
  std::uint64_t version_of(std::uint64_t number) { return mark_of(memory_.page(number)).version; }

 private:
  struct guard {
    explicit guard(int& of) : count(of) {
      EXPECT_EQ(count++, 0) << "two at a time";
      systematic::yield();
    }
    ~guard() { --count; }
    int& count;
  };
  paged_memory memory_{pages};
  std::array<int, pages> reading_{}, writing_{};
};

struct scene {
  page_pool_base& pool;
  std::uint32_t file = 0;
  std::array<std::uint64_t, pages> versions{};
  std::array<bool, pages> has_writer{};
  std::uint64_t seed = 0;
};

void look(scene& of, std::uint64_t number) {
  const pinned_page page = of.pool.pin({of.file, number});
  ASSERT_EQ(mark_of(page.bytes()).number, number) << "seed " << of.seed;
  ASSERT_EQ(mark_of(page.bytes()).version, of.versions[number]) << "seed " << of.seed;
  ASSERT_FALSE(of.has_writer[number]) << "seed " << of.seed;
  systematic::yield();
  ASSERT_EQ(mark_of(page.bytes()).version, of.versions[number]) << "seed " << of.seed;
  ASSERT_LE(of.pool.statistics().frames, of.pool.statistics().limit_pages) << "seed " << of.seed;
}

void change(scene& of, std::uint64_t number) {
  const writable_page page = of.pool.pin_to_write({of.file, number});
  ASSERT_FALSE(of.has_writer[number]) << "seed " << of.seed;
  of.has_writer[number] = true;
  ASSERT_EQ(mark_of(page.bytes()).version, of.versions[number]) << "seed " << of.seed;
  set_mark(page.bytes(), {number, ++of.versions[number]});
  systematic::yield();
  of.has_writer[number] = false;
}

template <class Policy>
void run_for_seed(std::uint64_t seed, std::size_t limit, std::uint64_t& evictions, std::uint64_t& joined) {
  const auto file = std::make_shared<watched_file>();
  {
    page_pool<Policy> pool({.page_bytes = paged_memory::page_bytes,
                            .limit_pages = limit,
                            .wait = 1h,
                            .has_thread = false,
                            .before_write =
                                [&](page_id page, std::span<const std::byte> bytes) {
                                  file->told[page.number] = mark_of(bytes).version;
                                  systematic::yield();
                                  return std::optional<std::uint64_t>(mark_of(bytes).version % 2);
                                },
                            .checks = resource_checks::off});
    scene of{pool, pool.add(file)};
    of.seed = seed;
    systematic threads(seed);
    for (std::uint64_t number = 0; number < 4; ++number) {
      threads.add([&of, seed, number] {
        std::mt19937_64 random(seed * 4 + number);
        for (int i = 0; i < 5; ++i) {
          const std::uint64_t page = random() % pages;
          if (number == 3 && i % 2 == 0) {
            switch (random() % 3) {
              case 0:
                of.pool.flush();
                break;
              case 1:
                of.pool.trim(paged_memory::page_bytes);
                break;
              default:
                of.pool.prefetch({of.file, page}, 1);
            }
          } else {
            random() % 3 == 0 ? change(of, page) : look(of, page);
          }
        }
      });
    }
    threads.run();
    pool.check();
    const page_pool_statistics told = pool.statistics();
    ASSERT_EQ(told.pinned_pages, 0u) << "seed " << seed;
    ASSERT_LE(told.peak_frames, limit) << "seed " << seed;
    evictions += told.evictions;
    joined += told.joined;
    pool.flush();
    for (std::uint64_t number = 0; number < pages; ++number) {
      ASSERT_EQ(file->version_of(number), of.versions[number]) << "seed " << seed;
    }
  }
}

TEST(page_pool_systematic, nothing_is_lost_or_mixed_up) {
  std::uint64_t evictions = 0, joined = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    run_for_seed<eviction::lru>(seed, 2, evictions, joined);
    run_for_seed<eviction::s3_fifo>(seed + 100'000, 1, evictions, joined);
    if (HasFatalFailure()) return;
  }
  // Both happen, or this shows little.
  EXPECT_GT(evictions, seeds);
  EXPECT_GT(joined, seeds);
}

// Between the look into the table and the pin the page leaves, and its slot becomes another page's, open and unpinned
// as this one was: once before the state is looked at, and once after.
TEST(page_pool_systematic, a_slot_that_has_become_another_pages_is_noticed) {
  for (unsigned step = 0; step < 2; ++step) {
    for (const bool writes : {false, true}) {
      const auto file = std::make_shared<watched_file>();
      page_pool<eviction::lru> pool(
          {.page_bytes = paged_memory::page_bytes, .limit_pages = 1, .wait = 0s, .has_thread = false});
      const std::uint32_t number = pool.add(file);
      static_cast<void>(pool.pin({number, 0}));
      steps_before = step;
      at_step = [&] {
        static_cast<void>(pool.pin({number, 1}));
        static_cast<void>(pool.pin({number, 2}));
      };
      if (writes) {
        EXPECT_EQ(mark_of(pool.pin_to_write({number, 0}).bytes()).number, 0u) << "step " << step;
      } else {
        EXPECT_EQ(mark_of(pool.pin({number, 0}).bytes()).number, 0u) << "step " << step;
      }
      EXPECT_FALSE(at_step);
      EXPECT_EQ(pool.statistics().reads, 4u);
      // And nothing else was made dirty by that.
      EXPECT_EQ(pool.statistics().dirty_pages, writes ? 1u : 0u);
      EXPECT_EQ(pool.statistics().writes, 0u);
      pool.check();
    }
  }
}

}  // namespace
