// Tenure's own C interface and tenure::heap, as include/tenure/ promises them.
#include <gtest/gtest.h>
#include <malloc.h>
#include <tenure/tenure.h>
#include <tenure/heap.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::opaque;

TEST(the_library, says_that_it_is_active_and_which_it_is) {
  EXPECT_EQ(tenure_is_active(), 1);
  const std::string version = tenure_version();
  EXPECT_EQ(std::count(version.begin(), version.end(), '.'), 2) << version;
}

TEST(options, can_be_read_and_set_while_the_program_runs) {
  int64_t before = -1, now = -1;
  ASSERT_EQ(tenure_option_get("decay", &before), 1);
  EXPECT_EQ(tenure_option_set("decay", 250), 1);
  EXPECT_EQ(tenure_option_get("decay", &now), 1);
  EXPECT_EQ(now, 250);
  EXPECT_EQ(tenure_option_set("decay", -1), 0);
  EXPECT_EQ(tenure_option_set("decay", INT64_MAX), 0);
  EXPECT_EQ(tenure_option_get("decay", &now), 1);
  EXPECT_EQ(now, 250) << "a refused value must change nothing";
  EXPECT_EQ(tenure_option_set("no_such_option", 1), 0);
  EXPECT_EQ(tenure_option_get("no_such_option", &now), 0);
  EXPECT_EQ(tenure_option_set("decay", before), 1);
}

TEST(block_start_and_size, lead_from_any_byte_to_its_block) {
  for (const std::size_t size : {1ul, 16ul, 100ul, 5000ul, 33000ul, 700000ul, 20000000ul}) {
    auto* block = static_cast<char*>(std::malloc(opaque(size)));
    const std::size_t usable = tenure_block_size(block);
    ASSERT_GE(usable, size);
    for (const std::size_t offset : {std::size_t{0}, size / 2, usable - 1}) {
      std::size_t found = 0;
      EXPECT_EQ(tenure_block_start(block + offset, &found), block);
      EXPECT_EQ(found, usable);
    }
    EXPECT_EQ(tenure_block_size(block + 1), 0u);
    std::free(block);
  }
}

TEST(block_start_and_size, know_nothing_of_what_is_not_the_heaps) {
  char on_stack[64] = {};
  static char global[64];
  std::size_t size = 77;
  EXPECT_EQ(tenure_block_start(on_stack, &size), nullptr);
  EXPECT_EQ(tenure_block_start(global, &size), nullptr);
  EXPECT_EQ(tenure_block_start(nullptr, &size), nullptr);
  EXPECT_EQ(tenure_block_size(on_stack), 0u);
  EXPECT_EQ(tenure_block_size(nullptr), 0u);
  for (std::uintptr_t address = 1; address != 0; address *= 2) {
    EXPECT_EQ(tenure_block_size(reinterpret_cast<void*>(address)), 0u) << address;
  }
}

// Balanced outside strings, and strings ended: enough to catch a figure that was cut or a comma too many.
bool balanced_json(const std::string& text) {
  std::string open;
  bool in_string = false;
  for (std::size_t place = 0; place < text.size(); ++place) {
    const char each = text[place];
    if (in_string && each == '\\') ++place;
    if (each == '"') in_string = !in_string;
    if (in_string) continue;
    if (each == '{' || each == '[') open.push_back(each);
    if (each == '}' || each == ']') {
      if (open.empty() || open.back() != (each == '}' ? '{' : '[')) return false;
      if (text[place - 1] == ',') return false;
      open.pop_back();
    }
  }
  return open.empty() && !in_string && !text.empty() && text.front() == '{';
}

std::string told_by(std::size_t (*tell)(char*, std::size_t)) {
  std::string text(tell(nullptr, 0) + 4096, '\0');
  const std::size_t needed = tell(text.data(), text.size());
  EXPECT_LT(needed, text.size());
  EXPECT_EQ(std::strlen(text.c_str()), needed);
  text.resize(needed);
  return text;
}

TEST(statistics_as_text, are_complete_in_json_and_cut_never_overrun) {
  const std::string json = told_by(tenure_statistics_json);
  EXPECT_TRUE(balanced_json(json)) << json;
  EXPECT_NE(json.find("live"), std::string::npos);
  EXPECT_GT(told_by(tenure_statistics_text).size(), 100u);
  char small[32];
  std::memset(small, 'x', sizeof small);
  EXPECT_GT(tenure_statistics_json(small, 16), 16u);
  EXPECT_EQ(std::strlen(small), 15u);
  EXPECT_EQ(small[16], 'x');
}

TEST(mallopt_trim_threshold, shortens_the_decay_once) {
  int64_t before = -1, now = -1;
  ASSERT_EQ(tenure_option_get("decay", &before), 1);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 4096), 1);
  ASSERT_EQ(tenure_option_get("decay", &now), 1);
  EXPECT_EQ(now, before / 4);
  EXPECT_EQ(tenure_option_set("decay", before), 1);
}

TEST(statistics_as_text, tell_each_named_heap_exactly) {
  tenure_heap* heap = tenure_heap_create("a \"quoted\"\nname");
  ASSERT_NE(heap, nullptr);
  for (int i = 0; i < 7; ++i) ASSERT_NE(tenure_heap_allocate(heap, 1024, 16), nullptr);
  const std::string json = told_by(tenure_statistics_json);
  EXPECT_TRUE(balanced_json(json)) << json;
  EXPECT_NE(json.find(R"({"name":"a \"quoted\"\u000aname","live_bytes":7168,"live_blocks":7,)"), std::string::npos)
      << json;
  EXPECT_NE(told_by(tenure_statistics_text).find("a \"quoted\""), std::string::npos);
  tenure_heap_destroy(heap);
  EXPECT_EQ(told_by(tenure_statistics_json).find("quoted"), std::string::npos);
}

TEST(statistics, add_up_while_other_threads_allocate) {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (std::size_t index = 0; index < 3; ++index) {
    threads.emplace_back([&, index] {
      for (std::size_t count = 0; !done; ++count) std::free(std::malloc((count * 37 + index) % 5000));
    });
  }
  for (int count = 0; count < 200; ++count) {
    tenure_statistics now{};
    now.struct_size = sizeof now;
    ASSERT_EQ(tenure_statistics_get(&now), 1);
    ASSERT_EQ(now.committed_bytes, now.live_bytes + now.cached_bytes + now.batch_bytes + now.fragmented_bytes +
                                       now.free_dirty_bytes + now.named_span_bytes);
    ASSERT_EQ(now.mapped_bytes, now.committed_bytes + now.free_clean_bytes);
  }
  done = true;
  for (std::thread& each : threads) each.join();
}

TEST(statistics, are_refused_where_there_is_no_room_for_one_figure) {
  tenure_statistics now{};
  now.struct_size = 0;
  EXPECT_EQ(tenure_statistics_get(&now), 0);
}

int stop_at_ten(void* context, const void*, size_t, const char*) { return ++*static_cast<int*>(context) < 10; }

TEST(a_walk, stops_where_the_visitor_says_so_and_may_allocate) {
  std::vector<std::string> kept(100, std::string(200, 'w'));
  int seen = 0;
  EXPECT_EQ(tenure_walk(stop_at_ten, &seen, nullptr), 1);
  EXPECT_EQ(seen, 10);
  std::vector<std::size_t> sizes;
  const auto collect = [](void* context, const void*, size_t size, const char*) {
    static_cast<std::vector<std::size_t>*>(context)->push_back(size);
    return 1;
  };
  tenure_walk_result result{};
  EXPECT_EQ(tenure_walk(collect, &sizes, &result), 1);
  EXPECT_EQ(sizes.size(), result.blocks);
  EXPECT_GE(sizes.size(), 100u);
}

TEST(a_heap, has_a_name_and_exact_counts_and_frees_all_at_once) {
  tenure_heap* heap = tenure_heap_create("sessions");
  ASSERT_NE(heap, nullptr);
  EXPECT_STREQ(tenure_heap_name(heap), "sessions");
  std::size_t usable = 0;
  std::vector<void*> blocks;
  for (std::size_t size = 1; size < 300000; size += size / 2 + 1) {
    blocks.push_back(tenure_heap_allocate(heap, size, 64));
    ASSERT_TRUE(tenure::testing::is_aligned(blocks.back(), 64));
    usable += tenure_block_size(blocks.back());
  }
  tenure_heap_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_heap_statistics(heap, &figures), 1);
  EXPECT_EQ(figures.live_blocks, blocks.size());
  EXPECT_EQ(figures.live_bytes, usable);
  EXPECT_GE(figures.span_bytes, usable);
  std::free(blocks[0]);
  blocks[1] = std::realloc(blocks[1], 100);
  ASSERT_EQ(tenure_heap_statistics(heap, &figures), 1);
  EXPECT_LE(figures.live_blocks, blocks.size() - 1);
  EXPECT_EQ(figures.allocations, blocks.size());
  errno = 0;
  EXPECT_EQ(tenure_heap_allocate(heap, 100, 48), nullptr);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(tenure_heap_allocate(heap, opaque(static_cast<std::size_t>(PTRDIFF_MAX)), 16), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  tenure_heap_destroy(heap);
}

TEST(a_heap, cuts_a_name_that_is_too_long) {
  tenure_heap* heap = tenure_heap_create(std::string(500, 'n').c_str());
  ASSERT_NE(heap, nullptr);
  EXPECT_EQ(std::string(tenure_heap_name(heap)), std::string(63, 'n'));
  tenure_heap_destroy(heap);
}

TEST(a_heap, serves_standard_containers_as_a_memory_resource) {
  tenure::heap heap("containers");
  {
    std::pmr::map<int, std::pmr::string> table(&heap);
    for (int key = 0; key < 5000; ++key) table.emplace(key, std::string(static_cast<std::size_t>(key % 200), 'v'));
    std::pmr::vector<int> numbers(100000, 7, &heap);
    EXPECT_GE(heap.statistics().live_blocks, 5000u);
    EXPECT_GE(heap.statistics().live_bytes, 400000u);
    EXPECT_EQ(table.at(199).size(), 199u);
    EXPECT_EQ(numbers[99999], 7);
  }
  EXPECT_EQ(heap.statistics().live_blocks, 0u);
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
  tenure::heap other("other");
  EXPECT_FALSE(heap.is_equal(other));
  EXPECT_TRUE(heap.is_equal(heap));
}

TEST(a_heap, created_and_destroyed_a_thousand_times_leaves_nothing) {
  const auto round = [] {
    tenure::heap heap("short");
    std::pmr::vector<std::pmr::string> strings(&heap);
    for (int count = 0; count < 100; ++count) strings.emplace_back(500, 's');
  };
  for (int count = 0; count < 20; ++count) round();
  const std::size_t before = tenure::testing::resident_bytes();
  for (int count = 0; count < 1000; ++count) round();
  EXPECT_LE(tenure::testing::resident_bytes(), before + 4 * 1024 * 1024);
}

}  // namespace
