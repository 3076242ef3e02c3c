// A page pool under many threads: readers that check each page's number and version, writers that raise the version,
// flushes, prefetching, memory that goes back, and a file that fails now and then. The last version that was written is
// the one that is read, by whomever, whenever, and never are there more frames than the limit.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <random>
#include <thread>
#include <vector>

#include <tenure/eviction.hpp>
#include <tenure/page_pool.hpp>

#include "paged_memory.h"

using namespace std::chrono_literals;

namespace tenure::test {
namespace {

constexpr std::size_t pages = 64;
constexpr unsigned threads_each = 16;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int rounds = 300;
#else
constexpr int rounds = 1500;
#endif

// Fails one in `one_in` reads and writes; never two reads of one page at a time.
class unreliable_file final : public page_file {
 public:
  explicit unreliable_file(unsigned one_in) : one_in_(one_in), memory_(pages) {}
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    std::atomic<int>& here = reading_[offset / paged_memory::page_bytes];
    EXPECT_EQ(here.fetch_add(1), 0) << "two reads of one page at a time";
    std::size_t got = 0;
    try {
      fail_sometimes();
      got = memory_.read(offset, into.first(std::min<std::size_t>(into.size(), 300)));
    } catch (...) {
      --here;
      throw;
    }
    --here;
    return got;
  }
  std::size_t write(std::uint64_t offset, std::span<const std::byte> from) override {
    std::atomic<int>& here = writing_[offset / paged_memory::page_bytes];
    EXPECT_EQ(here.fetch_add(1), 0) << "two writes of one page at a time";
    std::size_t put = 0;
    try {
      fail_sometimes();
      put = memory_.write(offset, from);
    } catch (...) {
      --here;
      throw;
    }
    --here;
    return put;
  }
  void sync() override { memory_.sync(); }
  const char* name() const noexcept override { return "unreliable"; }
  std::span<std::byte> page(std::uint64_t number) { return memory_.page(number); }
  void be_reliable() { one_in_ = 0; }

 private:
  void fail_sometimes() {
    const unsigned one_in = one_in_;
    if (one_in != 0 && requests_.fetch_add(1) % one_in == one_in - 1) {
      throw std::system_error(EIO, std::generic_category(), "injected");
    }
  }
  std::atomic<unsigned> one_in_;
  std::atomic<unsigned> requests_ = 0;
  paged_memory memory_;
  std::array<std::atomic<int>, pages> reading_{}, writing_{};
};

struct scene {
  page_pool_base& pool;
  std::uint32_t file;
  std::array<std::atomic<std::uint64_t>, pages> versions{};  // that were written and let go
};

void read_one(scene& of, std::uint64_t number) {
  const std::uint64_t least = of.versions[number].load();
  const pinned_page page = of.pool.pin({of.file, number});
  const page_mark mark = mark_of(page.bytes());
  ASSERT_EQ(mark.number, number);
  ASSERT_GE(mark.version, least);
  std::this_thread::yield();
  ASSERT_EQ(mark_of(page.bytes()).version, mark.version) << "changed while it was pinned";
  ASSERT_TRUE(is_whole(page.bytes()));
}

void write_one(scene& of, std::uint64_t number) {
  writable_page page = of.pool.pin_to_write({of.file, number});
  const page_mark mark = mark_of(page.bytes());
  ASSERT_EQ(mark.number, number);
  ASSERT_TRUE(is_whole(page.bytes()));
  ASSERT_EQ(mark.version, of.versions[number].load()) << "a version is lost";
  set_mark(page.bytes(), {number, mark.version + 1});
  of.versions[number].store(mark.version + 1);
}

void act(scene& of, std::mt19937_64& random) {
  // Some pages are asked for much more than others.
  const std::uint64_t number = random() % 3 == 0 ? random() % pages : random() % 6;
  switch (random() % 64) {
    case 0:
      of.pool.flush(0s);
      break;
    case 1:
      of.pool.trim(2 * paged_memory::page_bytes);
      break;
    case 2:
      of.pool.prefetch({of.file, number}, 2);
      break;
    case 3:
      static_cast<void>(of.pool.holders());
      static_cast<void>(of.pool.statistics());
      break;
    default:
      random() % 4 == 0 ? write_one(of, number) : read_one(of, number);
  }
}

template <class Policy>
void run(std::size_t limit, unsigned one_in, resource_checks checks) {
  const auto file = std::make_shared<unreliable_file>(one_in);
  page_pool<Policy> pool({.name = "stressed",
                          .page_bytes = paged_memory::page_bytes,
                          .limit_pages = limit,
                          .wait = 1h,
                          .before_write =
                              [](page_id page, std::span<const std::byte> bytes) {
                                EXPECT_EQ(mark_of(bytes).number, page.number);
                                return std::optional<std::uint64_t>(mark_of(bytes).version % 3);
                              },
                          .checks = checks});
  scene of{pool, pool.add(file)};
  std::atomic<std::uint64_t> failures = 0;
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < threads_each; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(thread);
      for (int i = 0; i < rounds; ++i) {
        try {
          act(of, random);
        } catch (const page_io_error&) {
          ++failures;
        }
      }
    });
  }
  for (std::thread& each : threads) each.join();
  pool.check();
  const page_pool_statistics told = pool.statistics();
  EXPECT_LE(told.peak_frames, limit);
  EXPECT_EQ(told.pinned_pages, 0u);
  EXPECT_GT(told.evictions, 0u);
  EXPECT_EQ(failures != 0, one_in != 0);
  file->be_reliable();
  pool.checkpoint();
  for (std::uint64_t number = 0; number < pages; ++number) {
    const page_mark mark = mark_of(file->page(number));
    EXPECT_EQ(mark.number, number);
    EXPECT_EQ(mark.version, of.versions[number].load()) << "page " << number;
  }
}

TEST(page_pool_stress, nothing_is_lost_or_mixed_up) { run<eviction::s3_fifo>(16, 0, resource_checks::off); }
TEST(page_pool_stress, with_two_frames) { run<eviction::lru>(2, 0, resource_checks::off); }
TEST(page_pool_stress, with_a_file_that_fails) { run<eviction::arc>(16, 7, resource_checks::off); }
TEST(page_pool_stress, with_checks_on) { run<eviction::clock>(8, 0, resource_checks::on); }

// All frames pinned again and again, by pins that wait: each of them gets its turn.
TEST(page_pool_stress, frames_go_from_hand_to_hand) {
  const auto file = std::make_shared<paged_memory>(pages);
  page_pool<> pool({.page_bytes = paged_memory::page_bytes, .limit_pages = 3, .wait = 1h});
  const std::uint32_t number = pool.add(file);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < threads_each; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 100; ++i) {
        const std::uint64_t wanted = (thread * 4 + i) % pages;
        const pinned_page page = pool.pin({number, wanted});
        EXPECT_EQ(mark_of(page.bytes()).number, wanted);
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_LE(pool.statistics().peak_frames, 3u);
  pool.check();
}

}  // namespace
}  // namespace tenure::test
