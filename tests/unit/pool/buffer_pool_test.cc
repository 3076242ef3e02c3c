// Buffer pools: sizes, slices, what is kept and for how long, limits, what small slices pin, misuse.
#include <gtest/gtest.h>
#include <pthread.h>
#include <tenure/buffer_pool.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

buffer_pool_options options(std::pmr::memory_resource* upstream = nullptr) {
  buffer_pool_options of;
  of.name = "network";
  of.has_thread = false;
  of.checks = resource_checks::off;
  of.upstream = upstream;
  return of;
}

buffer_slice write(buffer_pool& pool, std::string_view text) {
  buffer_lease lease = pool.take(text.size());
  std::memcpy(lease.data(), text.data(), text.size());
  return std::move(lease).share(text.size());
}

TEST(BufferPool, GivesAtLeastWhatIsAskedFor) {
  buffer_pool pool(options());
  std::mt19937_64 dice(1);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t bytes = dice() % (std::size_t{1} << (dice() % 22));
    const buffer_lease one = pool.take(bytes);
    ASSERT_GE(one.size(), std::max<std::size_t>(bytes, 1));
    if (bytes <= 1 << 20) {
      ASSERT_EQ(one.size() & (one.size() - 1), 0u);
      ASSERT_LE(one.size(), std::max<std::size_t>(2 * bytes, 512));
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(one.data()) % std::min<std::size_t>(one.size(), 4096), 0u);
    } else {
      ASSERT_EQ(one.size(), bytes);
    }
    std::memset(one.data(), i, one.size());
  }
  pool.check();
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
}

TEST(BufferPool, AsksTheUpstreamForNothingOnceItIsWarm) {
  counting_upstream upstream;
  {
    buffer_pool pool(options(&upstream));
    const auto round = [&] {
      std::vector<buffer_lease> all;
      for (std::size_t i = 0; i < 50; ++i) all.push_back(pool.take(512u << (i % 8)));
    };
    round();
    const auto made = pool.statistics().made;
    EXPECT_EQ(made, 50u);
    for (int i = 0; i < 10; ++i) round();
    EXPECT_EQ(pool.statistics().made, made);
    EXPECT_EQ(pool.statistics().takes, 550u);
    pool.check();
  }
}

TEST(BufferPool, TheLastSliceReturnsTheBuffer) {
  buffer_pool pool(options());
  buffer_slice part;
  {
    buffer_lease lease = pool.take(4096);
    std::memcpy(lease.data(), "GET / HTTP/1.1", 14);
    const buffer_slice line = lease.slice(0, 14);
    lease.reset();
    part = line.slice(4, 1);
    EXPECT_EQ(line.text(), "GET / HTTP/1.1");
  }
  EXPECT_EQ(part.text(), "/");
  EXPECT_EQ(pool.statistics().used_bytes, 4096u);
  const buffer_slice copy = part;
  part.reset();
  EXPECT_EQ(copy.text(), "/");
  EXPECT_TRUE(part.empty());
  EXPECT_EQ(pool.statistics().used_buffers, 1u);
  std::thread([last = copy]() mutable { last.reset(); }).join();
  EXPECT_EQ(pool.statistics().used_buffers, 1u);
  const_cast<buffer_slice&>(copy).reset();
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
  EXPECT_EQ(pool.statistics().kept_bytes, 4096u);
  pool.check();
}

TEST(BufferPool, SlicesAreSplit) {
  buffer_pool pool(options());
  buffer_slice rest = write(pool, "one,two,three");
  EXPECT_EQ(rest.split_front(4).text(), "one,");
  const buffer_slice two = rest.split_front(4);
  EXPECT_EQ(two.text(), "two,");
  EXPECT_EQ(rest.text(), "three");
  EXPECT_TRUE(rest.split_front(0).empty());
  EXPECT_EQ(rest.split_front(5).text(), "three");
  EXPECT_TRUE(rest.empty());
  EXPECT_THROW(static_cast<void>(two.slice(0, 5)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(two.slice(5, 0)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(two.slice(1, ~std::size_t{0})), std::out_of_range);
  EXPECT_THROW(static_cast<void>(rest.split_front(1)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(buffer_slice().slice(0, 1)), std::out_of_range);
  EXPECT_TRUE(buffer_slice().slice(0, 0).empty());
  EXPECT_THROW(static_cast<void>(buffer_lease().slice(0, 1)), std::out_of_range);
  try {
    static_cast<void>(two.slice(2, 3));
    FAIL();
  } catch (const std::out_of_range& why) {
    EXPECT_STREQ(why.what(), "tenure::buffer_slice: 3 bytes at 2 of 4, buffer pool \"network\"");
  }
}

TEST(BufferPool, NeverKeepsMoreThanItMay) {
  auto of = options();
  of.keep_bytes = 64 << 10;
  buffer_pool pool(of);
  for (int round = 0; round < 3; ++round) {
    std::vector<buffer_lease> all;
    for (int i = 0; i < 100; ++i) all.push_back(pool.take(4096));
    all.clear();
    EXPECT_EQ(pool.statistics().kept_bytes, 64u << 10);
    EXPECT_EQ(pool.statistics().dropped, 84u * (static_cast<std::uint64_t>(round) + 1));
    pool.check();
  }
  // Other threads have shards of their own and the same bound.
  for (int i = 0; i < 10; ++i) std::thread([&] { static_cast<void>(pool.take(32 << 10)); }).join();
  EXPECT_EQ(pool.statistics().kept_bytes, 64u << 10);
  auto none = options();
  none.keep_bytes = 0;
  buffer_pool keeps_nothing(none);
  static_cast<void>(keeps_nothing.take(100));
  EXPECT_EQ(keeps_nothing.statistics().kept_bytes, 0u);
  keeps_nothing.check();
}

TEST(BufferPool, WhatNobodyNeedsGoes) {
  buffer_pool pool(options());
  {
    std::vector<buffer_lease> burst;
    for (int i = 0; i < 100; ++i) burst.push_back(pool.take(4096));
  }
  EXPECT_EQ(pool.maintain(), 0u) << "they have just come back";
  {
    std::vector<buffer_lease> some;
    for (int i = 0; i < 30; ++i) some.push_back(pool.take(4096));
  }
  EXPECT_EQ(pool.maintain(), 70u * 4096) << "thirty were needed";
  EXPECT_EQ(pool.statistics().kept_bytes, 30u * 4096);
  EXPECT_EQ(pool.maintain(), 30u * 4096);
  EXPECT_EQ(pool.statistics().decayed, 100u);
  pool.check();
}

TEST(BufferPool, ItsThreadSeesToThat) {
  buffer_pool pool({.keep_for = std::chrono::milliseconds(5)});
  static_cast<void>(pool.take(4096));
  while (pool.statistics().kept_bytes != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(pool.statistics().decayed, 1u);
}

TEST(BufferPool, WhatOthersTakeAwayDoesNotCountAsNeeded) {
  buffer_pool pool(options());
  const auto need = [&](int buffers) {
    std::vector<buffer_lease> all;
    for (int i = 0; i < buffers; ++i) all.push_back(pool.take(4096));
  };
  static_cast<void>(pool.take(512));
  need(100);
  pool.maintain();
  need(100);
  EXPECT_EQ(tenure_relieve_pressure(1), 512u);
  EXPECT_EQ(pool.maintain(), 0u) << "all hundred were needed, and pressure took none of them";
  need(30);
  EXPECT_EQ(tenure_relieve_pressure(50 * 4096), 50u * 4096);
  EXPECT_EQ(pool.maintain(), 20u * 4096) << "thirty were needed, and fifty of the others are gone";
  EXPECT_EQ(pool.statistics().kept_bytes, 30u * 4096);
  EXPECT_EQ(pool.trim(), 30u * 4096);
  EXPECT_EQ(pool.maintain(), 0u);
  pool.check();
}

TEST(BufferPool, MayKeepForEver) {
  using std::chrono::nanoseconds;
  for (const nanoseconds for_ever : {nanoseconds::max(), nanoseconds::max() - std::chrono::hours(1), nanoseconds()}) {
    buffer_pool pool({.keep_for = for_ever});
    static_cast<void>(pool.take(4096));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(pool.statistics().kept_bytes, 4096u);
    EXPECT_EQ(pool.statistics().decayed, 0u);
  }
}

TEST(BufferPool, LeavesNothingChargedWhereItsThreadCannotStart) {
  const tenure::account server("server");
  pthread_attr_t usual, too_large;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&too_large), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&too_large, std::size_t{1} << 47), 0);
  ASSERT_EQ(pthread_setattr_default_np(&too_large), 0);
  EXPECT_THROW(buffer_pool({.name = "threadless", .parent = &server}), std::system_error);
  EXPECT_EQ(pthread_setattr_default_np(&usual), 0);
  EXPECT_EQ(server.statistics().held_bytes, 0u);
  pthread_attr_destroy(&too_large);
  pthread_attr_destroy(&usual);
}

TEST(BufferPool, HoldsNoMoreThanItsLimit) {
  auto of = options();
  of.name = "limited";  // peaks are kept by name
  buffer_pool pool(of);
  static_cast<void>(pool.take(512 << 10));
  const std::uint64_t own = pool.statistics().held_bytes - (512 << 10);
  pool.set_limits({.hard_bytes = own + (1 << 20)});
  // What is kept in another size makes room.
  const buffer_lease whole = pool.take(1 << 20);
  EXPECT_EQ(pool.statistics().kept_bytes, 0u);
  EXPECT_THROW(static_cast<void>(pool.take(1)), std::bad_alloc);
  EXPECT_EQ(pool.statistics().held_bytes, own + (1 << 20));
  EXPECT_LE(pool.statistics().peak_held_bytes, own + (1 << 20));
  EXPECT_GE(pool.statistics().refusals, 1u);
  pool.check();
}

TEST(BufferPool, GivesWayUnderPressure) {
  buffer_pool pool(options());
  {
    std::vector<buffer_lease> all;
    for (int i = 0; i < 10; ++i) all.push_back(pool.take(64 << 10));
  }
  EXPECT_EQ(tenure_relieve_pressure(100'000), 128u << 10) << "two buffers, and no more";
  EXPECT_EQ(pool.statistics().kept_bytes, 512u << 10);
  EXPECT_EQ(pool.trim(), 512u << 10);
  pool.check();
}

TEST(BufferPool, IsInTheLedger) {
  tenure::account server("server");
  auto of = options();
  of.parent = &server;
  buffer_pool pool(of);
  std::vector<buffer_lease> all;
  for (int i = 0; i < 64; ++i) all.push_back(pool.take(1000));
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(pool.account(), &figures), 1);
  EXPECT_STREQ(figures.name, "network");
  EXPECT_STREQ(figures.kind, "buffer pool");
  EXPECT_EQ(figures.held_bytes, pool.statistics().held_bytes);
  EXPECT_GE(figures.held_bytes, 64u * 1024);
  EXPECT_EQ(figures.used_bytes, 64u * 1024);
  EXPECT_EQ(figures.used_blocks, 64u);
  EXPECT_EQ(figures.allocations, 64u);
  EXPECT_EQ(server.statistics().held_bytes, figures.held_bytes);
  std::uint64_t live = 0;
  pool.for_each_live([&](const live_block& one) { live += one.bytes; });
  EXPECT_EQ(live, 64u * 1024);
}

// What other threads give back is counted off where it was counted: neither figures nor account fall below what is in
// use.
TEST(BufferPool, CountsWhatOtherThreadsGiveBack) {
  const auto account_of = [](const buffer_pool& pool) {
    tenure_account_stats figures{};
    figures.struct_size = sizeof figures;
    EXPECT_EQ(tenure_account_statistics(pool.account(), &figures), 1);
    return figures;
  };
  auto of = options();
  of.name = "elsewhere";
  buffer_pool pool(of);
  std::vector<buffer_lease> all;
  for (int i = 0; i < 63; ++i) all.push_back(pool.take(16 << 10));
  std::thread([&] {
    all.push_back(pool.take(16 << 10));
    all.clear();
  }).join();
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
  EXPECT_LE(account_of(pool).used_bytes, 64u * (16 << 10));
  EXPECT_LE(account_of(pool).used_blocks, 64u);
  EXPECT_LE(account_of(pool).peak_used_bytes, 64u * (16 << 10));
  pool.check();
}

[[gnu::noinline]] buffer_lease take_here(buffer_pool& pool) {
  buffer_lease taken = pool.take(64 << 10);
  std::memset(taken.data(), 'x', 1000);
  return taken;
}
[[gnu::noinline]] buffer_slice slice_here(const buffer_slice& of) {
  buffer_slice part = of.slice(0, 100);
  EXPECT_EQ(part.size(), 100u);
  return part;
}

TEST(BufferPool, TellsWhatSmallSlicesPin) {
  for (const auto checks : {resource_checks::off, resource_checks::on}) {
    auto of = options();
    of.checks = checks;
    buffer_pool pool(of);
    std::vector<buffer_slice> small;
    for (int i = 0; i < 3; ++i) {
      const buffer_slice whole = take_here(pool).share(64 << 10);
      EXPECT_TRUE(pool.pinned().size() == (i == 0 ? 0u : 1u)) << "all of it is named";
      small.push_back(slice_here(whole));
      small.push_back(small.back());
    }
    const buffer_lease leased = take_here(pool);
    const buffer_slice of_leased = leased.slice(0, 10);
    const auto all = pool.pinned();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].buffers, 3u);
    EXPECT_EQ(all[0].slices, 6u);
    EXPECT_EQ(all[0].held_bytes, 3u * (64 << 10));
    EXPECT_GE(all[0].named_bytes, 6u * 100);
    EXPECT_LE(all[0].named_bytes, 6u * (100 + 16));
    EXPECT_EQ(all[0].pinned_bytes, all[0].held_bytes - all[0].named_bytes);
    EXPECT_EQ(all[0].taken.frame_count == 1, checks == resource_checks::off);
    EXPECT_GE(all[0].taken.frame_count, 1u);
    EXPECT_GE(all[0].sliced.frame_count, 1u);
    // The call lies in the function that made it.
    if (checks == resource_checks::off) {
      EXPECT_LT(all[0].taken.frames[0] - reinterpret_cast<std::uintptr_t>(&take_here), 4096u);
      EXPECT_LT(all[0].sliced.frames[0] - reinterpret_cast<std::uintptr_t>(&slice_here), 4096u);
    }
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(pool.report_pinned(), all[0].pinned_bytes);
    const std::string told = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find(" bytes pinned: 3 buffers of 196608 bytes, of which 6 slices name "), std::string::npos)
        << told;
    EXPECT_NE(told.find("buffer pool \"network\""), std::string::npos) << told;
    EXPECT_NE(told.find("taken\n      at 0x"), std::string::npos) << told;
    EXPECT_NE(told.find("last sliced\n      at 0x"), std::string::npos) << told;
    small.clear();
    EXPECT_TRUE(pool.pinned().empty());
  }
}

TEST(BufferPool, ALeaseMayBeAWordForAWhile) {
  buffer_pool pool(options());
  buffer_lease lease = pool.take(100);
  std::byte* const data = lease.data();
  void* const word = lease.release();
  EXPECT_FALSE(lease);
  EXPECT_EQ(pool.statistics().used_buffers, 1u);
  {
    const buffer_lease again = buffer_lease::adopt(word);
    EXPECT_EQ(again.data(), data);
    EXPECT_DEATH(static_cast<void>(buffer_lease::adopt(word)),
                 "adopt of a word that stands for no lease, or no longer: 0x.*type "
                 "\"tenure::buffer_lease\"(.|\n)*adopted\n(.|\n)*at 0x");
  }
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
  // Also when the buffer is another one's word by now.
  void* const other = pool.take(100).release();
  EXPECT_DEATH(static_cast<void>(buffer_lease::adopt(word)), "stands for no lease, or no longer");
  static_cast<void>(buffer_lease::adopt(other));
  EXPECT_FALSE(buffer_lease::adopt(nullptr));
}

TEST(BufferPool, NoWordComesTwice) {
  std::vector<void*> words;
  {
    buffer_pool pool(options());
    for (int i = 0; i < 5000; ++i) {
      words.push_back(pool.take(100).release());
      if (i % 2 == 0) static_cast<void>(buffer_lease::adopt(words.back()));
    }
    EXPECT_EQ(pool.statistics().used_buffers, 2500u);
    for (std::size_t i = 1; i < words.size(); i += 2) ASSERT_TRUE(buffer_lease::adopt(words[i]));
    EXPECT_EQ(pool.statistics().used_buffers, 0u);
    std::vector<void*> sorted = words;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
    void* const latest = pool.take(100).release();
    EXPECT_DEATH(static_cast<void>(buffer_lease::adopt(words.front())), "stands for no lease, or no longer");
    static_cast<void>(buffer_lease::adopt(latest));
  }
  EXPECT_DEATH(static_cast<void>(buffer_lease::adopt(words.back())), "stands for no lease, or no longer") << "no pool";
  EXPECT_DEATH(static_cast<void>(buffer_lease::adopt(&words)), "stands for no lease, or no longer") << "never a word";
}

// One of two threads with the same word has the lease, whenever they ask.
TEST(BufferPool, AWordIsOneLease) {
  buffer_pool pool(options());
  void* const word = pool.take(100).release();
  const auto both = [&] {
    std::atomic<int> ready = 0;
    const auto adopts = [&] {
      for (++ready; ready < 2;) {
      }
      const buffer_lease mine = buffer_lease::adopt(word);
    };
    std::thread other(adopts);
    adopts();
    other.join();
  };
  EXPECT_DEATH(both(), "stands for no lease, or no longer");
  static_cast<void>(buffer_lease::adopt(word));
}

TEST(BufferPool, EndsMisuseInAMessage) {
  const auto abandon = [] {
    buffer_slice kept;
    buffer_pool pool(options());
    kept = write(pool, "text");
  };
  EXPECT_DEATH(abandon(),
               "pool destroyed with 1 buffers in use, the first of them: 0x.*, a block of 512 bytes, buffer pool "
               "\"network\"(.|\n)*taken\n(.|\n)*at 0x(.|\n)*last sliced\n(.|\n)*at 0x(.|\n)*destroyed\n(.|\n)*at 0x");
  const auto write_late = [](bool takes) {
    auto of = options();
    of.checks = resource_checks::on;
    buffer_pool pool(of);
    buffer_lease lease = pool.take(512);
    std::byte* const data = lease.data();
    lease.reset();
    data[100] = std::byte{1};
    if (takes) static_cast<void>(pool.take(512));
  };
  const char* const late =
      "write into a buffer that had come back: 0x.*\"network\"(.|\n)*taken\n(.|\n)*at 0x(.|\n)*came back\n(.|\n)*at "
      "0x(.|\n)*"
      "found\n(.|\n)*at 0x";
  EXPECT_DEATH(write_late(true), late);
  EXPECT_DEATH(write_late(false), late);
}

// An upstream that takes its time over what it is given back.
class slow_upstream final : public std::pmr::memory_resource {
 public:
  std::atomic<bool> is_asked = false, may_go_on = false;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    is_asked = true;
    while (!may_go_on) std::this_thread::yield();
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

TEST(BufferPool, EndsAfterWhatIsOnItsWayBack) {
  slow_upstream upstream;
  auto of = options(&upstream);
  of.keep_bytes = 0;
  auto pool = std::make_unique<buffer_pool>(of);
  buffer_slice last = write(*pool, "text");
  std::thread returns([&] { last.reset(); });
  while (!upstream.is_asked) std::this_thread::yield();
  EXPECT_EQ(pool->statistics().used_buffers, 1u) << "it still needs the pool";
  std::atomic<bool> has_ended = false;
  std::thread ends([&] {
    pool.reset();
    has_ended = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(has_ended);
  upstream.may_go_on = true;
  returns.join();
  ends.join();
  EXPECT_TRUE(has_ended);
}

TEST(BufferPool, RefusesOptionsThatCannotBe) {
  EXPECT_THROW(buffer_pool({.smallest_bytes = 500}), std::invalid_argument);
  EXPECT_THROW(buffer_pool({.smallest_bytes = 0}), std::invalid_argument);
  EXPECT_THROW(buffer_pool({.largest_bytes = 256}), std::invalid_argument);
  EXPECT_THROW(buffer_pool({.largest_bytes = std::size_t{1} << 31}), std::invalid_argument);
}

// Any order of takes, slices, copies and ends, beside shared strings.
TEST(BufferPool, AgreesWithSharedStrings) {
  auto of = options();
  of.keep_bytes = 1 << 20;
  of.checks = resource_checks::on;
  buffer_pool pool(of);
  struct pair {
    buffer_slice slice;
    std::shared_ptr<const std::string> whole;
    std::string_view expected;
  };
  std::mt19937_64 dice(11);
  std::vector<pair> all;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t at = all.empty() ? 0 : dice() % all.size();
    switch (all.empty() ? 0 : dice() % 6) {
      case 0: {
        auto text = std::make_shared<std::string>(1 + dice() % 3000, 'a');
        for (char& each : *text) each = static_cast<char>('a' + dice() % 26);
        all.push_back({write(pool, *text), text, *text});
        break;
      }
      case 1: {
        const std::size_t offset = dice() % (all[at].expected.size() + 1);
        const std::size_t bytes = dice() % (all[at].expected.size() - offset + 1);
        all.push_back({all[at].slice.slice(offset, bytes), all[at].whole, all[at].expected.substr(offset, bytes)});
        break;
      }
      case 2:
        all.push_back(all[at]);
        break;
      case 3: {
        const std::size_t bytes = dice() % (all[at].expected.size() + 1);
        all.push_back({all[at].slice.split_front(bytes), all[at].whole, all[at].expected.substr(0, bytes)});
        all[at].expected.remove_prefix(bytes);
        break;
      }
      default:
        std::swap(all[at], all.back());
        all.pop_back();
    }
    if (step % 64 == 0) {
      for (const pair& one : all) ASSERT_EQ(one.slice.text(), one.expected);
      if (dice() % 4 == 0) pool.maintain();
      pool.check();
    }
  }
  all.clear();
  pool.check();
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
}

}  // namespace
}  // namespace tenure
