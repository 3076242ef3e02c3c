// A segment that processes share: what the others see of it, at other addresses; what is left of one that is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tenure/shared.hpp>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/in_child.h"
#include "support/sizes.h"
#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::filled_block;
using testing::in_child;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 15;  // a fork is slow there
#else
constexpr int rounds = 60;
#endif

std::string own_name(const char* what) { return "/tenure-" + std::string(what) + "-" + std::to_string(::getpid()); }

struct node {
  int value;
  offset_ptr<node> next;
};

TEST(Shared, IsTheSameAtAnotherAddress) {
  shared here({.name = "tested", .bytes = 4 * mebibyte});
  shared there = shared::attach(here.descriptor());
  ASSERT_NE(here.begin(), there.begin());
  EXPECT_STREQ(there.name(), "tested");
  offset_ptr<node> list;
  for (int i = 0; i < 100; ++i) list = new (here.allocate_kept(sizeof(node))) node{i, list};
  here.set_root(list.get());
  int expected = 99;
  const node* at = static_cast<node*>(there.root());
  ASSERT_TRUE(there.owns(at));
  ASSERT_FALSE(here.owns(at));
  for (; at != nullptr; at = at->next.get()) {
    EXPECT_TRUE(there.owns(at));
    EXPECT_EQ(at->value, expected--);
  }
  EXPECT_EQ(expected, -1);
  EXPECT_EQ(there.segment().kept_blocks, 100u);
  here.set_root(nullptr);
  EXPECT_EQ(there.root(), nullptr);
  int elsewhere = 0;
  EXPECT_THROW(here.set_root(&elsewhere), std::invalid_argument);
}

TEST(Shared, HoldsContainersThatTakeItsPointers) {
  using words = std::vector<int, shared_allocator<int>>;
  shared here({.name = "tested", .bytes = 4 * mebibyte});
  shared there = shared::attach(here.descriptor());
  auto* const made = new (here.allocate_kept(sizeof(words), alignof(words))) words(shared_allocator<int>(here));
  for (int i = 0; i < 10'000; ++i) made->push_back(i);
  here.set_root(made);
  auto& seen = *static_cast<words*>(there.root());
  ASSERT_EQ(seen.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
  // It grows there, and is seen to have grown here.
  seen.insert(seen.begin(), 77);
  EXPECT_EQ(made->size(), 10'001u);
  EXPECT_EQ(made->front(), 77);
  EXPECT_EQ(made->back(), 9999);
  made->clear();
  made->shrink_to_fit();
  here.deallocate(made, sizeof(words), alignof(words));
  EXPECT_EQ(there.segment().used_blocks, 0u);
}

TEST(Shared, GoesThroughASocket) {
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  const filled_block mine = filled_block::make(memory, 5000, 8, 7);
  memory.set_root(mine.start);
  memory.send_to(sockets[0]);
  EXPECT_EQ(in_child([&] {
              const int descriptor = shared::receive_from(sockets[1]);
              shared received = shared::attach(descriptor);
              ::close(descriptor);
              if (std::string(received.name()) != "tested") return 1;
              if (!filled_block{received.root(), 5000, 8, 7}.is_intact()) return 2;
              void* block = received.allocate(100);
              std::memset(block, 9, 100);
              received.keep(block);
              received.set_root(block);
              return 0;
            }),
            0);
  EXPECT_TRUE((filled_block{memory.root(), 100, 8, 9}.is_intact()));
  EXPECT_TRUE(mine.is_intact());
  memory.check();
  ::close(sockets[0]);
  EXPECT_THROW(shared::receive_from(sockets[1]), std::system_error);
  EXPECT_THROW(memory.send_to(sockets[1]), std::system_error);
  ::close(sockets[1]);
}

TEST(Shared, HasANameThatOthersOpen) {
  const std::string name = own_name("open");
  EXPECT_THROW(shared::open(name.c_str()), std::system_error);
  EXPECT_FALSE(shared::remove(name.c_str()));
  shared memory({.name = "tested", .bytes = 4 * mebibyte, .segment = name.c_str()});
  EXPECT_THROW(shared({.segment = name.c_str()}), std::system_error);
  EXPECT_EQ(in_child([&] {
              shared opened = shared::open(name.c_str(), {.name = "mine"});
              return std::string(opened.name()) == "mine" && opened.segment().bytes == 4 * mebibyte ? 0 : 1;
            }),
            0);
  EXPECT_TRUE(shared::remove(name.c_str()));
  EXPECT_THROW(shared::open(name.c_str()), std::system_error);
  static_cast<void>(filled_block::make(memory, 1000, 8, 1));
}

TEST(Shared, LeavesItsBlocksWithItsEndUnlessTheyAreHandedOn) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  void* kept = nullptr;
  void* taken = nullptr;
  {
    shared peer = shared::attach(memory.descriptor());
    static_cast<void>(peer.allocate(1000));
    void* const for_all = peer.allocate(2000);
    void* const for_one = peer.allocate(4000);
    peer.keep(for_all);
    const auto translated = [&](void* block) {
      return static_cast<char*>(const_cast<void*>(memory.begin())) +
             (static_cast<char*>(block) - static_cast<const char*>(peer.begin()));
    };
    kept = translated(for_all), taken = translated(for_one);
    memory.take_over(taken);
    memory.take_over(taken);  // nothing new
    EXPECT_EQ(memory.statistics().used_bytes, 4096u);
    EXPECT_EQ(memory.statistics().held_bytes, 4096u);
    static_cast<void>(peer.trim());
    EXPECT_EQ(peer.statistics().used_bytes, 1024u);
  }
  EXPECT_EQ(memory.segment().used_bytes, 4096u + 2048u);
  EXPECT_EQ(memory.segment().kept_bytes, 2048u);
  memory.deallocate(taken, 4000);
  memory.deallocate(kept, 2000);
  EXPECT_EQ(memory.segment().used_bytes, 0u);
  memory.check();
}

TEST(Shared, CountsWhatAPeerReleases) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  shared peer = shared::attach(memory.descriptor());
  void* const block = memory.allocate(1000);
  peer.deallocate(static_cast<char*>(const_cast<void*>(peer.begin())) +
                      (static_cast<char*>(block) - static_cast<const char*>(memory.begin())),
                  1000);
  memory.trim();
  EXPECT_EQ(memory.statistics().used_bytes, 0u);
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  EXPECT_EQ(testing::live_ranges(memory).size(), 0u);
}

TEST(Shared, MakesChildrenParticipantsOfTheirOwn) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  const filled_block mine = filled_block::make(memory, 3000, 8, 5);
  EXPECT_EQ(in_child([&] {
              if (!testing::live_ranges(memory).empty()) return 1;
              static_cast<void>(memory.allocate(100));
              if (memory.statistics().used_bytes != 128 || memory.statistics().held_bytes != 128) return 2;
              if (memory.participants().size() != 2) return 3;
              memory.check();
              ::_exit(0);  // without an end of the resource
            }),
            0);
  EXPECT_EQ(memory.statistics().used_bytes, 4096u);
  EXPECT_EQ(memory.segment().used_bytes, 4096u + 128u);
  EXPECT_EQ(memory.reclaim_dead(), 128u);
  EXPECT_EQ(memory.segment().used_bytes, 4096u);
  // One that does nothing with it takes nothing along when it ends.
  EXPECT_EQ(in_child([&] {
              memory.~shared();
              return 0;
            }),
            0);
  EXPECT_TRUE(mine.is_intact());
  EXPECT_EQ(memory.statistics().used_blocks, 1u);
  memory.check();
}

TEST(Shared, TellsAChildOfNothingThatIsItsParents) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte, .checks = resource_checks::on});
  const filled_block mine = filled_block::make(memory, 3000, 8, 5);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(in_child([&] {
              memory.deallocate(memory.allocate(100), 100);
              memory.~shared();
              return 0;
            }),
            0);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(in_child([&] {
              static_cast<void>(memory.allocate(100));
              memory.~shared();
              return 0;
            }),
            0);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("with 1 blocks in use"), std::string::npos);
  memory.deallocate(mine.start, mine.bytes);
}

// Whatever the other threads were at when it was made.
TEST(Shared, WorksInAChildOfAProcessOfThreads) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte, .checks = resource_checks::on});
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    std::vector<void*> blocks(500);
    for (std::size_t i = 0; !is_over; i = (i + 1) % blocks.size()) {
      if (blocks[i] != nullptr) memory.deallocate(blocks[i], 64);
      blocks[i] = memory.allocate(64);
    }
    for (void* one : blocks) {
      if (one != nullptr) memory.deallocate(one, 64);
    }
  });
  for (int round = 0; round < rounds; ++round) {
    EXPECT_EQ(in_child([&] {
                ::alarm(60);
                std::vector<void*> blocks(20);
                for (void*& one : blocks) one = memory.allocate(64);
                for (void* one : blocks) memory.deallocate(one, 64);
                memory.~shared();
                return 0;
              }),
              0);
  }
  is_over = true;
  other.join();
  EXPECT_EQ(memory.segment().used_blocks, 0u);
}

TEST(Shared, GivesItsPagesBack) {
  shared memory({.name = "tested", .bytes = 16 * mebibyte});
  const filled_block kept = filled_block::make(memory, 3000, 8, 5);
  const filled_block large = filled_block::make(memory, 4 * mebibyte, 8, 6);
  const std::uint64_t before = memory.segment().committed_bytes;
  struct stat status {};
  ASSERT_EQ(::fstat(memory.descriptor(), &status), 0);
  const auto blocks_before = status.st_blocks;
  memory.deallocate(large.start, large.bytes);
  EXPECT_EQ(memory.trim(), 4 * mebibyte);
  EXPECT_LE(memory.segment().committed_bytes, before - 4 * mebibyte);
  ASSERT_EQ(::fstat(memory.descriptor(), &status), 0);
  EXPECT_LE(status.st_blocks * 512, blocks_before * 512 - static_cast<off_t>(4 * mebibyte));
  EXPECT_EQ(memory.trim(), 0u);
  EXPECT_TRUE(kept.is_intact());
  EXPECT_TRUE(filled_block::make(memory, 8 * mebibyte, 8, 1).is_intact());
  memory.check();
}

TEST(Shared, FillsToItsLastBlock) {
  shared memory({.name = "tested", .bytes = mebibyte});
  std::vector<void*> blocks;
  EXPECT_THROW(for (;;) blocks.push_back(memory.allocate(64)), std::bad_alloc);
  EXPECT_EQ(blocks.size(), mebibyte / 64);
  EXPECT_EQ(memory.statistics().held_bytes, mebibyte);
  for (void* one : blocks) memory.deallocate(one, 64);
  memory.check();
  memory.deallocate(memory.allocate(mebibyte), mebibyte);
  EXPECT_THROW(static_cast<void>(memory.allocate(mebibyte + 1)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(memory.allocate(64, 8192)), std::bad_alloc);
}

TEST(Shared, RefusesSizesThatCannotBe) {
  EXPECT_THROW(shared({.bytes = 3 * mebibyte}), std::invalid_argument);
  EXPECT_THROW(shared({.bytes = 4096}), std::invalid_argument);
  EXPECT_THROW(shared({.smallest_bytes = 48}), std::invalid_argument);
  EXPECT_THROW(shared({.segment = "/no/such/name"}), std::system_error);
  EXPECT_THROW(shared::open(nullptr), std::invalid_argument);
}

TEST(Shared, RefusesBeyondTheLimitForFiles) {
  EXPECT_EQ(in_child([] {
              const rlimit limit{2 * mebibyte, 2 * mebibyte};
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
              try {
                shared memory({.name = "tested", .bytes = 8 * mebibyte});
              } catch (const std::system_error& error) {
                return error.code().value() == EFBIG ? 0 : 3;
              }
              return 4;
            }),
            0);
}

TEST(Shared, IsUsedByThreadsAtOnce) {
  shared memory({.name = "tested", .bytes = 16 * mebibyte});
  shared peer = shared::attach(memory.descriptor());
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      shared& mine = number % 2 == 0 ? memory : peer;
      std::mt19937_64 dice(number);
      std::vector<filled_block> blocks;
      for (int step = 0; step < 3000; ++step) {
        if (blocks.size() < 50 || dice() % 2 == 0) {
          blocks.push_back(filled_block::make(mine, 1 + dice() % 2000, 8, static_cast<unsigned char>(dice())));
        } else {
          ASSERT_TRUE(blocks.back().is_intact());
          mine.deallocate(blocks.back().start, blocks.back().bytes, 8);
          blocks.pop_back();
        }
      }
      for (const filled_block& one : blocks) {
        ASSERT_TRUE(one.is_intact());
        mine.deallocate(one.start, one.bytes, 8);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(memory.segment().used_blocks, 0u);
  EXPECT_EQ(memory.statistics().used_bytes, 0u);
  memory.check();
}

// Takes, releases, keeps and hands over until it is killed.
[[noreturn]] void work_without_end(shared& memory, unsigned seed) {
  std::mt19937_64 dice(seed);
  std::vector<filled_block> blocks;
  for (;;) {
    if (blocks.size() < 20 || (blocks.size() < 60 && dice() % 2 == 0)) {
      const std::size_t bytes = std::size_t{1} << dice() % 17;
      blocks.push_back(filled_block::make(memory, bytes, 8, static_cast<unsigned char>(dice())));
    } else {
      std::swap(blocks[dice() % blocks.size()], blocks.back());
      if (!blocks.back().is_intact()) ::_exit(1);
      if (dice() % 16 == 0) {
        memory.keep(blocks.back().start);
        memory.take_over(blocks.back().start);
      }
      memory.deallocate(blocks.back().start, blocks.back().bytes, 8);
      blocks.pop_back();
      if (dice() % 256 == 0) memory.trim();
    }
  }
}

// Two children at a time, each killed at some moment of its work, while the parent has blocks of its own.
TEST(Shared, SurvivesPeersThatAreKilledAtAnyMoment) {
  shared memory({.name = "tested", .bytes = 16 * mebibyte, .checks = resource_checks::off});
  std::mt19937_64 dice(7);
  std::vector<filled_block> mine;
  for (int round = 0; round < rounds; ++round) {
    pid_t children[2];
    for (pid_t& child : children) {
      child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) work_without_end(memory, static_cast<unsigned>(2 * round) + (&child == &children[1] ? 1 : 0));
    }
    const timespec pause{0, static_cast<long>(dice() % 3'000'000)};
    ::nanosleep(&pause, nullptr);
    for (int i = 0; i < 20; ++i) mine.push_back(filled_block::make(memory, 1 + dice() % 3000, 8, 1));
    for (const pid_t child : children) ASSERT_EQ(::kill(child, SIGKILL), 0);
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status)) << "a block was handed out twice, exit code " << WEXITSTATUS(status);
    }
    memory.check();
    // The dead are listed with their numbers and what they had, none of which is anybody else's.
    std::uint64_t left_bytes = 0;
    for (const shared_participant& one : memory.participants()) {
      if (one.process == ::getpid()) continue;
      EXPECT_FALSE(one.is_alive);
      EXPECT_TRUE(one.process == children[0] || one.process == children[1]);
      std::uint64_t bytes = 0;
      for (const live_block& block : memory.blocks_of(one)) {
        bytes += block.bytes;
        std::memset(const_cast<void*>(block.address), 0xdd, block.bytes);
      }
      EXPECT_EQ(bytes, one.used_bytes);
      left_bytes += bytes;
    }
    for (const filled_block& one : mine) ASSERT_TRUE(one.is_intact());
    EXPECT_EQ(memory.reclaim_dead(), left_bytes);
    memory.check();
    while (mine.size() > 30) {
      std::swap(mine[dice() % mine.size()], mine.back());
      memory.deallocate(mine.back().start, mine.back().bytes, 8);
      mine.pop_back();
    }
    EXPECT_EQ(memory.segment().used_bytes - memory.segment().kept_bytes, memory.statistics().used_bytes);
  }
}

TEST(Shared, ReclaimsNothingFromTheLiving) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  shared peer = shared::attach(memory.descriptor());
  static_cast<void>(peer.allocate(100));
  for (const shared_participant& one : memory.participants()) {
    EXPECT_TRUE(one.is_alive);
    EXPECT_EQ(one.process, ::getpid());
    EXPECT_THROW(memory.reclaim(one), std::logic_error);
  }
  EXPECT_EQ(memory.reclaim_dead(), 0u);
  // Closing another descriptor of the file is no death.
  ::close(::dup(memory.descriptor()));
  EXPECT_TRUE(peer.participants().front().is_alive);
}

// Others who join look for a place at that moment.
TEST(Shared, ReclaimsAllOfTheDeadWhileOthersJoin) {
  shared memory({.name = "tested", .bytes = 4 * mebibyte});
  const pid_t joiner = ::fork();
  ASSERT_GE(joiner, 0);
  if (joiner == 0) {
    for (;;) static_cast<void>(shared::attach(memory.descriptor()));
  }
  constexpr std::size_t dead = 20;
  for (int round = 0; round < rounds; ++round) {
    EXPECT_EQ(in_child([&]() -> int {
                std::vector<std::unique_ptr<shared>> peers;
                while (peers.size() < dead) {
                  peers.push_back(std::unique_ptr<shared>(new shared(shared::attach(memory.descriptor()))));
                  static_cast<void>(peers.back()->allocate(100));
                }
                ::_exit(0);  // without an end of the resources
              }),
              0);
    std::size_t told = 0;
    for (const shared_participant& one : memory.participants()) told += !one.is_alive && one.used_blocks == 1 ? 1 : 0;
    EXPECT_EQ(told, dead);
    EXPECT_EQ(memory.reclaim_dead(), dead * 128);
  }
  ASSERT_EQ(::kill(joiner, SIGKILL), 0);
  ASSERT_EQ(::waitpid(joiner, nullptr, 0), joiner);
  memory.check();
}

// Four million pieces, none of which is used but one: what is address space costs nearly nothing.
TEST(Shared, IsMadeAndJoinedWithMuchAddressSpace) {
  shared here({.name = "tested", .bytes = std::size_t{1} << 38, .smallest_bytes = 16});
  const filled_block block = filled_block::make(here, 100'000, 8, 3);
  here.set_root(block.start);
  shared there = shared::attach(here.descriptor());
  EXPECT_TRUE((filled_block{there.root(), 100'000, 8, 3}.is_intact()));
  here.check();
  there.check();
  EXPECT_EQ(there.segment().used_bytes, 131'072u);
  here.deallocate(block.start, block.bytes);
  EXPECT_EQ(there.trim(), 131'072u);
  EXPECT_THROW(static_cast<void>(here.allocate(std::size_t{1} << 39)), std::bad_alloc);
}

TEST(Shared, IsFullWhen255HaveJoined) {
  shared memory({.name = "tested", .bytes = mebibyte});
  std::vector<std::unique_ptr<shared>> peers;
  EXPECT_THROW(for (;;) peers.push_back(std::unique_ptr<shared>(new shared(shared::attach(memory.descriptor())))),
               std::runtime_error);
  EXPECT_EQ(peers.size(), 254u);
  peers.pop_back();
  shared last = shared::attach(memory.descriptor());
  EXPECT_EQ(last.participants().size(), 255u);
}

TEST(Shared, EndsMisuseInAMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a child would know nothing of its parent's blocks
  shared memory({.name = "frames", .bytes = 4 * mebibyte, .checks = resource_checks::on});
  auto* const block = static_cast<char*>(memory.allocate(5000));
  int elsewhere = 0;
  EXPECT_DEATH(memory.deallocate(&elsewhere, 5000), "has not handed out: 0x.*shared \"frames\"");
  EXPECT_DEATH(memory.deallocate(block, 50'000), "is not this block's: 0x.*shared \"frames\"(.|\n)*allocated\n");
  EXPECT_DEATH(memory.deallocate(block + 64, 64), "interior pointer: 0x.*shared \"frames\"(.|\n)*allocated\n");
  EXPECT_DEATH(memory.keep(&elsewhere), "no block in use: 0x.*shared \"frames\"(.|\n)*here\n");
  EXPECT_DEATH(memory.take_over(&elsewhere), "no block in use: 0x.*shared \"frames\"");
  memory.deallocate(block, 5000);
  EXPECT_DEATH(memory.deallocate(block, 5000),
               "double release: 0x.*shared \"frames\"(.|\n)*allocated\n(.|\n)*released first\n");
  shared unchecked({.name = "frames", .bytes = 4 * mebibyte, .checks = resource_checks::off});
  EXPECT_DEATH(unchecked.deallocate(&elsewhere, 5000), "no block in use, or no longer: 0x.*shared \"frames\"");
}

}  // namespace
}  // namespace tenure
