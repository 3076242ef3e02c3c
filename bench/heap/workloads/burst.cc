// What a program that idles after much was freed still holds: nothing is called in between, so what goes back goes by
// itself. Each second the program says how much of its memory is resident.
//
// burst: 64 MiB that stay, then 1 GiB of assorted blocks allocated and freed.
// scattered: 4 GiB of assorted blocks, of which all but one in a hundred are freed, in random order: survivors of all
//   sizes lie everywhere.
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "measure.h"
#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t mebibyte = 1024 * 1024;
constexpr std::size_t page_bytes = 4096;
constexpr int seconds_watched = 10;
constexpr std::size_t blocks_most = 8 * mebibyte;

struct block {
  void* start;
  std::size_t size_bytes;
};

// The list of blocks lies outside the heap and goes back to the kernel, so that all that remains is the allocator's.
class block_table {
 public:
  block_table()
      : blocks_(static_cast<block*>(mmap(nullptr, blocks_most * sizeof(block), PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (blocks_ == MAP_FAILED) {
      std::perror("mmap");
      std::exit(1);
    }
  }
  block_table(const block_table&) = delete;
  block_table& operator=(const block_table&) = delete;
  ~block_table() { munmap(blocks_, blocks_most * sizeof(block)); }

  // Allocates and writes blocks of 64 bytes to 64 KiB until they sum to this many bytes.
  void fill(std::size_t total_bytes, random_source& random) {
    for (std::size_t sum_bytes = 0; sum_bytes < total_bytes && count_ < blocks_most; ++count_) {
      const std::size_t size_bytes = random.size_between(6, 16);
      blocks_[count_] = {std::malloc(size_bytes), size_bytes};
      touch(blocks_[count_].start, size_bytes);
      sum_bytes += size_bytes;
    }
  }

  // In the order in which they were allocated.
  void free_all() { free_down_to(0); }
  // In random order, until so many are left.
  void scatter(std::size_t left, random_source& random) {
    for (std::size_t index = count_; index > 1; --index) std::swap(blocks_[index - 1], blocks_[random.below(index)]);
    free_down_to(left);
  }

  std::size_t count() const { return count_; }
  std::size_t live_bytes() const {
    std::size_t sum_bytes = 0;
    for (std::size_t index = 0; index < count_; ++index) sum_bytes += blocks_[index].size_bytes;
    return sum_bytes;
  }
  // The OS pages on which there is a byte of them: what no allocator that moves nothing can do without. Puts them in
  // the order of their addresses.
  std::size_t touched_page_bytes() {
    std::sort(blocks_, blocks_ + count_, [](const block& one, const block& other) { return one.start < other.start; });
    std::size_t pages = 0;
    std::uintptr_t next_page = 0;
    for (std::size_t index = 0; index < count_; ++index) {
      const auto begin = reinterpret_cast<std::uintptr_t>(blocks_[index].start);
      const std::uintptr_t first = std::max(begin / page_bytes, next_page);
      const std::uintptr_t end = (begin + blocks_[index].size_bytes - 1) / page_bytes + 1;
      pages += end > first ? end - first : 0;
      next_page = std::max(next_page, end);
    }
    return pages * page_bytes;
  }
  // The list's own memory behind what is left of it.
  void give_list_back() {
    const std::size_t used_bytes = (count_ * sizeof(block) + page_bytes - 1) / page_bytes * page_bytes;
    madvise(reinterpret_cast<char*>(blocks_) + used_bytes, blocks_most * sizeof(block) - used_bytes, MADV_DONTNEED);
  }
  // What the allocator counts as in use for these blocks.
  std::size_t usable_bytes() const {
    std::size_t sum_bytes = 0;
    for (std::size_t index = 0; index < count_; ++index) sum_bytes += malloc_usable_size(blocks_[index].start);
    return sum_bytes;
  }

 private:
  void free_down_to(std::size_t left) {
    for (std::size_t index = left; index < count_; ++index) std::free(blocks_[index].start);
    count_ = left;
  }

  block* blocks_;
  std::size_t count_ = 0;
};

// Sleeps and looks, and says what there was.
void watch(const char* name, block_table& kept, std::uint64_t start_rss_bytes) {
  std::uint64_t rss_by_second[seconds_watched + 1];
  for (int second = 0; second <= seconds_watched; ++second) {
    rss_by_second[second] = rss_bytes();
    if (second < seconds_watched) {
      sleep(1);
    }
  }
  std::printf(
      "{\"name\": \"%s\", \"live_bytes\": %zu, \"usable_bytes\": %zu, \"touched_page_bytes\": %zu, "
      "\"start_rss_bytes\": %llu, "
      "\"peak_rss_bytes\": %llu, "
      "\"rss_bytes_by_second\": [",
      name, kept.live_bytes(), kept.usable_bytes(), kept.touched_page_bytes(),
      static_cast<unsigned long long>(start_rss_bytes), static_cast<unsigned long long>(peak_rss_bytes()));
  for (int second = 0; second <= seconds_watched; ++second) {
    std::printf("%s%llu", second ? ", " : "", static_cast<unsigned long long>(rss_by_second[second]));
  }
  std::printf("], \"malloc_from\": \"%s\", \"new_from\": \"%s\"}\n", provider_of("malloc"), provider_of("_Znwm"));
}

}  // namespace

int run_burst() {
  const std::uint64_t start_rss_bytes = rss_bytes();
  random_source random(111);
  block_table kept;
  kept.fill(64 * mebibyte, random);
  {
    block_table burst;
    burst.fill(1024 * mebibyte, random);
    burst.free_all();
  }
  watch("burst", kept, start_rss_bytes);
  kept.free_all();
  return 0;
}

int run_scattered() {
  const std::uint64_t start_rss_bytes = rss_bytes();
  random_source random(112);
  block_table kept;
  kept.fill(4096 * mebibyte, random);
  kept.scatter(kept.count() / 100, random);
  kept.give_list_back();
  watch("scattered", kept, start_rss_bytes);
  kept.free_all();
  return 0;
}

}  // namespace tenure::bench
