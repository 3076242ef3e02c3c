// A burst: 64 MiB that stay, then 1 GiB of assorted blocks allocated and freed, then sleep. Each second the program
// says how much of its memory the process still holds. Nothing is called in between, so what goes back goes by itself.
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "measure.h"
#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t kept_bytes = 64 * 1024 * 1024;
constexpr std::size_t burst_bytes = 1024UL * 1024 * 1024;
constexpr int seconds_watched = 10;
constexpr std::size_t blocks_most = 8 * 1024 * 1024;

// The list of blocks lies outside the heap and goes back to the kernel, so that all that remains is the allocator's.
class block_table {
 public:
  block_table()
      : blocks_(static_cast<void**>(mmap(nullptr, blocks_most * sizeof(void*), PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (blocks_ == MAP_FAILED) {
      std::perror("mmap");
      std::exit(1);
    }
  }
  block_table(const block_table&) = delete;
  block_table& operator=(const block_table&) = delete;
  ~block_table() { munmap(blocks_, blocks_most * sizeof(void*)); }

  // Allocates and writes blocks of 64 bytes to 64 KiB until they sum to this many bytes.
  std::size_t fill(std::size_t total_bytes, random_source& random) {
    std::size_t sum_bytes = 0;
    while (sum_bytes < total_bytes && count_ < blocks_most) {
      const std::size_t size_bytes = random.size_between(6, 16);
      blocks_[count_] = std::malloc(size_bytes);
      touch(blocks_[count_++], size_bytes);
      sum_bytes += size_bytes;
    }
    return sum_bytes;
  }

  // What the allocator counts as in use for these blocks.
  std::size_t usable_bytes() const {
    std::size_t sum_bytes = 0;
    for (std::size_t i = freed_; i < count_; ++i) {
      sum_bytes += malloc_usable_size(blocks_[i]);
    }
    return sum_bytes;
  }

  void free_all() {
    for (; freed_ < count_; ++freed_) {
      std::free(blocks_[freed_]);
    }
  }

 private:
  void** blocks_;
  std::size_t count_ = 0;
  std::size_t freed_ = 0;
};

}  // namespace

int run_burst() {
  const std::uint64_t start_rss_bytes = rss_bytes();
  random_source random(111);
  std::uint64_t rss_by_second[seconds_watched + 1];
  block_table kept;
  const std::size_t live_bytes = kept.fill(kept_bytes, random);
  {
    block_table burst;
    burst.fill(burst_bytes, random);
    burst.free_all();
  }
  for (int second = 0; second <= seconds_watched; ++second) {
    rss_by_second[second] = rss_bytes();
    if (second < seconds_watched) {
      sleep(1);
    }
  }
  std::printf(
      "{\"name\": \"burst\", \"live_bytes\": %zu, \"usable_bytes\": %zu, \"start_rss_bytes\": %llu, "
      "\"peak_rss_bytes\": %llu, "
      "\"rss_bytes_by_second\": [",
      live_bytes, kept.usable_bytes(), static_cast<unsigned long long>(start_rss_bytes),
      static_cast<unsigned long long>(peak_rss_bytes()));
  for (int second = 0; second <= seconds_watched; ++second) {
    std::printf("%s%llu", second ? ", " : "", static_cast<unsigned long long>(rss_by_second[second]));
  }
  std::printf("], \"malloc_from\": \"%s\", \"new_from\": \"%s\"}\n", provider_of("malloc"), provider_of("_Znwm"));
  kept.free_all();
  return 0;
}

}  // namespace tenure::bench
