// A cache that threads share without a lock.
//
// Buckets are atomic members, entries that others can find never change: whoever finds one holds it, whoever replaces a
// bucket's chain does so with one exchange, and nobody asks who still reads the old one. With a collector there are no
// hazard pointers, no epochs and no reference counts to get that right; entries that are gone are told by a phantom.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

namespace gc = tenure::gc;

namespace {

struct entry {
  std::uint64_t key = 0;
  std::string value;
  gc::member<entry> next;
  std::uint32_t depth = 0;
};

class cache {
 public:
  cache() : buckets_(gc::make_array<gc::atomic_member<entry>>(bucket_count)) {}

  // The value of the key, which `load` makes if nobody has it.
  template <class Load>
  std::string get(std::uint64_t key, Load load) {
    gc::atomic_member<entry>& bucket = (*buckets_)[std::hash<std::uint64_t>()(key) % bucket_count];
    gc::local<entry> first = bucket.load();
    if (const entry* found = find(first.get(), key)) return found->value;

    const gc::local<entry> added = gc::make<entry>();
    added->key = key;
    added->value = load(key);
    do {
      // Somebody else may have been faster, and then there are two: the newer is found. A chain that has become long is
      // dropped, and goes when the last of its readers has left it.
      const bool keep = first && first->depth < most_in_a_bucket;
      added->next = keep ? first : nullptr;
      added->depth = keep ? first->depth + 1 : 0;
    } while (!bucket.compare_exchange(first, added));
    watch(added);
    return added->value;
  }

  std::size_t count_gone() {
    std::size_t gone = 0;
    while (gone_.take()) ++gone;
    return gone;
  }

 private:
  static constexpr std::size_t bucket_count = 64;
  static constexpr std::uint32_t most_in_a_bucket = 7;

  // `from` is held by the caller, and with it the chain.
  static const entry* find(const entry* from, std::uint64_t key) {
    while (from != nullptr && from->key != key) from = from->next.get();
    return from;
  }
  void watch(const gc::local<entry>& added) {
    thread_local std::vector<gc::phantom<entry>> watched;
    watched.emplace_back(added, gone_, added->key);
  }

  gc::phantom_queue<std::uint64_t> gone_;
  gc::root<gc::array<gc::atomic_member<entry>>> buckets_;
};

}  // namespace

int main() {
  cache shared;
  std::atomic<int> wrong{0};
  std::atomic<int> loads{0};
  std::atomic<int> done{0};
  std::atomic<bool> leave{false};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::uint64_t key = (i * (t + 1) * 7919) % 2000;
        const std::string value = shared.get(key, [&](std::uint64_t wanted) {
          ++loads;
          return "value " + std::to_string(wanted);
        });
        if (value != "value " + std::to_string(key)) ++wrong;
      }
      ++done;
      leave.wait(false);  // a thread's phantoms end with it
    });
  }
  while (done < 3) std::this_thread::yield();
  gc::collect();
  gc::heap::standard().wait_for_destructors();
  gc::collect();
  const std::size_t gone = shared.count_gone();
  std::printf("wrong values: %d\n", wrong.load());
  std::printf("entries kept: %s\n",
              static_cast<std::size_t>(loads.load()) - gone <= 64 * 8 ? "at most 512" : "too many");
  std::printf("entries gone: %s\n", gone != 0 ? "some" : "none");
  leave = true;
  leave.notify_all();
  for (std::thread& thread : threads) thread.join();
}
