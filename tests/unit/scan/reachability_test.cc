// Reachability on thrown graphs of blocks, held against a reference that knows the graph; and each way in which a
// pointer into the inside holds a block.
#include "core/scan/reachability.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "core/heap/heap.h"
#include "core/heap/walk.h"
#include "support/dice.h"

namespace tenure::core {
namespace {

using test::dice;

struct made_block {
  std::uintptr_t begin = 0;
  std::size_t usable_bytes = 0;
  std::vector<std::size_t> starts;   // whose starts it points to
  std::vector<std::size_t> insides;  // whose insides
};

// A heap of blocks that point to each other, looked through while nobody else runs.
class made_heap {
 public:
  ~made_heap() {
    for (const made_block& one : blocks_) deallocate(reinterpret_cast<void*>(one.begin));
  }

  std::size_t add(std::size_t bytes) {
    void* const block = allocate(bytes, wire::allocation_entry::malloc);
    EXPECT_NE(block, nullptr);
    std::memset(block, 0, usable_bytes(block));
    blocks_.push_back({reinterpret_cast<std::uintptr_t>(block), usable_bytes(block), {}, {}});
    next_word_.push_back(0);
    return blocks_.size() - 1;
  }
  std::uintptr_t& word(std::size_t block, std::size_t index) {
    return reinterpret_cast<std::uintptr_t*>(blocks_[block].begin)[index];
  }
  // False when it has no room for one more pointer.
  bool point(std::size_t from, std::size_t to, bool to_start) {
    if ((next_word_[from] + 1) * 8 > blocks_[from].usable_bytes) return false;
    word(from, next_word_[from]++) = blocks_[to].begin + (to_start ? 0 : 4);
    (to_start ? blocks_[from].starts : blocks_[from].insides).push_back(to);
    return true;
  }

  void look(const std::vector<std::uintptr_t>& roots) {
    lock_heap();
    ASSERT_TRUE(map_.read());
    ASSERT_TRUE(table_.build());
    unlock_heap();
    ASSERT_TRUE(reach_.prepare());
    reach_.add_roots(reinterpret_cast<std::uintptr_t>(roots.data()),
                     reinterpret_cast<std::uintptr_t>(roots.data() + roots.size()));
    reach_.conclude();
  }

  block_state state(std::size_t block) const { return table_.find(blocks_[block].begin).state(); }
  std::uintptr_t leader(std::size_t block) const { return reach_.leader_of(table_.find(blocks_[block].begin)); }
  wire::block_sum held(std::size_t block) const { return reachability::held_by(table_.find(blocks_[block].begin)); }
  const std::vector<made_block>& blocks() const { return blocks_; }
  const reachability& reach() const { return reach_; }
  const block_table& table() const { return table_; }

 private:
  std::vector<made_block> blocks_;
  std::vector<std::size_t> next_word_;
  memory_map map_;
  block_table table_;
  reachability reach_{table_, map_, true};
};

// What the graph says: from `found`, along pointers to starts, or along all.
void follow(const std::vector<made_block>& blocks, std::set<std::size_t>& found, bool takes_insides,
            const std::set<std::size_t>& closed) {
  std::vector<std::size_t> open(found.begin(), found.end());
  while (!open.empty()) {
    const made_block& from = blocks[open.back()];
    open.pop_back();
    const auto take = [&](std::size_t to) {
      if (!closed.contains(to) && found.insert(to).second) open.push_back(to);
    };
    for (const std::size_t to : from.starts) take(to);
    if (takes_insides)
      for (const std::size_t to : from.insides) take(to);
  }
}

bool is_lost(const made_heap& heap, std::size_t block) {
  return heap.state(block) == block_state::definite || heap.state(block) == block_state::indirect;
}

// Of a definite block, that nobody else who is lost leads to it, unless it leads back; of an indirect one, that the
// block with which it goes leads to it.
void expect_led(const made_heap& heap, std::size_t block) {
  const auto below = [&](std::size_t one) {
    std::set<std::size_t> found = {one};
    follow(heap.blocks(), found, true, {});
    return found;
  };
  if (heap.state(block) == block_state::definite) {
    const std::set<std::size_t> own = below(block);
    for (std::size_t from = 0; from < heap.blocks().size(); ++from) {
      if (is_lost(heap, from) && below(from).contains(block)) {
        EXPECT_TRUE(own.contains(from)) << block << " " << from;
      }
    }
  } else if (heap.state(block) == block_state::indirect) {
    const auto leader = std::find_if(heap.blocks().begin(), heap.blocks().end(),
                                     [&](const made_block& one) { return one.begin == heap.leader(block); });
    ASSERT_NE(leader, heap.blocks().end());
    const auto place = static_cast<std::size_t>(leader - heap.blocks().begin());
    EXPECT_EQ(heap.state(place), block_state::definite);
    EXPECT_TRUE(below(place).contains(block)) << block;
  }
}

void throw_graph(dice& thrown, made_heap& heap) {
  const std::size_t count = 20 + thrown.below(200);
  for (std::size_t i = 0; i < count; ++i)
    heap.add(thrown.one_in(40) ? 100'000 + thrown.below(200'000) : 16 + thrown.below(1u << (4 + thrown.below(9))));
  for (std::size_t edges = thrown.below(static_cast<std::uint32_t>(2 * count)); edges != 0; --edges) {
    const auto any = [&] { return thrown.below(static_cast<std::uint32_t>(count)); };
    heap.point(any(), any(), !thrown.one_in(4));
  }
}

TEST(Reachability, OfThrownGraphsIsThatOfTheGraph) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    dice thrown(seed);
    made_heap heap;
    throw_graph(thrown, heap);
    const std::size_t count = heap.blocks().size();
    std::set<std::size_t> reachable, possible;
    std::vector<std::uintptr_t> roots = {0, 1, ~std::uintptr_t{0}};
    for (std::size_t i = 0; i < count; ++i) {
      if (!thrown.one_in(8)) continue;
      const bool is_start = !thrown.one_in(4);
      roots.push_back(heap.blocks()[i].begin + (is_start ? 0 : 5));
      (is_start ? reachable : possible).insert(i);
    }
    follow(heap.blocks(), reachable, false, {});
    for (const std::size_t from : reachable)
      for (const std::size_t to : heap.blocks()[from].insides) possible.insert(to);
    std::erase_if(possible, [&](std::size_t one) { return reachable.contains(one); });
    follow(heap.blocks(), possible, true, reachable);
    heap.look(roots);
    if (HasFatalFailure()) return;

    wire::block_sum led{}, indirect{};
    for (std::size_t i = 0; i < count; ++i) {
      const block_state state = heap.state(i);
      if (reachable.contains(i)) {
        EXPECT_EQ(state, block_state::reachable) << seed << " " << i;
      } else if (possible.contains(i)) {
        EXPECT_EQ(state, block_state::possible) << seed << " " << i;
      } else if (state == block_state::indirect) {
        indirect.blocks += 1;
        indirect.bytes += heap.blocks()[i].usable_bytes;
      } else {
        EXPECT_EQ(state, block_state::definite) << seed << " " << i;
        led.blocks += heap.held(i).blocks;
        led.bytes += heap.held(i).bytes;
      }
    }
    // Each indirect block goes with exactly one.
    EXPECT_EQ(led.blocks, indirect.blocks) << seed;
    EXPECT_EQ(led.bytes, indirect.bytes) << seed;
    for (std::size_t i = 0; i < count; ++i) expect_led(heap, i);
  }
}

// How many blocks lie on the shortest way to each, itself included; 0: no way leads there.
std::vector<std::size_t> distances(const std::vector<made_block>& blocks, std::vector<std::size_t> open) {
  std::vector<std::size_t> result(blocks.size());
  for (const std::size_t one : open) result[one] = 1;
  for (std::size_t i = 0; i < open.size(); ++i) {
    for (const std::size_t to : blocks[open[i]].starts) {
      if (result[to] != 0) continue;
      result[to] = result[open[i]] + 1;
      open.push_back(to);
    }
  }
  return result;
}

TEST(Reachability, PlacesLeadBackByAShortestWay) {
  for (std::uint32_t seed = 100; seed < 130; ++seed) {
    dice thrown(seed);
    made_heap heap;
    throw_graph(thrown, heap);
    std::vector<std::size_t> held;
    std::vector<std::uintptr_t> roots;
    for (std::size_t i = 0; i < heap.blocks().size(); ++i) {
      if (!thrown.one_in(15)) continue;
      held.push_back(i);
      roots.push_back(heap.blocks()[i].begin);
    }
    heap.look(roots);
    if (HasFatalFailure()) return;
    const std::vector<std::size_t> shortest = distances(heap.blocks(), held);
    std::set<std::uintptr_t> told;
    std::size_t reachable = 0;
    heap.reach().for_each_reached([&](const found_block& block) {
      const auto first_root = reinterpret_cast<std::uintptr_t>(roots.data());
      std::size_t length = 1;
      found_block at = block;
      for (;; ++length) {
        const std::uintptr_t place = reachability::place_of(at);
        const std::uintptr_t pointer = *reinterpret_cast<const std::uintptr_t*>(place);
        EXPECT_LT(pointer - at.begin, at.run->block_bytes);
        if (place - first_root < roots.size() * sizeof(std::uintptr_t)) break;
        at = heap.table().find(place);
        ASSERT_NE(at.run, nullptr);
        // Whoever reads them in their order knows each holder before what it holds.
        ASSERT_TRUE(told.contains(at.begin)) << seed;
      }
      told.insert(block.begin);
      if (block.state() != block_state::reachable) return;
      ++reachable;
      const auto made = std::find_if(heap.blocks().begin(), heap.blocks().end(),
                                     [&](const made_block& one) { return one.begin == block.begin; });
      EXPECT_EQ(length, shortest[static_cast<std::size_t>(made - heap.blocks().begin())]) << seed;
    });
    EXPECT_EQ(reachable, static_cast<std::size_t>(std::count_if(shortest.begin(), shortest.end(),
                                                                [](std::size_t length) { return length != 0; })));
  }
}

TEST(Reachability, FreeBlocksAreNone) {
  std::vector<void*> freed;
  for (int i = 0; i < 500; ++i)
    freed.push_back(allocate(16u + static_cast<unsigned>(i), wire::allocation_entry::malloc));
  for (void* block : freed) deallocate(block);
  made_heap heap;
  const std::size_t one = heap.add(24);
  heap.look({});
  if (HasFatalFailure()) return;
  EXPECT_EQ(heap.state(one), block_state::definite);
  EXPECT_EQ(heap.table().live_blocks(), 1u);
  EXPECT_EQ(heap.table().unread_lists(), 0u);
}

// As a program leaves a coroutine's stack that it took from the heap: with a guard in it.
TEST(Reachability, PagesOfABlockMayBeUnreadableOrUnwritable) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  made_heap heap;
  const std::size_t guarded = heap.add(8 * page), fixed = heap.add(8 * page);
  const std::size_t before = heap.add(40), behind = heap.add(50), led = heap.add(60);
  heap.word(guarded, 0) = heap.blocks()[before].begin;
  heap.word(guarded, 8 * page / 8 - 1) = heap.blocks()[behind].begin;
  heap.word(fixed, 3) = heap.blocks()[led].begin;
  const auto whole_pages = [&](std::size_t block) {
    return reinterpret_cast<void*>((heap.blocks()[block].begin + 2 * page) / page * page);
  };
  void* const first_of_fixed = reinterpret_cast<void*>(heap.blocks()[fixed].begin / page * page);
  ASSERT_EQ(::mprotect(whole_pages(guarded), 3 * page, PROT_NONE), 0);
  ASSERT_EQ(::mprotect(first_of_fixed, page, PROT_READ), 0);
  const std::uintptr_t unreadable = reinterpret_cast<std::uintptr_t>(whole_pages(guarded)) + page;
  heap.look({heap.blocks()[guarded].begin, unreadable});
  ::mprotect(whole_pages(guarded), 3 * page, PROT_READ | PROT_WRITE);
  ::mprotect(first_of_fixed, page, PROT_READ | PROT_WRITE);
  if (HasFatalFailure()) return;
  EXPECT_EQ(heap.state(guarded), block_state::reachable);
  EXPECT_EQ(heap.state(before), block_state::reachable);
  EXPECT_EQ(heap.state(behind), block_state::reachable);
  EXPECT_EQ(heap.state(fixed), block_state::definite);
  EXPECT_EQ(heap.state(led), block_state::indirect);
  EXPECT_EQ(heap.leader(led), heap.blocks()[fixed].begin);
  EXPECT_EQ(heap.held(fixed).blocks, 1u);
  // What is looked through stays as it is.
  EXPECT_EQ(heap.word(fixed, 0), 0u);
}

class HeldInside : public ::testing::Test {
 protected:
  // Whether a block whose first words are these is held by a pointer to `offset`.
  static bool is_held(std::size_t bytes, std::size_t offset, const std::vector<std::uintptr_t>& words) {
    made_heap heap;
    const std::size_t block = heap.add(bytes);
    for (std::size_t i = 0; i < words.size(); ++i) heap.word(block, i) = words[i];
    heap.look({heap.blocks()[block].begin + offset});
    const bool result = heap.state(block) == block_state::reachable;
    EXPECT_EQ(result, heap.reach().heuristic_blocks() == 1);
    EXPECT_TRUE(result || heap.state(block) == block_state::possible);
    return result;
  }
};

TEST_F(HeldInside, AReferenceCountedString) {
  EXPECT_TRUE(is_held(24 + 101, 24, {50, 100, 0}));
  EXPECT_FALSE(is_held(24 + 101, 24, {101, 100, 0}));  // longer than it can be
  EXPECT_FALSE(is_held(24 + 101, 24, {50, 30, 0}));    // the block would be smaller
  EXPECT_FALSE(is_held(24 + 101, 24, {50, 300, 0}));
  EXPECT_FALSE(is_held(32, 24, {0, 0, 0}));
}

TEST_F(HeldInside, ElementsBehindTheirCount) {
  EXPECT_TRUE(is_held(8 + 7 * 24, 8, {7}));
  EXPECT_TRUE(is_held(16 + 5 * 32, 16, {0, 5}));  // elements aligned to 16
  EXPECT_FALSE(is_held(8 + 7 * 24, 8, {0}));
  EXPECT_FALSE(is_held(8 + 7 * 24, 8, {100'000}));
  EXPECT_FALSE(is_held(8 + 7 * 24, 24, {7}));
}

TEST_F(HeldInside, ALengthBeforeIt) {
  EXPECT_TRUE(is_held(1000, 8, {992}));
  EXPECT_TRUE(is_held(100'000, 8, {99'992}));
  EXPECT_FALSE(is_held(1000, 8, {800}));
  EXPECT_FALSE(is_held(16, 8, {0}));
}

struct first_base {
  virtual ~first_base() = default;
  std::uintptr_t one = 1;
};
struct second_base {
  virtual ~second_base() = default;
  std::uintptr_t two = 2;
};
struct both : first_base, second_base {};

TEST_F(HeldInside, ASecondBaseClass) {
  both made;
  second_base* const second = &made;
  const auto table_of = [](const void* object) { return *static_cast<const std::uintptr_t*>(object); };
  const auto offset = static_cast<std::size_t>(reinterpret_cast<char*>(second) - reinterpret_cast<char*>(&made));
  ASSERT_EQ(offset, 16u);
  EXPECT_TRUE(is_held(96, offset, {table_of(&made), 0, table_of(second), 2}));
  EXPECT_FALSE(is_held(96, offset, {table_of(&made), 0, 12345, 2}));
  EXPECT_FALSE(is_held(96, offset, {reinterpret_cast<std::uintptr_t>(&made), 0, table_of(second), 2}));
}

}  // namespace
}  // namespace tenure::core
