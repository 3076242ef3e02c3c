// A page pool as its users see it: pins and what stays, the limit, waits, prefetching, memory that goes
// back.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include <tenure/eviction.hpp>
#include <tenure/page_pool.hpp>

#include "paged_memory.h"

using namespace std::chrono_literals;

namespace tenure::test {
namespace {

constexpr std::size_t page_bytes = paged_memory::page_bytes;

page_pool_options options_of(std::size_t limit) {
  page_pool_options of;
  of.name = "tables";
  of.page_bytes = page_bytes;
  of.limit_pages = limit;
  of.wait = 0s;
  of.has_thread = false;
  of.checks = resource_checks::off;
  return of;
}

// A pool over one file in memory.
template <class Policy = eviction::lru>
struct pool_on_memory {
  explicit pool_on_memory(const page_pool_options& options, std::uint64_t pages = 100)
      : file(std::make_shared<paged_memory>(pages)), pool(options), number(pool.add(file)) {}
  page_id page(std::uint64_t of) const { return {number, of}; }
  bool is_here(std::uint64_t of) const {
    bool found = false;
    pool.for_each_resident([&](page_id one) { found = found || one == page(of); });
    return found;
  }
  std::shared_ptr<paged_memory> file;
  page_pool<Policy> pool;
  std::uint32_t number;
};

TEST(page_pool, gives_the_pages_of_its_files) {
  pool_on_memory<> of(options_of(4));
  const auto other = std::make_shared<paged_memory>(3);
  set_mark(other->page(2), {2, 77});
  const std::uint32_t second = of.pool.add(other);
  for (const std::uint64_t number : {0u, 99u, 2u, 0u, 50u, 51u, 52u, 53u, 0u}) {
    const pinned_page page = of.pool.pin(of.page(number));
    EXPECT_EQ(page.page(), of.page(number));
    EXPECT_EQ(page.bytes().size(), page_bytes);
    EXPECT_EQ(mark_of(page.bytes()).number, number);
  }
  EXPECT_EQ(mark_of(of.pool.pin({second, 2}).bytes()).version, 77u);
  const page_pool_statistics told = of.pool.statistics();
  EXPECT_EQ(told.hits, 1u);
  EXPECT_EQ(told.misses, 9u);
  EXPECT_EQ(told.resident_pages, 4u);
  EXPECT_EQ(told.peak_frames, 4u);
  of.pool.check();
}

TEST(page_pool, what_is_written_is_there_after_it_has_left) {
  pool_on_memory<> of(options_of(2));
  set_mark(of.pool.pin_to_write(of.page(7)).bytes(), {7, 1});
  EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  EXPECT_EQ(mark_of(of.file->page(7)).version, 0u);
  for (const std::uint64_t number : {1u, 2u, 3u}) EXPECT_TRUE(of.pool.pin(of.page(number)));
  EXPECT_FALSE(of.is_here(7));
  EXPECT_EQ(mark_of(of.file->page(7)).version, 1u);
  EXPECT_EQ(mark_of(of.pool.pin(of.page(7)).bytes()).version, 1u);
  EXPECT_EQ(of.pool.statistics().writes, 1u);
}

TEST(page_pool, creates_pages_of_zeros_without_a_read) {
  pool_on_memory<> of(options_of(2), 3);
  set_mark(of.pool.pin_to_write(of.page(0)).bytes(), {0, 1});
  set_mark(of.pool.pin_to_write(of.page(1)).bytes(), {1, 1});
  {
    const writable_page made = of.pool.create(of.page(10));
    for (const std::byte each : made.bytes()) ASSERT_EQ(each, std::byte{0});
  }
  EXPECT_EQ(of.file->reads.count(10), 0u);
  of.pool.flush();
  EXPECT_EQ(of.file->pages(), 11u);
  // One that is here already becomes new.
  set_mark(of.pool.pin_to_write(of.page(10)).bytes(), {10, 3});
  EXPECT_EQ(mark_of(of.pool.create(of.page(10)).bytes()).version, 0u);
}

TEST(page_pool, what_is_pinned_stays) {
  pool_on_memory<> of(options_of(3));
  const pinned_page held = of.pool.pin(of.page(0));
  const std::byte* const where = held.data();
  for (std::uint64_t number = 1; number < 50; ++number) EXPECT_TRUE(of.pool.pin(of.page(number)));
  EXPECT_EQ(held.data(), where);
  EXPECT_EQ(mark_of(held.bytes()).number, 0u);
  EXPECT_EQ(of.pool.pin(of.page(0)).data(), where);
  EXPECT_EQ(of.pool.statistics().peak_frames, 3u);
  of.pool.check();
}

TEST(page_pool, says_who_has_every_frame) {
  page_pool_options options = options_of(2);
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    options.checks = checks;
    pool_on_memory<> of(options);
    const pinned_page first = of.pool.pin(of.page(3));
    const pinned_page again = of.pool.pin(of.page(3));
    const writable_page second = of.pool.pin_to_write(of.page(5));
    try {
      static_cast<void>(of.pool.pin(of.page(6)));
      FAIL() << "a third frame";
    } catch (const page_unavailable& error) {
      EXPECT_EQ(error.why(), page_unavailable::cause::frames_are_pinned);
      EXPECT_EQ(error.page(), of.page(6));
      const std::string what = error.what();
      EXPECT_NE(what.find("page pool \"tables\": no frame for page 6 of memory within 0 s: all 2 are pinned"),
                std::string::npos)
          << what;
      EXPECT_NE(what.find("page 5 of memory by a writer"), std::string::npos) << what;
      std::uint64_t pins = 0;
      for (const page_holder& each : error.holders()) {
        EXPECT_GT(each.site.frame_count, 0u);
        EXPECT_EQ(each.thread != 0, checks == resource_checks::on);
        pins += each.pins;
      }
      EXPECT_EQ(pins, 3u);
      EXPECT_EQ(what.find("this thread has 3 of them itself") != std::string::npos, checks == resource_checks::on)
          << what;
    }
    EXPECT_EQ(of.pool.statistics().exhaustions, 1u);
    EXPECT_EQ(of.pool.holders().size(), checks == resource_checks::on ? 3u : 2u);
    of.pool.check();
    // Nothing was lost by that.
    EXPECT_EQ(mark_of(first.bytes()).number, 3u);
    EXPECT_EQ(of.pool.pin(of.page(3)).data(), again.data());
  }
}

TEST(page_pool, a_pin_waits_for_a_frame_as_long_as_it_is_told) {
  pool_on_memory<> of(options_of(1));
  pinned_page held = of.pool.pin(of.page(0));
  std::atomic<bool> is_waiting = false;
  std::thread other([&] {
    is_waiting = true;
    EXPECT_EQ(mark_of(of.pool.pin(of.page(1), 1h).bytes()).number, 1u);
  });
  while (!is_waiting) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);
  held.reset();
  other.join();
  EXPECT_FALSE(of.is_here(0));

  // By a clock of our own: it gives up when the time is over, and not before.
  page_pool_options options = options_of(1);
  std::atomic<std::int64_t> now = 0;
  std::atomic<int> looks = 0;
  options.clock = [&] {
    now += 1'000'000'000;
    ++looks;
    return std::chrono::nanoseconds(now);
  };
  pool_on_memory<> timed(options);
  const pinned_page all = timed.pool.pin(timed.page(0));
  EXPECT_THROW(static_cast<void>(timed.pool.pin(timed.page(1), 10s)), page_unavailable);
  EXPECT_GE(looks, 10);
}

// Who joins a pin that waits for a frame waits no longer than it may itself.
TEST(page_pool, the_patience_of_one_is_not_that_of_another) {
  pool_on_memory<> of(options_of(1));
  pinned_page held = of.pool.pin(of.page(0));
  std::thread other([&] { EXPECT_EQ(mark_of(of.pool.pin(of.page(1), 1h).bytes()).number, 1u); });
  // Until it waits, whoever asks for the page is refused as the first to ask.
  while (of.pool.statistics().joined == 0) {
    EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(1))), page_unavailable);
  }
  EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(1), 1ms)), page_unavailable);
  held.reset();
  other.join();
  of.pool.check();
}

// The hits on a pinned page that nobody but the waiting thread wants to go take it back into the policy; its end is
// heard of all the same.
TEST(page_pool, a_pin_that_waits_hears_of_a_frame_that_was_asked_for_meanwhile) {
  page_pool_options options = options_of(4);
  options.wait = 60s;
  pool_on_memory<> of(options);
  std::vector<pinned_page> held;
  for (std::uint64_t number = 0; number < 4; ++number) held.push_back(of.pool.pin(of.page(number)));
  std::thread waits([&] { EXPECT_EQ(mark_of(of.pool.pin(of.page(9)).bytes()).number, 9u); });
  std::this_thread::sleep_for(50ms);
  for (int i = 0; i < 100; ++i) static_cast<void>(of.pool.pin(of.page(0)));
  held[0].reset();
  waits.join();
  of.pool.check();
}

TEST(page_pool, a_lower_limit_holds_for_dirty_pages_when_they_are_written) {
  pool_on_memory<> of(options_of(8));
  {
    std::vector<writable_page> held;
    for (std::uint64_t number = 0; number < 8; ++number) held.push_back(of.pool.pin_to_write(of.page(number)));
    of.pool.set_limit(3);
  }
  EXPECT_EQ(of.pool.flush().written, 8u);
  EXPECT_EQ(of.pool.statistics().frames, 3u);
  of.pool.check();
}

TEST(page_pool, page_numbers_end_where_offsets_do) {
  page_pool_options options = options_of(4);
  options.page_bytes = std::size_t{1} << 20;
  pool_on_memory<> of(options);
  constexpr std::uint64_t last = (std::uint64_t{1} << 43) - 2;
  for (const std::uint64_t number : {std::uint64_t{1} << 44, (std::uint64_t{1} << 48) - 1, last + 1}) {
    EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(number))), std::invalid_argument) << number;
    EXPECT_THROW(static_cast<void>(of.pool.create(of.page(number))), std::invalid_argument) << number;
  }
  EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(last))), page_io_error);
}

// Where the thread that prefetches is not.
TEST(page_pool, goes_on_and_ends_in_a_process_that_was_forked) {
  page_pool_options options = options_of(8);
  options.has_thread = true;
  auto of = std::make_unique<pool_on_memory<>>(options);
  EXPECT_EQ(of->pool.prefetch(of->page(5), 1), 1u);
  while (of->pool.statistics().prefetches == 0) std::this_thread::yield();
  for (const bool uses_it : {false, true}) {
#ifdef __SANITIZE_THREAD__
    if (uses_it) continue;  // which lets no forked process have threads
#endif
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(60);
      bool is_right = mark_of(of->pool.pin(of->page(5)).bytes()).number == 5;
      if (uses_it) {
        is_right = is_right && of->pool.prefetch(of->page(7), 1) == 1;
        while (of->pool.statistics().prefetches < 2) std::this_thread::yield();
      }
      of.reset();
      ::_exit(is_right ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST(page_pool, prefetching_ends_with_the_file_and_not_in_the_next) {
  pool_on_memory<> of(options_of(4));
  const auto next = std::make_shared<paged_memory>(3);
  const std::uint32_t number = of.pool.add(next);
  EXPECT_LE(of.pool.prefetch(of.page((std::uint64_t{1} << 48) - 1), 2), 1u);
  EXPECT_TRUE(next->reads.empty());
  EXPECT_FALSE(of.pool.try_pin({number, 0}));
}

TEST(page_pool, a_writer_is_alone) {
  pool_on_memory<> of(options_of(4));
  {
    const writable_page alone = of.pool.pin_to_write(of.page(1));
    EXPECT_FALSE(of.pool.try_pin(of.page(1)));
    EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(1))), page_unavailable);
    try {
      static_cast<void>(of.pool.pin_to_write(of.page(1)));
      FAIL() << "two writers";
    } catch (const page_unavailable& error) {
      EXPECT_EQ(error.why(), page_unavailable::cause::page_is_in_use);
      ASSERT_EQ(error.holders().size(), 1u);
      EXPECT_TRUE(error.holders()[0].is_writer);
    }
  }
  const pinned_page one = of.pool.pin(of.page(1));
  const pinned_page other = of.pool.try_pin(of.page(1));
  EXPECT_EQ(one.data(), other.data());
  EXPECT_THROW(static_cast<void>(of.pool.pin_to_write(of.page(1))), page_unavailable);
  EXPECT_FALSE(of.pool.try_pin(of.page(2)));  // is not here
}

TEST(page_pool, readers_and_writers_wait_for_each_other) {
  pool_on_memory<> of(options_of(4));
  writable_page alone = of.pool.pin_to_write(of.page(1));
  std::thread reader([&] { EXPECT_EQ(mark_of(of.pool.pin(of.page(1), 1h).bytes()).version, 9u); });
  std::thread writer([&] { set_mark(of.pool.pin_to_write(of.page(1), 1h).bytes(), {1, 9}); });
  set_mark(alone.bytes(), {1, 9});
  std::this_thread::sleep_for(2ms);
  alone.reset();
  reader.join();
  writer.join();
}

TEST(page_pool, pins_of_one_missing_page_do_one_read) {
  pool_on_memory<> of(options_of(4));
  std::atomic<int> arrived = 0;
  of.file->on_read = [&](std::uint64_t) {
    // The read takes until all others wait for it, or would have begun their own.
    while (of.pool.statistics().joined < 7) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      ++arrived;
      EXPECT_EQ(mark_of(of.pool.pin(of.page(5)).bytes()).number, 5u);
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(of.file->reads[5], 1u);
  EXPECT_EQ(of.pool.statistics().misses, 1u);
  EXPECT_EQ(of.pool.statistics().hits, 7u);
}

// 40 pages asked for five times over, a scan of 1900 others through 50 frames, and the 40 again: how many are here
// still. The numbers are those of the policies' simulations on the same requests.
template <class Policy>
std::uint64_t hot_hits_after_a_scan() {
  pool_on_memory<Policy> of(options_of(50), 2000);
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t hot = 0; hot < 40; ++hot) static_cast<void>(of.pool.pin(of.page(hot)));
  }
  for (std::uint64_t number = 100; number < 2000; ++number) static_cast<void>(of.pool.pin(of.page(number)));
  const std::uint64_t before = of.pool.statistics().hits;
  for (std::uint64_t hot = 0; hot < 40; ++hot) static_cast<void>(of.pool.pin(of.page(hot)));
  of.pool.check();
  return of.pool.statistics().hits - before;
}

TEST(page_pool, a_scan_does_not_push_out_what_is_hot) {
  EXPECT_EQ(hot_hits_after_a_scan<eviction::s3_fifo>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::sieve>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::lirs>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::arc>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::lfu>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::lru_k>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::adaptive>(), 40u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::w_tiny_lfu>(), 36u);
  // No resistance: what they are for is something else.
  EXPECT_EQ(hot_hits_after_a_scan<eviction::lru>(), 0u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::fifo>(), 0u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::clock>(), 0u);
  EXPECT_EQ(hot_hits_after_a_scan<eviction::two_queue>(), 0u);  // what leaves its queue once comes into its main part
}

TEST(page_pool, prefetched_pages_are_there_and_are_few) {
  page_pool_options options = options_of(50);
  options.prefetch_pages = 5;
  pool_on_memory<> of(options, 2000);
  EXPECT_EQ(of.pool.prefetch(of.page(10), 3), 3u);
  EXPECT_EQ(of.pool.statistics().unused_prefetched_pages, 3u);
  EXPECT_EQ(mark_of(of.pool.pin(of.page(11)).bytes()).number, 11u);
  EXPECT_EQ(of.pool.statistics().hits, 1u);
  EXPECT_EQ(of.pool.statistics().prefetch_hits, 1u);
  EXPECT_EQ(mark_of(of.pool.try_pin(of.page(12)).bytes()).number, 12u);
  EXPECT_EQ(of.pool.statistics().prefetch_hits, 2u);
  // Hot pages, and pinned ones, in every other frame: prefetching takes no more than its own.
  const pinned_page held = of.pool.pin(of.page(0));
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t hot = 1000; hot < 1044; ++hot) static_cast<void>(of.pool.pin(of.page(hot)));
  }
  for (std::uint64_t number = 100; number < 900; ++number) {
    EXPECT_EQ(of.pool.prefetch(of.page(number), 1), 1u);
    ASSERT_LE(of.pool.statistics().unused_prefetched_pages, 5u);
  }
  EXPECT_EQ(of.pool.prefetch(of.page(1500), 100), 5u);  // as many as there is room for
  const std::uint64_t before = of.pool.statistics().misses;
  for (std::uint64_t hot = 1000; hot < 1044; ++hot) static_cast<void>(of.pool.pin(of.page(hot)));
  EXPECT_EQ(of.pool.statistics().misses, before);
  EXPECT_EQ(mark_of(held.bytes()).number, 0u);
  EXPECT_EQ(of.pool.statistics().peak_frames, 50u);
  of.pool.check();
}

TEST(page_pool, a_thread_prefetches) {
  page_pool_options options = options_of(32);
  options.has_thread = true;
  pool_on_memory<> of(options);
  EXPECT_EQ(of.pool.prefetch(of.page(3), 2), 2u);
  while (of.pool.statistics().prefetches < 2) std::this_thread::yield();
  static_cast<void>(of.pool.pin(of.page(4)));
  EXPECT_EQ(of.pool.statistics().misses, 0u);
  EXPECT_EQ(of.pool.prefetch(of.page(99), 2), 2u);  // the second lies beyond the end
  EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(100))), page_io_error);
}

TEST(page_pool, memory_goes_back) {
  account parent("above");
  page_pool_options options = options_of(20);
  options.parent = &parent;
  pool_on_memory<> of(options);
  const std::uint64_t empty = parent.statistics().held_bytes;
  EXPECT_EQ(empty, of.pool.statistics().held_bytes);
  for (std::uint64_t number = 0; number < 20; ++number) {
    set_mark(of.pool.pin_to_write(of.page(number)).bytes(), {number, 1});
  }
  EXPECT_EQ(parent.statistics().held_bytes, empty + 20 * page_bytes);
  EXPECT_EQ(of.pool.statistics().held_bytes, empty + 20 * page_bytes);
  EXPECT_EQ(of.pool.trim(3 * page_bytes), 3 * page_bytes);
  EXPECT_EQ(parent.statistics().held_bytes, empty + 17 * page_bytes);
  {
    const pinned_page held = of.pool.pin(of.page(19));
    of.pool.set_limit(2);
    EXPECT_EQ(of.pool.statistics().frames, 2u);
    EXPECT_EQ(of.pool.trim(), page_bytes);
    EXPECT_EQ(mark_of(held.bytes()).version, 1u);
  }
  for (std::uint64_t number = 0; number < 20; ++number)
    EXPECT_EQ(mark_of(of.pool.pin(of.page(number)).bytes()).version, 1u);
  EXPECT_EQ(of.pool.statistics().frames, 2u);
  of.pool.check();
  EXPECT_THROW(of.pool.set_limit(21), std::invalid_argument);
  EXPECT_THROW(of.pool.set_limit(0), std::invalid_argument);
}

TEST(page_pool, a_lower_limit_is_met_when_pins_end) {
  pool_on_memory<> of(options_of(8));
  std::vector<pinned_page> held;
  for (std::uint64_t number = 0; number < 8; ++number) held.push_back(of.pool.pin(of.page(number)));
  of.pool.set_limit(3);
  EXPECT_EQ(of.pool.statistics().frames, 8u);
  held.erase(held.begin(), held.begin() + 6);
  EXPECT_EQ(of.pool.statistics().frames, 3u);
  held.clear();
  of.pool.check();
}

TEST(page_pool, pressure_takes_clean_pages) {
  account parent("above");
  page_pool_options options = options_of(20);
  options.parent = &parent;
  pool_on_memory<> of(options);
  for (std::uint64_t number = 0; number < 20; ++number) static_cast<void>(of.pool.pin(of.page(number)));
  set_mark(of.pool.pin_to_write(of.page(3)).bytes(), {3, 1});
  const pinned_page held = of.pool.pin(of.page(4));
  parent.set_limits({.hard_bytes = parent.statistics().held_bytes});
  ASSERT_TRUE(parent.try_charge(18 * page_bytes));
  parent.release(18 * page_bytes);
  EXPECT_TRUE(of.is_here(3));
  EXPECT_TRUE(of.is_here(4));
  EXPECT_EQ(of.pool.statistics().writes, 0u);
  of.pool.check();
}

TEST(page_pool, at_the_limit_of_its_account_it_does_with_what_it_has) {
  account parent("above");
  page_pool_options options = options_of(20);
  options.parent = &parent;
  pool_on_memory<> of(options);
  parent.set_limits({.hard_bytes = parent.statistics().held_bytes + 3 * page_bytes});
  for (std::uint64_t number = 0; number < 20; ++number) {
    EXPECT_EQ(mark_of(of.pool.pin(of.page(number)).bytes()).number, number);
  }
  EXPECT_LE(of.pool.statistics().peak_frames, 3u);
  std::vector<pinned_page> held;
  for (std::uint64_t number = 0; number < 3; ++number) held.push_back(of.pool.pin(of.page(number)));
  EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(9))), std::bad_alloc);
  of.pool.check();
}

TEST(page_pool, files_come_and_go) {
  pool_on_memory<> of(options_of(4));
  const auto other = std::make_shared<paged_memory>(3);
  const std::uint32_t second = of.pool.add(other);
  set_mark(of.pool.pin_to_write({second, 1}).bytes(), {1, 5});
  {
    const pinned_page held = of.pool.pin({second, 1});
    EXPECT_THROW(of.pool.remove(second), std::logic_error);
  }
  of.pool.remove(second);
  EXPECT_EQ(mark_of(other->page(1)).version, 5u);
  EXPECT_EQ(other.use_count(), 1);
  EXPECT_THROW(static_cast<void>(of.pool.pin({second, 1})), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(of.pool.pin({77, 1})), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(of.pool.prefetch({77, 1}, 1)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(of.pool.pin(of.page(std::uint64_t{1} << 48))), std::invalid_argument);
  of.pool.check();
}

TEST(page_pool, refuses_options_that_cannot_be) {
  EXPECT_THROW(page_pool<>({.page_bytes = 1000}), std::invalid_argument);
  EXPECT_THROW(page_pool<>({.page_bytes = 256}), std::invalid_argument);
  EXPECT_THROW(page_pool<>({.limit_pages = 0}), std::invalid_argument);
  EXPECT_THROW(page_pool<>({.limit_pages = 4, .prefetch_pages = 5}), std::invalid_argument);
}

// --- misuse

TEST(page_pool, a_pin_is_a_word_and_a_handle_again) {
  pool_on_memory<> of(options_of(1));
  void* const word = of.pool.pin(of.page(1)).release();
  EXPECT_EQ(of.pool.statistics().pinned_pages, 1u);
  pinned_page again = pinned_page::adopt(word);
  EXPECT_EQ(mark_of(again.bytes()).number, 1u);
  void* const other = again.release();
  EXPECT_NE(other, word);
  of.pool.unpin(other);
  EXPECT_EQ(of.pool.statistics().pinned_pages, 0u);
  EXPECT_EQ(of.pool.statistics().frames, 1u);
  of.pool.unpin(nullptr);
  EXPECT_FALSE(pinned_page::adopt(nullptr));
}

TEST(page_pool_misuse, a_second_unpin_is_told_with_both_places) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    page_pool_options options = options_of(2);
    options.checks = checks;
    pool_on_memory<> of(options);
    void* const word = of.pool.pin(of.page(1)).release();
    of.pool.unpin(word);
    EXPECT_DEATH(of.pool.unpin(word),
                 "second unpin of page 1 of memory: .*page pool \"tables\"(.|\n)*pinned\n(.|\n)*ended first\n(.|\n)*"
                 "ended again\n");
    EXPECT_DEATH(of.pool.unpin(&of), "unpin of a word that stands for no pin");
  }
}

TEST(page_pool_misuse, a_page_of_another_pool_is_known_as_such) {
  pool_on_memory<> of(options_of(2));
  page_pool_options options = options_of(2);
  options.name = "others";
  pool_on_memory<> other(options);
  void* const word = other.pool.pin(other.page(9)).release();
  EXPECT_DEATH(of.pool.unpin(word),
               "unpin, in another pool, of page 9 of memory: .*page pool \"others\"(.|\n)*pinned\n");
  EXPECT_DEATH(static_cast<void>(writable_page::adopt(word)), "adopt as a writer's, which it is not, of page 9");
  other.pool.unpin(word);
}

TEST(page_pool_misuse, a_pool_that_ends_says_who_has_its_pages) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    page_pool_options options = options_of(2);
    options.checks = checks;
    EXPECT_DEATH(
        {
          pinned_page left;
          pool_on_memory<> of(options);
          left = of.pool.pin(of.page(1));
          const pinned_page second = of.pool.pin(of.page(1));
          static_cast<void>(new pinned_page(of.pool.pin(of.page(1))));
        },
        "pool destroyed with 2 pins, the first of them of page 1 of memory: .*page pool \"tables\"(.|\n)*pinned\n"
        "(.|\n)*destroyed\n");
  }
}

TEST(page_pool, tells_its_holders_on_standard_error) {
  page_pool_options options = options_of(4);
  options.checks = resource_checks::on;
  pool_on_memory<> of(options);
  const writable_page one = of.pool.pin_to_write(of.page(1));
  const pinned_page two = of.pool.pin(of.page(2));
  testing::internal::CaptureStderr();
  EXPECT_EQ(of.pool.report_holders(), 2u);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("page 1 of memory has a writer, by thread "), std::string::npos) << told;
  EXPECT_NE(told.find("page 2 of memory has 1 pin, by thread "), std::string::npos) << told;
  EXPECT_NE(told.find("page_pool_test"), std::string::npos) << told;
}

}  // namespace
}  // namespace tenure::test
