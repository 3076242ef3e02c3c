// object_pool in one thread: handles, generations, iteration, limits, what comes back, misuse.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <tenure/fixed_pool.hpp>
#include <tenure/object_pool.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tenure {
namespace {

struct counted {
  explicit counted(int of) : value(of) { ++alive; }
  ~counted() { --alive; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  int value;
  inline static int alive = 0;
};

TEST(ObjectPool, AgreesWithAMap) {
  object_pool<counted> pool({.name = "map"});
  std::map<int, object_pool<counted>::handle> live;
  std::map<int, object_pool<counted>::weak_handle> seen;
  std::mt19937_64 dice(5);
  for (int step = 0; step < 20'000; ++step) {
    if (live.empty() || dice() % 5 < 3) {
      auto made = pool.create(step);
      seen[step] = made.weak();
      live[step] = std::move(made);
    } else {
      live.erase(std::next(live.begin(), static_cast<std::ptrdiff_t>(dice() % live.size())));
    }
  }
  EXPECT_EQ(counted::alive, static_cast<int>(live.size()));
  EXPECT_EQ(pool.live_objects(), live.size());
  std::multiset<int> visited, expected;
  pool.for_each_live([&](counted& one) { visited.insert(one.value); });
  for (const auto& [number, one] : live) expected.insert(number);
  EXPECT_EQ(visited, expected);
  for (const auto& [number, weak] : seen) {
    const auto found = live.find(number);
    ASSERT_EQ(weak.get(), found == live.end() ? nullptr : found->second.get());
  }
  pool.check();
  live.clear();
  EXPECT_EQ(counted::alive, 0);
  EXPECT_EQ(pool.live_objects(), 0u);
  pool.check();
}

TEST(ObjectPool, EndsWhatIsLeft) {
  {
    object_pool<counted> pool({.checks = resource_checks::off});
    for (int i = 0; i < 300; ++i) pool.make(i);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(ObjectPool, CountsObjectsAgainstItsLimitAndNothingElse) {
  object_pool<counted> pool({.limit_objects = 100});
  std::vector<object_pool<counted>::handle> all;
  // Free objects in another thread's magazine do not count.
  std::thread([&] {
    std::vector<object_pool<counted>::handle> there;
    for (int i = 0; i < 100; ++i) there.push_back(pool.create(i));
    EXPECT_THROW(pool.create(100), std::bad_alloc);
  }).join();
  for (int i = 0; i < 100; ++i) all.push_back(pool.create(i));
  EXPECT_THROW(pool.create(100), std::bad_alloc);
  all.pop_back();
  all.push_back(pool.create(7));
  EXPECT_THROW(pool.create(100), std::bad_alloc);
  EXPECT_EQ(counted::alive, 100);
  all.clear();
  pool.check();
}

TEST(ObjectPool, LeavesNothingBehindOfAConstructorThatThrows) {
  struct thrower {
    explicit thrower(bool throws) {
      if (throws) throw std::runtime_error("no");
    }
  };
  object_pool<thrower> pool({.limit_objects = 1});
  for (int i = 0; i < 10; ++i) EXPECT_THROW(pool.create(true), std::runtime_error);
  EXPECT_NO_THROW(pool.create(false));
  EXPECT_EQ(pool.live_objects(), 0u);
  pool.check();
}

struct buffer {
  buffer() { ++made; }
  std::string text;
  inline static int made = 0;
};
struct clear {
  void operator()(buffer& of) const noexcept { of.text.clear(); }
};

TEST(ObjectPool, HandsOutAgainWhatWasKept) {
  object_pool<buffer, clear> pool;
  const void* storage = nullptr;
  for (int i = 0; i < 100; ++i) {
    auto one = pool.acquire();
    EXPECT_TRUE(one->text.empty());
    if (storage != nullptr) {
      EXPECT_EQ(one->text.data(), storage) << "its memory was not kept";
    }
    one->text.assign(1000, 'x');
    one->text.resize(900);
    storage = one->text.data();
  }
  EXPECT_EQ(buffer::made, 1);
  pool.check();
}

std::size_t resident_pages(const void* begin, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(begin) + bytes) / page * page;
  std::vector<unsigned char> there((end - first) / page);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(first), end - first, there.data()), 0);
  return static_cast<std::size_t>(std::count_if(there.begin(), there.end(), [](auto one) { return (one & 1) != 0; }));
}

// The kernel is asked, and the account: what trim() says has come back is what both say.
TEST(ObjectPool, GivesPagesBackOnWhichNothingIsInUse) {
  object_pool<counted> pool({.name = "trimmed"});
  std::vector<object_pool<counted>::handle> all;
  std::vector<object_pool<counted>::weak_handle> seen;
  for (int i = 0; i < 100'000; ++i) {
    all.push_back(pool.create(i));
    seen.push_back(all.back().weak());
  }
  const std::uint64_t held = pool.statistics().held_bytes;
  EXPECT_EQ(pool.trim(), 0u) << "all are in use, or next to such";
  // A stretch in the middle, one in it stays.
  const counted* const begin = all[70'000].get();
  const counted* const end = all[90'000].get();
  ASSERT_LT(begin, end);
  const std::size_t bytes =
      static_cast<std::size_t>(reinterpret_cast<const char*>(end) - reinterpret_cast<const char*>(begin));
  for (std::size_t i = 70'000; i < 90'000; ++i) {
    if (i != 80'000) all[i].reset();
  }
  // With a page on each side, which stay.
  const auto resident = [&] { return resident_pages(reinterpret_cast<const char*>(begin) - 4096, bytes + 8192); };
  const std::size_t there = resident();
  const std::size_t freed = pool.trim();
  EXPECT_GT(freed, bytes * 9 / 10);
  EXPECT_LE(freed, bytes);
  EXPECT_EQ(pool.statistics().held_bytes, held - freed);
  EXPECT_EQ(resident(), there - freed / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(all[80'000]->value, 80'000);
  EXPECT_EQ(pool.live_objects(), 80'001u);
  pool.check();
  std::size_t visited = 0;
  pool.for_each_live([&](counted&) { ++visited; });
  EXPECT_EQ(visited, 80'001u);
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i].get(), all[i].get()) << i;

  // What comes next lies in the same places, and nobody takes it for what was there.
  for (std::size_t i = 70'000; i < 90'000; ++i) {
    if (i != 80'000) all[i] = pool.create(-1);
  }
  EXPECT_EQ(pool.statistics().held_bytes, held);
  for (std::size_t i = 70'000; i < 90'000; ++i) ASSERT_EQ(seen[i].get() != nullptr, i == 80'000) << i;
  pool.check();
  all.clear();
  EXPECT_EQ(counted::alive, 0);
  pool.trim();
  pool.check();
  EXPECT_LT(pool.statistics().held_bytes, held / 3)
      << "all but slots that were never opened, and the edges of segments";
}

TEST(ObjectPool, EndsWhatIsKeptWhereItTrims) {
  struct kept {
    kept() { ++alive(); }
    ~kept() { --alive(); }
    static int& alive() {
      static int count = 0;
      return count;
    }
    std::array<char, 8192> room;
  };
  struct nothing {
    void operator()(kept&) const noexcept {}
  };
  object_pool<kept, nothing> pool({.name = "kept"});
  std::vector<object_pool<kept, nothing>::handle> all;
  for (int i = 0; i < 200; ++i) all.push_back(pool.acquire());
  all.resize(1);
  EXPECT_EQ(kept::alive(), 200);
  EXPECT_GT(pool.trim(), 150u * 8192);
  EXPECT_LT(kept::alive(), 20);
  EXPECT_GE(kept::alive(), 1);
  for (int i = 0; i < 200; ++i) all.push_back(pool.acquire());
  EXPECT_EQ(kept::alive(), 201);
  pool.check();
}

TEST(ObjectPool, HoldsNoMoreThanItsLimitInBytes) {
  object_pool<std::array<char, 1000>> pool({.name = "limited"});
  pool.set_limits({.hard_bytes = 300'000});
  std::vector<object_pool<std::array<char, 1000>>::handle> all;
  EXPECT_THROW(for (;;) all.push_back(pool.create()), std::bad_alloc);
  EXPECT_GT(all.size(), 100u);
  EXPECT_LE(pool.statistics().held_bytes, 300'000u);
  const std::size_t most = all.size();
  pool.set_limits({});
  all.push_back(pool.create());
  EXPECT_EQ(all.size(), most + 1);
  pool.check();
}

// At the limit of an account above, what another pool of it does not need comes back; the pool may be the same.
TEST(ObjectPool, MayBeTrimmedByAShrinkerThatItAsks) {
  using page = std::array<char, 4096>;
  account above("above");
  object_pool<page> pool({.name = "below", .parent = &above});
  std::vector<object_pool<page>::handle> all;
  int asked = 0;
  const shrinker gives(above, 0, [&](const tenure_pressure&) {
    ++asked;
    all.clear();
    return std::uint64_t{pool.trim()};
  });
  above.set_limits({.hard_bytes = 3 << 20});
  for (int i = 0; i < 2000; ++i) {
    auto one = pool.create();
    all.push_back(std::move(one));
    ASSERT_LE(above.statistics().held_bytes, 3u << 20);
  }
  EXPECT_GT(asked, 1);
  pool.check();
}

TEST(ObjectPool, SaysWhatWasLeftWhenItEnds) {
  ::testing::internal::CaptureStderr();
  {
    object_pool<counted> pool({.name = "left", .checks = resource_checks::on});
    pool.make(1);
    pool.make(2);
    pool.destroy(pool.make(3));
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(std::regex_search(
      text, std::regex("pool destroyed with 2 objects in use, the first of them: 0x[0-9a-f]+, a block of [0-9]+ bytes, "
                       "pool \"left\"[^]*created\n[^]*at 0x[^]*ended here\n[^]*at 0x")))
      << text;
  ::testing::internal::CaptureStderr();
  {
    object_pool<counted> pool({.name = "empty", .checks = resource_checks::on});
    pool.destroy(pool.make(3));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(ObjectPool, AlignsObjectsAndKeepsTheirAddresses) {
  struct alignas(128) wide {
    std::uint64_t words[16];
  };
  object_pool<wide> pool;
  std::vector<wide*> all;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    all.push_back(pool.make());
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(all.back()) % 128, 0u);
    all.back()->words[15] = i;
  }
  for (std::uint64_t i = 0; i < 5000; ++i) ASSERT_EQ(all[i]->words[15], i);
  EXPECT_EQ(pool.statistics().used_blocks, 5000u);
  EXPECT_GE(pool.statistics().held_bytes, 5000 * sizeof(wide));
  for (wide* one : all) pool.destroy(one);
}

// The header lies in front of the object: as if it had been used two milliards of times.
void set_generation(counted* object, std::uint32_t to) {
  auto* header =
      reinterpret_cast<detail::slot_header*>(reinterpret_cast<std::byte*>(object) - sizeof(detail::slot_header));
  ASSERT_EQ(header->generation.load(), 1u);
  header->generation = to;
}

TEST(ObjectPool, GivesASlotUpBeforeAGenerationComesAgain) {
  object_pool<counted> pool;
  counted* first = pool.make(1);
  set_generation(first, 0xffff'ffff);
  const auto weak = pool.weak(first);
  EXPECT_EQ(weak.get(), first);
  pool.destroy(first);
  EXPECT_EQ(weak.get(), nullptr);
  for (int i = 0; i < 1000; ++i) EXPECT_NE(pool.make(i), first);
  EXPECT_EQ(pool.live_objects(), 1000u);
  pool.check();
}

TEST(ObjectPool, WorksWithMorePoolsThanThreadsHaveMagazinesFor) {
  std::vector<std::unique_ptr<object_pool<int>>> pools;
  for (int i = 0; i < 150; ++i) pools.push_back(std::make_unique<object_pool<int>>());
  std::vector<std::vector<object_pool<int>::handle>> all(pools.size());
  for (int round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < pools.size(); ++i) all[i].push_back(pools[i]->create(round));
  }
  for (std::size_t i = 0; i < pools.size(); ++i) {
    for (int round = 0; round < 200; ++round) ASSERT_EQ(*all[i][static_cast<std::size_t>(round)], round);
    EXPECT_EQ(pools[i]->live_objects(), 200u);
    pools[i]->check();
    all[i].clear();
    EXPECT_EQ(pools[i]->live_objects(), 0u);
  }
  // Ids pass to new pools; what threads have of the old ones is theirs no more.
  pools.clear();
  for (int i = 0; i < 100; ++i) {
    object_pool<int> next;
    EXPECT_EQ(*next.create(i), i);
    next.check();
  }
}

TEST(ObjectPool, IsInTheLedger) {
  object_pool<int> pool({.name = "numbers"});
  std::vector<object_pool<int>::handle> all;
  for (int i = 0; i < 64 * 3; ++i) all.push_back(pool.create(i));
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(pool.account(), &figures), 1);
  EXPECT_STREQ(figures.name, "numbers");
  EXPECT_STREQ(figures.kind, "pool");
  EXPECT_EQ(figures.held_bytes, pool.statistics().held_bytes);
  EXPECT_GE(figures.used_blocks, 64u * 2);
  EXPECT_LE(figures.used_blocks, 64u * 3);
  EXPECT_EQ(pool.statistics().used_blocks, 64u * 3);
  EXPECT_EQ(pool.statistics().allocations, 64u * 3);
}

[[gnu::noinline]] counted* make_here(object_pool<counted>& pool) { return pool.make(1); }

TEST(ObjectPool, EndsMisuseInAMessage) {
  object_pool<counted> plain({.name = "plain", .checks = resource_checks::off});
  counted* once = plain.make(1);
  plain.destroy(once);
  EXPECT_DEATH(plain.destroy(once),
               "destroy of an object that is not in use: 0x.*pool \"plain\"(.|\n)*destroyed again");

  object_pool<counted> pool({.name = "mine", .checks = resource_checks::on});
  object_pool<counted> other({.name = "other", .checks = resource_checks::on});
  counted* object = make_here(pool);
  EXPECT_DEATH(other.destroy(object),
               "destroy of a block that pool \"mine\" has handed out: 0x.*pool \"other\"(.|\n)*allocated "
               "there\n(.|\n)*at 0x(.|\n)*"
               "released here\n(.|\n)*at 0x");
  alignas(counted) std::byte elsewhere[sizeof(counted)];
  EXPECT_DEATH(pool.destroy(reinterpret_cast<counted*>(elsewhere)), "destroy of what no pool has made");
  pool.destroy(object);
  EXPECT_DEATH(pool.destroy(object),
               "not in use: 0x.*pool \"mine\"(.|\n)*created\n(.|\n)*at 0x(.|\n)*destroyed first\n(.|\n)*at 0x(.|\n)*"
               "destroyed again\n(.|\n)*at 0x");
}

TEST(ObjectPool, LooksForMisuseInAnyBuildWhereTheOptionSaysSo) {
  ASSERT_EQ(tenure_option_set("check_resources", 1), 1);
  object_pool<counted> pool({.name = "hardened"});
  ASSERT_EQ(tenure_option_set("check_resources", 0), 1);
  counted* object = make_here(pool);
  pool.destroy(object);
  EXPECT_DEATH(pool.destroy(object),
               "not in use: 0x.*pool \"hardened\"(.|\n)*created\n(.|\n)*at 0x(.|\n)*destroyed first\n(.|\n)*at 0x");
}

// With checks on what is written into an object that has ended is found when its slot is used again, and at the pool's
// end; one whose constructor threw half way is no such write.
TEST(ObjectPool, FindsWritesIntoObjectsThatHaveEnded) {
  const auto write_late = [](bool makes_another) {
    object_pool<counted> pool({.name = "mine", .checks = resource_checks::on});
    counted* const gone = pool.make(1);
    pool.destroy(gone);
    *const_cast<volatile int*>(&gone->value) = 2;
    if (makes_another) static_cast<void>(pool.make(3));
  };
  const char* const late =
      "write into an object after its end: 0x.*pool \"mine\"(.|\n)*created\n(.|\n)*at 0x(.|\n)*destroyed\n(.|\n)*at 0x";
  EXPECT_DEATH(write_late(true), late);
  EXPECT_DEATH(write_late(false), late);

  struct half {
    explicit half(bool throws) : first(1) {
      if (throws) throw 1;
    }
    int first, second = 2;
  };
  object_pool<half> pool({.checks = resource_checks::on});
  pool.destroy(pool.make(false));
  EXPECT_THROW(pool.make(true), int);
  EXPECT_EQ(pool.create(false)->second, 2);
}

// The message names who has handed a block out, of whatever kind that is.
TEST(ObjectPool, KnowsBlocksOfResources) {
  object_pool<counted> pool({.name = "mine", .checks = resource_checks::on});
  fixed_pool nodes({.name = "nodes", .block_bytes = 64, .checks = resource_checks::on});
  void* const block = nodes.allocate(64);
  EXPECT_DEATH(pool.destroy(static_cast<counted*>(block)),
               "destroy of a block that pool \"nodes\" has handed out: 0x.*pool \"mine\"(.|\n)*allocated there\n");
  counted* const object = pool.make(1);
  EXPECT_DEATH(nodes.deallocate(object),
               "release of a block that pool \"mine\" has handed out: 0x.*pool \"nodes\"(.|\n)*allocated there\n");
  pool.destroy(object);
  nodes.deallocate(block);
}

}  // namespace
}  // namespace tenure
