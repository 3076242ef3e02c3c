#include "core/telemetry/tally.h"

#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/stack_store.h"
#include "core/telemetry/unwind.h"
#include "wire/event.h"

namespace tenure::telemetry {

constinit thread_local own_tallies own_tally __attribute__((tls_model("initial-exec"))) = {};
std::uint32_t tally_count = 0;

namespace {

constexpr std::size_t first_capacity = 256;

// Stacks of which the store has no room for a copy.
constexpr stored_stack no_stack = {0, 0};

std::size_t place_of(std::uint64_t key, std::size_t capacity) noexcept {
  return static_cast<std::size_t>((key >> 4) * 0x9e3779b97f4a7c15u >> 32) & (capacity - 1);
}

// An open-addressing table in memory of its own, by a key that is 0 in empty entries and 1 in removed ones.
template <class Entry>
class key_table {
 public:
  Entry* find(std::uint64_t key) noexcept {
    if (capacity_ == 0) return nullptr;
    for (std::size_t i = place_of(key, capacity_);; i = (i + 1) & (capacity_ - 1)) {
      if (entries_[i].key == key) return &entries_[i];
      if (entries_[i].key == 0) return nullptr;
    }
  }
  // A new entry with nothing but its key; null when there is no memory. The key is not there.
  Entry* add(std::uint64_t key) noexcept {
    TENURE_DCHECK(key > removed && find(key) == nullptr);
    if ((used_ + 1) * 2 > capacity_ && !rebuild()) return nullptr;
    Entry* entry = vacancy(entries_, capacity_, key);
    if (entry->key == 0) ++used_;
    *entry = Entry{};
    entry->key = key;
    ++count_;
    return entry;
  }
  void remove(Entry* entry) noexcept {
    TENURE_DCHECK(entry->key > removed && count_ != 0);
    entry->key = removed;
    --count_;
  }
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::size_t i = 0; i < capacity_; ++i)
      if (entries_[i].key > removed) visit(entries_[i]);
  }
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (std::size_t i = 0; i < capacity_; ++i)
      if (entries_[i].key > removed) visit(static_cast<const Entry&>(entries_[i]));
  }
  void release() noexcept {
    if (entries_ != nullptr) os::unmap(entries_, capacity_ * sizeof(Entry));
    entries_ = nullptr;
    capacity_ = count_ = used_ = 0;
  }
  std::size_t count() const noexcept { return count_; }

 private:
  static constexpr std::uint64_t removed = 1;

  static Entry* vacancy(Entry* entries, std::size_t capacity, std::uint64_t key) noexcept {
    std::size_t i = place_of(key, capacity);
    while (entries[i].key > removed) i = (i + 1) & (capacity - 1);
    return &entries[i];
  }
  bool rebuild() noexcept {
    std::size_t capacity = first_capacity;
    while (capacity < (count_ + 1) * 4) capacity *= 2;
    auto* fresh = static_cast<Entry*>(os::map_anywhere(capacity * sizeof(Entry)));
    if (fresh == nullptr) return false;
    for_each([&](const Entry& entry) noexcept { *vacancy(fresh, capacity, entry.key) = entry; });
    const std::size_t count = count_;
    release();
    entries_ = fresh;
    capacity_ = capacity;
    count_ = used_ = count;
    return true;
  }

  Entry* entries_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t count_ = 0;
  std::size_t used_ = 0;  // with the removed ones
};

struct tallied_site {
  std::uint64_t key;  // the stack's address in the store
  std::uint64_t allocations, allocated_bytes, live_blocks, live_bytes;
};

struct tallied_block {
  std::uint64_t key;  // its address
  tally* owner;
  std::uint64_t bytes;
  std::uint64_t stack;
};

}  // namespace

struct tally {
  tally_figures figures;
  tally* outer;
  tally* next_free;
  bool is_open;
  key_table<tallied_site> sites;
};

namespace {

// Guards all that follows, and every tally.
os::mutex lock;
stack_store stacks;
key_table<tallied_block> blocks;
tally* free_tallies = nullptr;

// In here: under the lock, and a signal handler stays outside.
class section {
 public:
  section() noexcept {
    own_tally.inside = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    lock.lock();
  }
  ~section() {
    lock.unlock();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    own_tally.inside = false;
  }
  section(const section&) = delete;
  section& operator=(const section&) = delete;
};

void count_open(std::int32_t change) noexcept {
  __atomic_fetch_add(&tally_count, static_cast<std::uint32_t>(change), __ATOMIC_RELAXED);
}

void note_missed() noexcept {
  for (tally* one = own_tally.innermost; one != nullptr; one = one->outer)
    __atomic_fetch_add(&one->figures.missed, 1, __ATOMIC_RELAXED);
}

void count_in(tally& one, std::uint64_t stack, std::size_t bytes) noexcept {
  tally_figures& figures = one.figures;
  ++figures.allocations;
  figures.allocated_bytes += bytes;
  ++figures.live_blocks;
  figures.live_bytes += bytes;
  if (figures.live_bytes > figures.peak_live_bytes) figures.peak_live_bytes = figures.live_bytes;
  tallied_site* site = one.sites.find(stack);
  if (site == nullptr) site = one.sites.add(stack);
  if (site == nullptr) return;
  ++site->allocations;
  site->allocated_bytes += bytes;
  ++site->live_blocks;
  site->live_bytes += bytes;
}

void count_out(const tallied_block& block) noexcept {
  TENURE_DCHECK(lock.is_locked() && block.owner != nullptr);
  for (tally* one = block.owner; one != nullptr; one = one->outer) {
    TENURE_DCHECK(one->is_open && one->figures.live_blocks != 0 && one->figures.live_bytes >= block.bytes);
    --one->figures.live_blocks;
    one->figures.live_bytes -= block.bytes;
    tallied_site* const site = one->sites.find(block.stack);
    if (site == nullptr) continue;
    TENURE_DCHECK(site->live_blocks != 0 && site->live_bytes >= block.bytes);
    --site->live_blocks;
    site->live_bytes -= block.bytes;
  }
}

void forget(tallied_block* block) noexcept {
  count_out(*block);
  blocks.remove(block);
  count_open(-1);
}

// Takes it out of the thread's chain; what lives of it is from now on the next one's, or nobody's.
void unlink(tally* ended) noexcept {
  TENURE_DCHECK(lock.is_locked() && ended->is_open);
  tally** link = &own_tally.innermost;
  while (*link != ended) link = &(*link)->outer;
  *link = ended->outer;
  blocks.for_each([ended](tallied_block& block) noexcept {
    if (block.owner != ended) return;
    block.owner = ended->outer;
    if (block.owner != nullptr) return;
    blocks.remove(&block);
    count_open(-1);
  });
  ended->outer = nullptr;
  ended->is_open = false;
  count_open(-1);
}

bool is_own(const tally* searched) noexcept {
  for (const tally* one = own_tally.innermost; one != nullptr; one = one->outer)
    if (one == searched) return true;
  return false;
}

}  // namespace

tally* open_tally() noexcept {
  const section entered;
  tally* one = free_tallies;
  if (one != nullptr) {
    free_tallies = one->next_free;
  } else {
    void* memory = os::map_anywhere(sizeof(tally));
    if (memory == nullptr) return nullptr;
    one = new (memory) tally;
  }
  one->figures = {};
  one->next_free = nullptr;
  one->is_open = true;
  one->outer = own_tally.innermost;
  own_tally.innermost = one;
  count_open(1);
  return one;
}

bool end_tally(tally* ended) noexcept {
  const section entered;
  if (!is_own(ended)) return false;
  unlink(ended);
  return true;
}

void release_tally(tally* released) noexcept {
  const section entered;
  TENURE_CHECK(!released->is_open);
  released->sites.release();
  released->next_free = free_tallies;
  free_tallies = released;
}

void suspend_tallies() noexcept { ++own_tally.suspensions; }

void resume_tallies() noexcept {
  TENURE_CHECK(own_tally.suspensions != 0);
  --own_tally.suspensions;
}

tally_figures figures_of(const tally* of) noexcept {
  const section entered;
  return of->figures;
}

bool visit_tally(const tally* of, int (*visit)(void* context, const tally_site& site), void* context) noexcept {
  std::size_t capacity = 0, count = 0;
  tally_site* copy = nullptr;
  {
    const section entered;
    capacity = of->sites.count();
    if (capacity == 0) return true;
    copy = static_cast<tally_site*>(os::map_anywhere(capacity * sizeof(tally_site)));
    if (copy == nullptr) return false;
    of->sites.for_each([&](const tallied_site& site) noexcept {
      const auto* const stack = reinterpret_cast<const stored_stack*>(site.key);
      copy[count++] = {stack->frames(),  static_cast<std::uint32_t>(stack->frame_count),
                       site.allocations, site.allocated_bytes,
                       site.live_blocks, site.live_bytes};
    });
  }
  for (std::size_t i = 0; i < count && visit(context, copy[i]) != 0; ++i) {
  }
  os::unmap(copy, capacity * sizeof(tally_site));
  return true;
}

[[gnu::noinline]] void tally_allocation(const void* block, std::size_t bytes) noexcept {
  if (own_tally.innermost == nullptr || own_tally.suspensions != 0) return;
  if (own_tally.inside) return note_missed();
  std::uint64_t frames[wire::stack_capacity_frames];
  const walk_result walked = capture_stack(frames, wire::stack_capacity_frames, 0);
  const section entered;
  const stored_stack* stack = stacks.intern(frames, walked.frame_count);
  if (stack == nullptr) stack = &no_stack;
  const auto key = reinterpret_cast<std::uintptr_t>(stack);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  // A block whose free was missed: its place has come again.
  if (tallied_block* const stale = blocks.find(address)) forget(stale);
  for (tally* one = own_tally.innermost; one != nullptr; one = one->outer) count_in(*one, key, bytes);
  if (tallied_block* const entry = blocks.add(address)) {
    *entry = {address, own_tally.innermost, bytes, key};
    count_open(1);
  } else {
    note_missed();
  }
}

[[gnu::noinline]] void tally_free(const void* block) noexcept {
  if (own_tally.inside) return note_missed();
  const section entered;
  if (own_tally.suspensions == 0)
    for (tally* one = own_tally.innermost; one != nullptr; one = one->outer) ++one->figures.frees;
  if (tallied_block* const entry = blocks.find(reinterpret_cast<std::uintptr_t>(block))) forget(entry);
}

[[gnu::noinline]] void tally_free_range(std::uintptr_t begin, std::size_t bytes) noexcept {
  if (own_tally.inside) return note_missed();
  const section entered;
  blocks.for_each([=](tallied_block& block) noexcept {
    if (block.key - begin < bytes) forget(&block);
  });
}

void lock_tallies() noexcept {
  own_tally.inside = true;
  lock.lock();
}

void unlock_tallies() noexcept {
  lock.unlock();
  own_tally.inside = false;
}

void check_tallies() noexcept {
  const section entered;
  std::size_t seen = 0;
  blocks.for_each([&](const tallied_block& block) noexcept {
    ++seen;
    TENURE_CHECK(block.owner != nullptr && block.owner->is_open);
    TENURE_CHECK(block.owner->figures.live_blocks != 0);
    TENURE_CHECK(reinterpret_cast<std::uintptr_t>(blocks.find(block.key)) == reinterpret_cast<std::uintptr_t>(&block));
  });
  TENURE_CHECK(seen == blocks.count());
  TENURE_CHECK(__atomic_load_n(&tally_count, __ATOMIC_RELAXED) >= seen);
}

}  // namespace tenure::telemetry
