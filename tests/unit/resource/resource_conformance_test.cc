// One suite that every resource is put through. A case says how to make the resource and what kind of requests it
// takes; the oracle is a map of the blocks that were handed out, with a content for each.
#include <gtest/gtest.h>
#include <tenure/adaptors.hpp>
#include <tenure/arena.hpp>
#include <tenure/binning.hpp>
#include <tenure/buddy.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/frame_ring.hpp>
#include <tenure/heap.hpp>
#include <tenure/huge_page.hpp>
#include <tenure/lazy.hpp>
#include <tenure/mapped_file.hpp>
#include <tenure/numa.hpp>
#include <tenure/secure.hpp>
#include <tenure/shared.hpp>
#include <tenure/slab.hpp>
#ifdef TENURE_HAS_COMPRESSED
#include <tenure/compressed.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <list>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;
using testing::filled_block;

// What every case begins from; a case overrides what is different.
struct usual_case {
  static constexpr std::size_t largest_bytes = 5000;
  static constexpr std::size_t largest_alignment = 256;
  static constexpr bool takes_back = true;      // a released block is used no longer
  static constexpr bool knows_blocks = true;    // visit_live() tells single blocks
  static constexpr bool takes_upstream = true;  // gives all back to it
  static constexpr bool grows = true;           // asks for more when it is full
  static constexpr bool counts_whole = true;    // what it counts as used is what visit_live() tells
  static constexpr bool keeps = true;           // memory that trim() can give back
  static constexpr bool ends_all = true;        // at its end blocks in use go back to the upstream
};

// A resource and those below it, which end after it.
template <class Top, class Below>
struct pile {
  template <class MakeBelow, class MakeTop>
  pile(MakeBelow make_below, MakeTop make_top) : below(make_below()), top(make_top(*below)) {}
  std::shared_ptr<Below> below;
  std::unique_ptr<Top> top;
};
template <class Top, class Below, class MakeTop>
std::shared_ptr<Top> put_on(std::shared_ptr<Below> below, MakeTop make_top) {
  auto both = std::make_shared<pile<Top, Below>>([&] { return std::move(below); }, make_top);
  return {both, both->top.get()};
}

// A case with the checks of debug builds.
template <class Case>
struct checked : Case {
  static auto make(counting_upstream& upstream) { return Case::make(upstream, resource_checks::on); }
};

struct arena_case : usual_case {
  static constexpr bool takes_back = false;
  static constexpr bool knows_blocks = false;
  using type = arena;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(arena_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct checked_arena_case : checked<arena_case> {
  static constexpr bool takes_upstream = false;
};

struct fixed_pool_case : usual_case {
  static constexpr std::size_t largest_bytes = 96;
  static constexpr std::size_t largest_alignment = 32;
  using type = fixed_pool;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(fixed_pool_options{
        .name = "tested", .block_bytes = 96, .alignment = 32, .checks = checks, .upstream = &upstream});
  }
};

struct frame_ring_case : arena_case {
  using type = frame_ring;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(frame_ring_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct checked_frame_ring_case : checked<frame_ring_case> {
  static constexpr bool takes_upstream = false;
};

struct buddy_case : usual_case {
  static constexpr bool grows = false;
  using type = buddy;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(buddy_options{
        .name = "tested", .bytes = 9 << 20, .smallest_bytes = 256, .checks = checks, .upstream = &upstream});
  }
};

struct slab_case : usual_case {
  using type = slab;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(slab_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct huge_page_case : usual_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool grows = false;  // by 2 MiB at once
  using type = huge_page;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(huge_page_options{.name = "tested", .region_bytes = 2 << 20, .checks = checks});
  }
};

struct numa_case : usual_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool grows = false;  // by 2 MiB at once
  using type = numa;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(numa_options{.name = "tested", .region_bytes = 2 << 20, .checks = checks});
  }
};

struct mapped_file_case : usual_case {
  static constexpr bool takes_upstream = false;
  using type = mapped_file;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(
        mapped_file_options{.name = "tested", .limit_bytes = 32 << 20, .grow_bytes = 1 << 16, .checks = checks});
  }
};

struct lazy_case : usual_case {
  static constexpr bool takes_upstream = false;
  using type = lazy;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(lazy_options{.name = "tested", .limit_bytes = 1 << 30, .checks = checks});
  }
};

struct shared_case : usual_case {
  static constexpr bool takes_upstream = false;
  using type = shared;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(shared_options{.name = "tested", .bytes = 16 << 20, .checks = checks});
  }
};

struct secure_case : usual_case {
  static constexpr std::size_t largest_alignment = 16;
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;  // canaries are not the user's
  using type = secure;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(secure_options{.name = "tested", .must_lock = false, .checks = checks});
  }
};

// None where userfaultfd is refused.
#ifdef TENURE_HAS_COMPRESSED
struct compressed_case : usual_case {
  static constexpr bool takes_upstream = false;
  using type = compressed;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    if (type::why_not() != nullptr) return nullptr;
    compressed_options options{.name = "tested", .limit_bytes = 32 << 20};
    options.most_resident_bytes = 1 << 20;
    options.cold_after = std::chrono::milliseconds(1);
    options.checks = checks;
    return std::make_unique<type>(options);
  }
};
#endif

// Adaptors: on a resource of Tenure's, which knows what they do not, or on others.
struct adaptor_case : usual_case {
  static constexpr bool keeps = false;
  static constexpr bool ends_all = false;
};

struct tracking_case : adaptor_case {
  static constexpr bool ends_all = true;
  using type = tracking_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream, const char* name = "tested") {
    return std::make_shared<type>(
        tracking_options{.name = name, .reports_at_end = false, .gives_back_at_end = true, .upstream = &upstream});
  }
};

template <class Type, class Options>
struct on_tracking_case : tracking_case {
  using type = Type;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(Options{.name = "tested", .upstream = &below});
    });
  }
};
using statistics_case = on_tracking_case<statistics_resource_adaptor, statistics_options>;
using copy_detecting_case = on_tracking_case<copy_detecting_resource_adaptor, copy_detecting_options>;
using failure_case = on_tracking_case<failure_injecting_resource_adaptor, failure_injecting_options>;

// A pool's blocks are larger than what was asked for, and stay with it.
template <class Type, class Options>
struct on_pool_case : fixed_pool_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  using type = Type;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(std::shared_ptr<fixed_pool>(fixed_pool_case::make(upstream)), [](auto& below) {
      return std::make_unique<type>(Options{.name = "tested", .upstream = &below});
    });
  }
};
using synchronized_case = on_pool_case<synchronized_resource_adaptor, synchronized_options>;
using limiting_case = on_pool_case<limiting_resource_adaptor, limiting_options>;

struct limiting_arena_case : arena_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool takes_back = true;  // as the adaptor counts
  using type = limiting_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(std::shared_ptr<arena>(arena_case::make(upstream)), [](auto& below) {
      return std::make_unique<type>(limiting_options{.name = "tested", .upstream = &below});
    });
  }
};

struct aligned_case : tracking_case {
  using type = aligned_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(aligned_options{.name = "tested", .alignment = 64, .upstream = &below});
    });
  }
};

// On an upstream that takes no alignment beyond 16.
struct padded_case : aligned_case {
  static constexpr bool knows_blocks = false;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(
          aligned_options{.name = "tested", .alignment = 64, .upstream_alignment = 16, .upstream = &below});
    });
  }
};

// A pool for a hundred blocks, then the upstream.
struct fallback_case : fixed_pool_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  static constexpr bool keeps = false;
  using type = fallback_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    const auto pool = std::make_shared<fixed_pool>(fixed_pool_options{.name = "below",
                                                                      .block_bytes = 96,
                                                                      .alignment = 32,
                                                                      .limit_blocks = 100,
                                                                      .checks = resource_checks::off,
                                                                      .upstream = &upstream});
    return put_on<type>(
        put_on<tracking_resource_adaptor>(pool,
                                          [&](auto& below) {
                                            return std::make_unique<tracking_resource_adaptor>(tracking_options{
                                                .name = "tracked", .reports_at_end = false, .upstream = &below});
                                          }),
        [&](auto& below) {
          return std::make_unique<type>(fallback_options{.name = "tested", .upstream = &below, .second = second()});
        });
  }
  static std::pmr::memory_resource* second() {
    static tracking_resource_adaptor all(
        {.name = "second", .reports_at_end = false, .gives_back_at_end = true, .upstream = nullptr});
    return &all;
  }
};

// Small blocks in a pool, the rest in a slab that is limited.
struct binning_case : usual_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  struct both {
    both(counting_upstream& upstream, resource_checks checks)
        : pool({.name = "pool", .block_bytes = 64, .checks = resource_checks::off, .upstream = &upstream}),
          rest({.name = "rest", .checks = resource_checks::off, .upstream = &upstream}),
          top({.name = "tested", .bins = {{64, &pool}}, .checks = checks, .upstream = &rest}) {}
    fixed_pool pool;
    slab rest;
    binning top;
  };
  using type = binning;
  static std::shared_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    auto all = std::make_shared<both>(upstream, checks);
    return {all, &all->top};
  }
};

struct discarded : std::streambuf {
  int_type overflow(int_type one) override { return one; }
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
};

// Everything at once: a log of what several threads ask of an arena, counted and limited.
struct composed_case : arena_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool takes_back = true;
  using type = synchronized_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    static discarded nothing;
    static std::ostream nowhere(&nothing);
    auto limited = limiting_arena_case::make(upstream);
    auto counted = put_on<statistics_resource_adaptor>(std::move(limited), [](auto& below) {
      return std::make_unique<statistics_resource_adaptor>(statistics_options{.name = "counted", .upstream = &below});
    });
    auto logged = put_on<logging_resource_adaptor>(std::move(counted), [](auto& below) {
      return std::make_unique<logging_resource_adaptor>(
          logging_options{.name = "logged", .to = &nowhere, .upstream = &below});
    });
    return put_on<type>(std::move(logged), [](auto& below) {
      return std::make_unique<type>(synchronized_options{.name = "tested", .upstream = &below});
    });
  }
};

static_assert(!resource<std::pmr::monotonic_buffer_resource> && !resource<int>);
static_assert(adaptor<limiting_resource_adaptor> && !adaptor<arena>);

template <class Case>
class Resource : public ::testing::Test {
  static_assert(resource<typename Case::type>);

 protected:
  void SetUp() override {
    if (tested_ == nullptr) GTEST_SKIP() << "the system refuses what it needs";
  }

  counting_upstream upstream_;
  std::shared_ptr<typename Case::type> tested_ = Case::make(upstream_);
  std::mt19937_64 dice_{20};

  filled_block make_one() {
    const std::size_t bytes = 1 + dice_() % Case::largest_bytes;
    std::size_t alignment = 1;
    while (alignment < Case::largest_alignment && dice_() % 2 == 0) alignment *= 2;
    return filled_block::make(*tested_, bytes, alignment, static_cast<unsigned char>(dice_()));
  }
  void give_back(const filled_block& one) { tested_->deallocate(one.start, one.bytes, one.alignment); }

  // Against all others at once: none overlaps another.
  void expect_apart(std::vector<filled_block> blocks) {
    std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < blocks.size(); ++i) {
      ASSERT_LE(static_cast<char*>(blocks[i - 1].start) + blocks[i - 1].bytes, blocks[i].start);
    }
  }
};

using cases =
    ::testing::Types<arena_case, checked_arena_case, fixed_pool_case, checked<fixed_pool_case>, buddy_case,
                     checked<buddy_case>, slab_case, checked<slab_case>, frame_ring_case, checked_frame_ring_case,
                     tracking_case, statistics_case, copy_detecting_case, failure_case, synchronized_case,
                     limiting_case, limiting_arena_case, aligned_case, padded_case, fallback_case, composed_case,
                     binning_case, checked<binning_case>, huge_page_case, checked<huge_page_case>, numa_case,
                     checked<numa_case>, mapped_file_case, checked<mapped_file_case>, lazy_case, checked<lazy_case>,
                     shared_case, checked<shared_case>, secure_case, checked<secure_case>
#ifdef TENURE_HAS_COMPRESSED
                     ,
                     compressed_case, checked<compressed_case>
#endif
                     >;
TYPED_TEST_SUITE(Resource, cases);

TYPED_TEST(Resource, IsInTheLedgerByItsName) {
  EXPECT_STREQ(this->tested_->name(), "tested");
  ASSERT_NE(this->tested_->account(), nullptr);
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(this->tested_->account(), &figures), 1);
  EXPECT_STREQ(figures.name, "tested");
  EXPECT_EQ(figures.publishes_use, 1);
  tenure_account* const was = this->tested_->account();
  this->tested_.reset();
  struct search {
    tenure_account* account;
    bool found = false;
  } looking{was};
  tenure_account_visit(
      [](void* context, tenure_account* account, const tenure_account_stats*) {
        auto* self = static_cast<search*>(context);
        self->found = self->found || account == self->account;
        return 1;
      },
      &looking);
  EXPECT_FALSE(looking.found);
}

TYPED_TEST(Resource, HandsOutBlocksThatAreAlignedApartAndKept) {
  std::vector<filled_block> blocks;
  std::uint64_t made = 0;
  const std::uint64_t allocations = this->tested_->statistics().allocations;
  for (int step = 0; step < 4000; ++step) {
    if (blocks.empty() || blocks.size() < 300 || this->dice_() % 2 == 0) {
      blocks.push_back(this->make_one());
      ++made;
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back().start) % blocks.back().alignment, 0u);
      ASSERT_TRUE(this->tested_->owns(blocks.back().start));
    } else {
      std::swap(blocks[this->dice_() % blocks.size()], blocks.back());
      ASSERT_TRUE(blocks.back().is_intact());
      this->give_back(blocks.back());
      blocks.pop_back();
    }
    if (step % 500 == 0) {
      this->tested_->check();
      this->expect_apart(blocks);
    }
    if (blocks.size() > 600) {
      while (blocks.size() > 100) this->give_back(blocks.back()), blocks.pop_back();
    }
  }
  for (const filled_block& one : blocks) EXPECT_TRUE(one.is_intact());
  const resource_statistics now = this->tested_->statistics();
  if (TypeParam::takes_back) {
    EXPECT_EQ(now.used_blocks, blocks.size());
    EXPECT_EQ(now.allocations, allocations + made);
  } else {
    EXPECT_EQ(now.used_blocks, made);
  }
  std::size_t asked = 0;
  for (const filled_block& one : blocks) asked += one.bytes;
  EXPECT_GE(now.used_bytes, asked);
  EXPECT_GE(now.held_bytes, now.used_bytes);
  EXPECT_GE(now.peak_used_bytes, now.used_bytes);
  if (TypeParam::takes_upstream) {
    EXPECT_EQ(now.held_bytes, this->upstream_.live_bytes());
  }
}

TYPED_TEST(Resource, TellsExactlyWhatIsLive) {
  std::vector<filled_block> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(this->make_one());
  for (int i = 0; i < 80; ++i) {
    std::swap(blocks[this->dice_() % blocks.size()], blocks.back());
    this->give_back(blocks.back());
    blocks.pop_back();
  }
  const auto live = testing::live_ranges(*this->tested_);
  std::uint64_t bytes = 0;
  for (const auto& [begin, length] : live) bytes += length;
  if (TypeParam::knows_blocks) {
    EXPECT_EQ(live.size(), blocks.size());
    if (TypeParam::counts_whole) {
      EXPECT_EQ(bytes, this->tested_->statistics().used_bytes);
    }
  }
  for (const filled_block& one : blocks) {
    const auto begin = reinterpret_cast<std::uintptr_t>(one.start);
    auto after = live.upper_bound(begin);
    ASSERT_NE(after, live.begin());
    --after;
    EXPECT_GE(after->first + after->second, begin + one.bytes);
    if (TypeParam::knows_blocks) {
      EXPECT_EQ(after->first, begin);
    }
  }
}

TYPED_TEST(Resource, TakesZeroBytes) {
  void* first = this->tested_->allocate(0);
  void* second = this->tested_->allocate(0);
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  this->tested_->deallocate(first, 0);
  this->tested_->deallocate(second, 0);
  this->tested_->check();
}

TYPED_TEST(Resource, RefusesWhatCannotBe) {
  const auto far = static_cast<std::size_t>(PTRDIFF_MAX) + 1;
  std::size_t volatile huge = far;
  EXPECT_THROW(static_cast<void>(this->tested_->allocate(huge)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(this->tested_->allocate(16, huge)), std::bad_alloc);
  EXPECT_EQ(this->tested_->statistics().used_blocks, 0u);
  this->tested_->check();
}

TYPED_TEST(Resource, StaysWithinItsLimit) {
  if (!TypeParam::grows) GTEST_SKIP() << "holds one range from the beginning";
  constexpr std::uint64_t limit = 300'000;
  this->tested_->set_limits({.hard_bytes = limit});
  const std::uint64_t refusals = this->tested_->statistics().refusals;
  std::vector<filled_block> blocks;
  EXPECT_THROW(
      for (;;) {
        blocks.push_back(this->make_one());
        ASSERT_LE(this->tested_->statistics().held_bytes, limit);
      },
      std::bad_alloc);
  EXPECT_GT(this->tested_->statistics().used_bytes, limit / 4);
  EXPECT_EQ(this->tested_->statistics().refusals, refusals + 1);
  for (const filled_block& one : blocks) ASSERT_TRUE(one.is_intact());
  this->tested_->check();
  // More may be had again when the limit rises.
  this->tested_->set_limits({});
  EXPECT_NO_THROW(blocks.push_back(this->make_one()));
}

TYPED_TEST(Resource, IsAsItWasWhenTheUpstreamRefuses) {
  if (!TypeParam::takes_upstream || !TypeParam::grows) GTEST_SKIP() << "asks no upstream";
  std::vector<filled_block> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back(this->make_one());
  this->upstream_.refuse_from_now(true);
  EXPECT_THROW(for (;;) blocks.push_back(this->make_one()), std::bad_alloc);
  this->tested_->check();
  const resource_statistics now = this->tested_->statistics();
  EXPECT_EQ(now.used_blocks, blocks.size());
  EXPECT_EQ(now.held_bytes, this->upstream_.live_bytes());
  this->upstream_.refuse_from_now(false);
  for (int i = 0; i < 50; ++i) blocks.push_back(this->make_one());
  for (const filled_block& one : blocks) ASSERT_TRUE(one.is_intact());
}

TYPED_TEST(Resource, GivesBackWhatIsNotUsed) {
  if (!TypeParam::takes_upstream || !TypeParam::grows || !TypeParam::keeps) GTEST_SKIP() << "keeps nothing";
  std::vector<filled_block> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(this->make_one());
  const filled_block kept = blocks.front();
  for (std::size_t i = 1; i < blocks.size(); ++i) this->give_back(blocks[i]);
  const std::size_t before = this->upstream_.live_bytes();
  const std::size_t freed = this->tested_->trim();
  EXPECT_EQ(this->upstream_.live_bytes(), before - freed);
  EXPECT_EQ(this->tested_->statistics().held_bytes, this->upstream_.live_bytes());
  if (TypeParam::takes_back) {
    EXPECT_GT(freed, before / 2);
  }
  EXPECT_TRUE(kept.is_intact());
  this->tested_->check();
  this->give_back(kept);
  if (TypeParam::takes_back) {
    this->tested_->trim();
    EXPECT_EQ(this->upstream_.live_bytes(), 0u);
  }
  this->give_back(this->make_one());
}

TYPED_TEST(Resource, GivesEverythingBackAtItsEnd) {
  if (!TypeParam::takes_upstream || !TypeParam::ends_all) GTEST_SKIP() << "asks no upstream";
  for (int i = 0; i < 500; ++i) this->make_one();
  EXPECT_GT(this->upstream_.live_blocks(), 0u);
  this->tested_.reset();
  EXPECT_EQ(this->upstream_.live_blocks(), 0u);
}

TYPED_TEST(Resource, IsEqualToItselfAlone) {
  const auto other = TypeParam::make(this->upstream_);
  EXPECT_TRUE(this->tested_->is_equal(*this->tested_));
  EXPECT_FALSE(this->tested_->is_equal(*other));
}

TYPED_TEST(Resource, ServesContainers) {
  std::pmr::list<std::uint32_t> numbers(this->tested_.get());
  for (std::uint32_t i = 0; i < 1000; ++i) numbers.push_back(i * i);
  numbers.remove_if([](std::uint32_t one) { return one % 2 == 1; });
  std::uint64_t sum = 0;
  for (const std::uint32_t one : numbers) sum += one;
  EXPECT_EQ(sum, 166'167'000u);  // of the squares of 0, 2, ... 998
}

}  // namespace
}  // namespace tenure
