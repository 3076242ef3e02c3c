// A cache of the least recently used: a chained hash table, a doubly linked list, a payload; and how long each
// operation takes. Tells the tail, beside the same program with manual memory.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "programs.h"

namespace tenure::bench {

namespace {

struct payload {
  std::uint64_t words[6];
};

template <class Pointer, class Held>
struct entry_of {
  std::uint64_t key = 0;
  Pointer chain, newer, older;
  Held data;
};
struct managed_entry : entry_of<gc::member<managed_entry>, gc::member<payload>> {
  TENURE_GC_MEMBERS_OF(managed_entry, (entry_of<gc::member<managed_entry>, gc::member<payload>>));
};
struct manual_entry : entry_of<manual_entry*, payload*> {};
struct shared_entry : entry_of<std::shared_ptr<shared_entry>, std::shared_ptr<payload>> {};

struct managed {
  using entry = managed_entry;
  explicit managed(std::size_t buckets) : table(gc::make_array<gc::member<entry>>(buckets)) {}
  gc::member<entry>& bucket(std::size_t at) { return (*table)[at]; }
  static gc::local<entry> make() {
    gc::local<entry> made = gc::make<entry>();
    made->data = gc::make<payload>();
    return made;
  }
  static void free(entry*) {}
  gc::root<gc::array<gc::member<entry>>> table;
  gc::root<entry> newest, oldest;
};
struct manual {
  using entry = manual_entry;
  explicit manual(std::size_t buckets) : table(buckets) {}
  entry*& bucket(std::size_t at) { return table[at]; }
  static entry* make() {
    auto* made = new entry;
    made->data = new payload{};
    return made;
  }
  static void free(entry* old) {
    delete old->data;
    delete old;
  }
  std::vector<entry*> table;
  entry* newest = nullptr;
  entry* oldest = nullptr;
};
struct counted {
  using entry = shared_entry;
  explicit counted(std::size_t buckets) : table(buckets) {}
  std::shared_ptr<entry>& bucket(std::size_t at) { return table[at]; }
  static std::shared_ptr<entry> make() {
    auto made = std::make_shared<entry>();
    made->data = std::make_shared<payload>();
    return made;
  }
  static void free(entry*) {}
  std::vector<std::shared_ptr<entry>> table;
  std::shared_ptr<entry> newest, oldest;
};
#ifdef TENURE_BENCH_BOEHM
struct boehm {
  using entry = manual_entry;
  explicit boehm(std::size_t buckets)
      : table(static_cast<entry**>(GC_MALLOC_UNCOLLECTABLE(buckets * sizeof(entry*)))) {}
  entry*& bucket(std::size_t at) { return table[at]; }
  static entry* make() {
    auto* made = boehm_new<entry>();
    made->data = static_cast<payload*>(GC_MALLOC_ATOMIC(sizeof(payload)));
    *made->data = {};
    return made;
  }
  static void free(entry*) {}
  entry** table;
  entry* newest = nullptr;
  entry* oldest = nullptr;
};
#endif

template <class Pointer>
auto* raw(const Pointer& pointer) {
  if constexpr (std::is_pointer_v<Pointer>) {
    return pointer;
  } else {
    return pointer.get();
  }
}

template <class Memory>
class cache {
 public:
  explicit cache(std::size_t capacity)
      : memory_(std::bit_ceil(capacity)), mask_(std::bit_ceil(capacity) - 1), capacity_(capacity) {}

  // Whether the key was there.
  bool touch(std::uint64_t key) {
    auto found = raw(memory_.bucket(key * 0x9e3779b97f4a7c15u >> 20 & mask_));
    while (found != nullptr && found->key != key) found = raw(found->chain);
    if (found != nullptr) {
      found->data->words[0] += 1;
      return true;
    }
    if (size_ == capacity_) drop_oldest();
    insert(key);
    return false;
  }

 private:
  void insert(std::uint64_t key) {
    auto made = Memory::make();
    made->key = key;
    auto& bucket = memory_.bucket(key * 0x9e3779b97f4a7c15u >> 20 & mask_);
    made->chain = bucket;
    bucket = made;
    if (memory_.newest != nullptr) {
      made->older = memory_.newest;
      memory_.newest->newer = made;
    } else {
      memory_.oldest = made;
    }
    memory_.newest = made;
    ++size_;
  }

  void drop_oldest() {
    auto old = memory_.oldest;
    auto* link = &memory_.bucket(old->key * 0x9e3779b97f4a7c15u >> 20 & mask_);
    while (raw(*link) != raw(old)) link = &(*link)->chain;
    *link = old->chain;
    memory_.oldest = old->newer;
    memory_.oldest->older = nullptr;
    old->newer = nullptr;
    --size_;
    Memory::free(raw(old));
  }

  Memory memory_;
  std::size_t mask_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

template <class Memory>
std::uint64_t run(std::size_t capacity) {
  cache<Memory> all(capacity);
  std::uint64_t state = 88172645463325252u;
  const auto next = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % (2 * capacity);
  };
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < 2 * capacity; ++i) hits += all.touch(next());
  std::vector<std::uint32_t> times_ns(3 * capacity);
  for (std::uint32_t& time_ns : times_ns) {
    const std::uint64_t key = next();
    timespec before{};
    timespec after{};
    ::clock_gettime(CLOCK_MONOTONIC, &before);
    hits += all.touch(key);
    ::clock_gettime(CLOCK_MONOTONIC, &after);
    time_ns =
        static_cast<std::uint32_t>((after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec);
  }
  std::sort(times_ns.begin(), times_ns.end());
  const auto at = [&](double share) {
    return times_ns[static_cast<std::size_t>(share * static_cast<double>(times_ns.size() - 1))];
  };
  std::printf("lru_ns p50 %u p99 %u p99.9 %u p99.99 %u max %u\n", at(0.5), at(0.99), at(0.999), at(0.9999), at(1));
  return hits;
}

}  // namespace

std::uint64_t lru(memory kind, int entries) {
  const auto capacity = static_cast<std::size_t>(entries);
  switch (kind) {
    case memory::managed:
      return run<managed>(capacity);
    case memory::unique:
      return run<manual>(capacity);
#ifdef TENURE_BENCH_BOEHM
    case memory::boehm:
      return run<boehm>(capacity);
#endif
    default:
      return run<counted>(capacity);
  }
}

}  // namespace tenure::bench
