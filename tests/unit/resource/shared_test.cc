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

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::filled_block;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// What a child finds out, as its exit code; 0: all as it should be.
template <class Function>
int in_child(Function function) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = function();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(result);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 98;
  return WEXITSTATUS(status);
}

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

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 15;  // a fork is slow there
#else
constexpr int rounds = 60;
#endif

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

// What is no segment, or no longer one.
class SharedRefusals : public ::testing::Test {
 protected:
  static int copy_of(const shared& memory, std::size_t cut_bytes = 0) {
    struct stat status {};
    ::fstat(memory.descriptor(), &status);
    const int file = ::memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    std::vector<char> content(static_cast<std::size_t>(status.st_size) - cut_bytes);
    EXPECT_EQ(::pread(memory.descriptor(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::pwrite(file, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    return file;
  }
  static std::string refusal(int file) {
    ::fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK);
    try {
      shared joined = shared::attach(file);
    } catch (const std::runtime_error& error) {
      ::close(file);
      return error.what();
    }
    ::close(file);
    return "joined";
  }
  shared memory_{{.name = "tested", .bytes = mebibyte}};
};

TEST_F(SharedRefusals, NameWhatIsWrongWithTheFile) {
  const auto changed = [&](off_t offset, std::uint32_t value) {
    const int file = copy_of(memory_);
    EXPECT_EQ(::pwrite(file, &value, sizeof value, offset), 4);
    return refusal(file);
  };
  EXPECT_EQ(refusal(copy_of(memory_)), "joined");
  EXPECT_NE(changed(0, 0x21212121).find("no segment of Tenure's"), std::string::npos);
  EXPECT_NE(changed(8, 99).find("another version"), std::string::npos);
  EXPECT_NE(changed(24, 99).find("header is damaged"), std::string::npos);
  EXPECT_NE(refusal(copy_of(memory_, 4096)).find("has been cut"), std::string::npos);
  EXPECT_NE(refusal(::memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING)).find("shorter than the header"),
            std::string::npos);
}

TEST_F(SharedRefusals, NameBlocksThatOverlap) {
  static_cast<void>(memory_.allocate(64));
  const int file = copy_of(memory_);
  // The words of the first chunk begin where the tables do; the second smallest block lies in the first one's pair.
  struct stat status {};
  ASSERT_EQ(::fstat(file, &status), 0);
  const off_t tables = status.st_size - static_cast<off_t>(mebibyte) - 4 * 16384;
  const std::uint16_t two_blocks[2] = {2, 1};
  ASSERT_EQ(::pwrite(file, two_blocks, sizeof two_blocks, tables), 4);
  EXPECT_NE(refusal(file).find("overlaps"), std::string::npos);
}

TEST_F(SharedRefusals, AreForFilesThatCanBeCut) {
  const int file = copy_of(memory_);
  EXPECT_THROW(shared::attach(file), std::system_error);
  EXPECT_THROW(shared::attach(-1), std::system_error);
  EXPECT_THROW(shared::attach(STDERR_FILENO), std::system_error);
  ::close(file);
  EXPECT_EQ(::ftruncate(memory_.descriptor(), 4096), -1);
}

TEST(Shared, EndsMisuseInAMessage) {
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
