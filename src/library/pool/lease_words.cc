#include "library/pool/lease_words.h"

#include <array>
#include <atomic>
#include <mutex>
#include <new>

#include "library/resource/fork_guard.h"

namespace tenure::detail {
namespace {

// Headers of released leases, linked through next_of_words, the latest first. Each change is one store, so in a child
// of fork() a list is whole whatever another thread was at, and only its lock is made anew.
struct bucket {
  std::mutex lock;
  buffer_header* newest = nullptr;
};
constexpr unsigned bucket_bits = 10;

class all_buckets final : resources::fork_guard {
 public:
  all_buckets() noexcept { enroll(); }
  static bucket& of(std::uint64_t word) {
    static constinit std::atomic<all_buckets*> made = nullptr;  // leases end after everything else
    return resources::the_only(made).buckets_[word >> (64 - bucket_bits)];
  }

 private:
  void before_fork() noexcept override {}
  void after_fork(bool is_child) noexcept override {
    for (bucket& each : buckets_) {
      if (is_child) new (&each.lock) std::mutex;
    }
  }

  std::array<bucket, std::size_t{1} << bucket_bits> buckets_;
};
constinit std::atomic<std::uint64_t> words_given = 0;

}  // namespace

static_assert(sizeof(void*) == sizeof(std::uint64_t));

void* word_for(buffer_header* leased) noexcept {
  // Odd, so that no two numbers have the same product, and no number but 0 the product 0; the upper bits are spread
  // evenly.
  constexpr std::uint64_t spread = 0x9e37'79b9'7f4a'7c15;
  const std::uint64_t word = (words_given.fetch_add(1, std::memory_order_relaxed) + 1) * spread;
  leased->word = word;
  bucket& in = all_buckets::of(word);
  const std::lock_guard held(in.lock);
  leased->next_of_words = in.newest;
  __atomic_store_n(&in.newest, leased, __ATOMIC_RELEASE);
  return reinterpret_cast<void*>(word);
}

buffer_header* take_of_word(const void* word) noexcept {
  const auto wanted = reinterpret_cast<std::uintptr_t>(word);
  bucket& in = all_buckets::of(wanted);
  const std::lock_guard held(in.lock);
  for (buffer_header** at = &in.newest; *at != nullptr; at = &(*at)->next_of_words) {
    buffer_header* const found = *at;
    if (found->word != wanted) continue;
    *at = found->next_of_words;
    return found;
  }
  return nullptr;
}

}  // namespace tenure::detail
