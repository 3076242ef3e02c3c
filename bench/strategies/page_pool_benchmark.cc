// tenure::page_pool beside what one would read pages with otherwise.
//
//   page_hit/*   pages of 4 KiB drawn by popularity (rank to the power of -0.9), all of them here: pinned, eight bytes
//                read, unpinned. By 1, 4 and 16 threads: processor time for each
//   page_root/*  the same, always of one page, as the root of a tree is
//   page_miss/*  the same popularity over four times as many pages as there are frames, from a file that the kernel has
//                in its page cache: what is missed costs a pread
//
// `mutex_lru` is what is written by hand most often: frames, an unordered_map, a list and a mutex. `mmap` is the file
// mapped, for which the kernel does everything; it has no limit and cannot miss here. `pread` reads each page each
// time.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <tenure/eviction.hpp>
#include <tenure/page_pool.hpp>

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t file_pages = 16 << 10;  // 64 MiB
constexpr std::size_t hot_pages = 4 << 10;    // as many as there are frames
constexpr std::size_t drawn = 1 << 16;

const std::vector<std::uint32_t>& requests(std::size_t pages) {
  static std::unordered_map<std::size_t, std::vector<std::uint32_t>> made;
  static std::mutex lock;
  const std::lock_guard hold(lock);
  auto& out = made[pages];
  if (!out.empty()) return out;
  std::vector<double> sums(pages);
  double sum = 0;
  for (std::size_t rank = 0; rank < pages; ++rank) sums[rank] = sum += std::pow(static_cast<double>(rank + 1), -0.9);
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> point(0, sum);
  // Popular pages lie anywhere.
  std::vector<std::uint32_t> places(pages);
  for (std::size_t i = 0; i < pages; ++i) places[i] = static_cast<std::uint32_t>(i);
  std::shuffle(places.begin(), places.end(), random);
  for (std::size_t i = 0; i < drawn; ++i) {
    const auto rank =
        static_cast<std::size_t>(std::lower_bound(sums.begin(), sums.end(), point(random)) - sums.begin());
    out.push_back(places[std::min(rank, pages - 1)]);
  }
  return out;
}

// Its pages begin with their number.
int table_file() {
  static const int descriptor = [] {
    char path[] = "/tmp/tenure-bench-pages-XXXXXX";
    const int made = ::mkstemp(path);
    if (made < 0) throw std::runtime_error("no file for pages");
    ::unlink(path);
    std::vector<std::byte> page(page_bytes);
    for (std::uint64_t number = 0; number < file_pages; ++number) {
      std::memcpy(page.data(), &number, sizeof number);
      if (::pwrite(made, page.data(), page_bytes, static_cast<off_t>(number * page_bytes)) != page_bytes) {
        throw std::runtime_error("no room for pages");
      }
    }
    return made;
  }();
  return descriptor;
}

class descriptor_file final : public tenure::page_file {
 public:
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    return static_cast<std::size_t>(::pread(table_file(), into.data(), into.size(), static_cast<off_t>(offset)));
  }
  std::size_t write(std::uint64_t, std::span<const std::byte>) override { return 0; }
  void sync() override {}
  const char* name() const noexcept override { return "table"; }
};

template <class Policy>
class tenure_pages {
 public:
  tenure_pages()
      : pool_({.name = "bench",
               .page_bytes = page_bytes,
               .limit_pages = hot_pages,
               .checks = tenure::resource_checks::off}),
        file_(pool_.add(std::make_shared<descriptor_file>())) {}
  std::uint64_t read(std::uint32_t number) {
    const tenure::pinned_page page = pool_.pin({file_, number});
    std::uint64_t first = 0;
    std::memcpy(&first, page.data(), sizeof first);
    return first;
  }
  double hit_ratio() const { return pool_.statistics().hit_ratio(); }

 private:
  tenure::page_pool<Policy> pool_;
  std::uint32_t file_;
};

class mutex_lru {
 public:
  mutex_lru() : memory_(static_cast<std::byte*>(std::aligned_alloc(page_bytes, page_bytes * hot_pages))) {
    for (std::size_t i = 0; i < hot_pages; ++i) free_.push_back(memory_.get() + i * page_bytes);
  }
  std::uint64_t read(std::uint32_t number) {
    frame* const one = pin(number);
    std::uint64_t first = 0;
    std::memcpy(&first, one->bytes, sizeof first);
    const std::lock_guard hold(lock_);
    --one->pins;
    return first;
  }
  double hit_ratio() const { return static_cast<double>(hits_) / static_cast<double>(hits_ + misses_); }

 private:
  struct frame {
    std::uint32_t number;
    unsigned pins;
    std::byte* bytes;
  };
  struct freeing {
    void operator()(std::byte* of) const noexcept { std::free(of); }
  };

  // The read is under the lock, as it is in most that are written by hand.
  frame* pin(std::uint32_t number) {
    const std::lock_guard hold(lock_);
    const auto found = by_number_.find(number);
    if (found != by_number_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      ++found->second->pins;
      ++hits_;
      return &*found->second;
    }
    ++misses_;
    if (free_.empty()) {
      auto oldest = std::prev(order_.end());
      while (oldest->pins != 0) --oldest;
      free_.push_back(oldest->bytes);
      by_number_.erase(oldest->number);
      order_.erase(oldest);
    }
    order_.push_front({number, 1, free_.back()});
    free_.pop_back();
    by_number_[number] = order_.begin();
    if (::pread(table_file(), order_.front().bytes, page_bytes, static_cast<off_t>(number) * page_bytes) !=
        page_bytes) {
      throw std::runtime_error("no page");
    }
    return &order_.front();
  }

  std::mutex lock_;
  std::unique_ptr<std::byte, freeing> memory_;
  std::vector<std::byte*> free_;
  std::list<frame> order_;
  std::unordered_map<std::uint32_t, std::list<frame>::iterator> by_number_;
  std::uint64_t hits_ = 0, misses_ = 0;
};

class mapped_pages {
 public:
  mapped_pages()
      : bytes_(static_cast<const std::byte*>(
            ::mmap(nullptr, file_pages * page_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, table_file(), 0))) {
    if (bytes_ == MAP_FAILED) throw std::runtime_error("no mapping");
  }
  std::uint64_t read(std::uint32_t number) {
    std::uint64_t first = 0;
    std::memcpy(&first, bytes_ + number * page_bytes, sizeof first);
    return first;
  }
  double hit_ratio() const { return 1; }

 private:
  const std::byte* bytes_;
};

class read_pages {
 public:
  std::uint64_t read(std::uint32_t number) {
    std::byte page[page_bytes];
    if (::pread(table_file(), page, page_bytes, static_cast<off_t>(number) * page_bytes) != page_bytes) {
      throw std::runtime_error("no page");
    }
    std::uint64_t first = 0;
    std::memcpy(&first, page, sizeof first);
    return first;
  }
  double hit_ratio() const { return 0; }
};

// One for each benchmark, for as long as the threads of all its runs.
template <class Pages, std::size_t pages>
Pages& read_before() {
  static auto* const all = [] {
    auto* const made = new Pages;
    for (std::uint32_t number = 0; number < std::min(pages, hot_pages); ++number) made->read(number);
    return made;
  }();
  return *all;
}

template <class Pages, std::size_t pages>
void read_drawn(benchmark::State& state) {
  Pages& all = read_before<Pages, pages>();
  const std::vector<std::uint32_t>& wanted = requests(pages);
  std::size_t at = static_cast<std::size_t>(state.thread_index()) * 4099 % drawn;
  for (auto _ : state) {
    const std::uint32_t number = wanted[at];
    if (all.read(number) != number) state.SkipWithError("a wrong page");
    at = (at + 1) % drawn;
  }
  if (state.thread_index() == 0) state.counters["hits"] = all.hit_ratio();
}
template <class Pages>
void page_hit(benchmark::State& state) {
  read_drawn<Pages, hot_pages>(state);
}
template <class Pages>
void page_root(benchmark::State& state) {
  read_drawn<Pages, 1>(state);
}
template <class Pages>
void page_miss(benchmark::State& state) {
  read_drawn<Pages, file_pages>(state);
}

using s3_fifo_pages = tenure_pages<tenure::eviction::s3_fifo>;
using lru_pages = tenure_pages<tenure::eviction::lru>;

BENCHMARK(page_hit<s3_fifo_pages>)->Name("page_hit/tenure_s3_fifo")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_hit<lru_pages>)->Name("page_hit/tenure_lru")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_hit<mutex_lru>)->Name("page_hit/mutex_lru")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_hit<mapped_pages>)->Name("page_hit/mmap")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_hit<read_pages>)->Name("page_hit/pread")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_root<s3_fifo_pages>)->Name("page_root/tenure_s3_fifo")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_root<mutex_lru>)->Name("page_root/mutex_lru")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_miss<s3_fifo_pages>)->Name("page_miss/tenure_s3_fifo")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_miss<lru_pages>)->Name("page_miss/tenure_lru")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_miss<mutex_lru>)->Name("page_miss/mutex_lru")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_miss<mapped_pages>)->Name("page_miss/mmap")->Threads(1)->Threads(4)->Threads(16);
BENCHMARK(page_miss<read_pages>)->Name("page_miss/pread")->Threads(1)->Threads(4)->Threads(16);

}  // namespace
