// Entries by identity, found without a lock: shards of open addressing with linear probing.
//
//   shard   [ version | slots* ]  ->  [ home:8 | tag:8 | entry*:48 ]...       0: free
//
// One thread at a time changes the table (the cache's lock); any number look. A reader takes a hazard slot for what it
// has found and looks again (hazards.hpp). A removal moves entries up, so that a reader may miss one that is there: it
// looks at the version of the shard before and after, and does not believe a miss in between. An array that has become
// too small is emptied, gives its pages back and stays as addresses until the table goes, since somebody may be in it;
// all of them together are smaller than the one in use.
//
// Of an entry's place the slot has the lowest bits, which tell how far it has been moved on: to close a gap nobody has
// to look at the entries behind it.
//
// Cost: 8 bytes a slot, between a third and three quarters of which are in use.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>

#include <tenure/cache/hazards.hpp>
#include <tenure/cache/memory.hpp>
#include <tenure/cache/step.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure::detail {

// Well mixed, whatever the hash of the key is: shard, place and tag are parts of it.
inline std::uint64_t mixed_identity(std::uint64_t hash) noexcept {
  hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
  hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
  return hash ^ hash >> 32;
}

template <class entry>
class entry_table : eviction::not_copied {
  using word = std::uint64_t;
  static constexpr std::size_t shard_count = 8;
  static constexpr std::size_t first_slots = 64;
  static constexpr std::size_t most_arrays = 48;

  // Slots follow the head.
  struct slots {
    std::size_t mask;
    bool has_far = false;  // some entry may lie 255 slots or more behind its place
    std::atomic<word>& at(std::size_t index) noexcept { return reinterpret_cast<std::atomic<word>*>(this + 1)[index]; }
  };
  static constexpr std::size_t bytes_of(std::size_t count) noexcept { return sizeof(slots) + count * sizeof(word); }

  struct alignas(64) shard {
    std::atomic<std::uint64_t> version{0};  // odd: being changed
    std::atomic<slots*> current{nullptr};
    std::size_t count = 0;
    std::size_t arrays = 0;
    std::array<slots*, most_arrays> made{};  // made[i] has first_slots << i slots
  };

 public:
  static constexpr std::size_t least_bytes = shard_count * bytes_of(first_slots);

  entry_table() {
    for (shard& one : shards_) add_array(one, make(first_slots));
  }
  ~entry_table() {
    for (shard& one : shards_) {
      for (std::size_t i = 0; i < one.arrays; ++i) free_table(one.made[i], bytes_of(first_slots << i));
    }
  }

  // --- any thread

  // The entry, held by `hazard`; null when there was none at some moment of the call.
  template <class predicate>
  entry* find(std::uint64_t identity, hazard_slot& hazard, predicate is_it) noexcept {
    shard& in = shard_of(identity);
    for (unsigned tries = 1;; ++tries) {
      const std::uint64_t version = in.version.load(std::memory_order_acquire);
      entry* found = nullptr;
      if (probe(*in.current.load(std::memory_order_acquire), identity, hazard, is_it, found)) {
        if (found != nullptr) return found;
        if (version % 2 == 0 && in.version.load(std::memory_order_relaxed) == version) return nullptr;
      }
      TENURE_CACHE_STEP();
      if (tries % 64 == 0) std::this_thread::yield();
    }
  }

  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  // --- under the lock

  void prefetch(std::uint64_t identity) noexcept {
    slots& in = *shard_of(identity).current.load(std::memory_order_relaxed);
    __builtin_prefetch(&in.at(home(identity) & in.mask));
  }
  template <class predicate>
  entry* find_held(std::uint64_t identity, predicate is_it) noexcept {
    slots& in = *shard_of(identity).current.load(std::memory_order_relaxed);
    for (std::size_t index = home(identity) & in.mask;; index = (index + 1) & in.mask) {
      const word one = in.at(index).load(std::memory_order_relaxed);
      if (one == 0) return nullptr;
      if (tag_of(one) == tag_of_identity(identity) && entry_of(one)->identity == identity && is_it(*entry_of(one))) {
        return entry_of(one);
      }
    }
  }

  // How many bytes more one more entry needs in its shard; 0 when there is room. Beyond three quarters of the slots it
  // should grow, and the last slots are never filled.
  std::size_t growth_bytes(std::uint64_t identity) const noexcept {
    const shard& in = shard_of(identity);
    const std::size_t size = in.current.load(std::memory_order_relaxed)->mask + 1;
    return (in.count + 1) * 4 <= size * 3 ? 0 : bytes_of(size * 2);
  }
  bool is_full(std::uint64_t identity) const noexcept {
    const shard& in = shard_of(identity);
    return in.count + 2 > in.current.load(std::memory_order_relaxed)->mask + 1;
  }
  // Takes the entries over into an array of `bytes` from make_table(). Bytes that came back of the one before.
  std::size_t grow(std::uint64_t identity, void* table, std::size_t bytes) noexcept {
    shard& in = shard_of(identity);
    slots& before = *in.current.load(std::memory_order_relaxed);
    auto* const after = ::new (table) slots{(bytes - sizeof(slots)) / sizeof(word) - 1};
    for (std::size_t index = 0; index <= before.mask; ++index) {
      const word one = before.at(index).load(std::memory_order_relaxed);
      if (one != 0) put(*after, one);
    }
    begin_change(in);
    add_array(in, after);
    // Nobody must find an entry in the old array any more when it is taken out of the new one.
    TENURE_CACHE_STEP();
    for (std::size_t index = 0; index <= before.mask; ++index) before.at(index).store(0);
    end_change(in);
    const std::size_t old_bytes = bytes_of(before.mask + 1);
    // The head must stay readable for whoever comes late: zeros make it an array of one free slot.
    return discard_table(&before, old_bytes) ? old_bytes : 0;
  }

  void insert(entry& one) noexcept {
    shard& in = shard_of(one.identity);
    const word packed = pack(one);
    eviction::structure_check(entry_of(packed) == &one, "an entry beyond 48 bits of address");
    put(*in.current.load(std::memory_order_relaxed), packed);
    ++in.count;
    count_.store(count() + 1, std::memory_order_relaxed);
  }

  // `other`, of the same identity, is found in place of `one` from now on: there is no moment without either.
  void replace(entry& one, entry& other) noexcept {
    slots& all = *shard_of(one.identity).current.load(std::memory_order_relaxed);
    all.at(slot_of(all, one)).store(pack(other));
  }

  void erase(entry& one) noexcept {
    shard& in = shard_of(one.identity);
    slots& all = *in.current.load(std::memory_order_relaxed);
    const std::size_t gap = slot_of(all, one);
    begin_change(in);
    close_gap(all, gap);
    end_change(in);
    --in.count;
    count_.store(count() - 1, std::memory_order_relaxed);
  }

  // Up to `most` entries from `cursor` on, which moves on; false when it has gone round.
  template <class visitor>
  bool visit(std::uint64_t& cursor, std::size_t most, visitor see) {
    std::uint64_t in_shard = cursor & 0xffffffffffffu;
    std::uint64_t number = cursor >> 48;
    for (std::size_t left = most; left > 0 && number < shard_count; --left, ++in_shard) {
      slots& all = *shards_[number].current.load(std::memory_order_relaxed);
      if (in_shard > all.mask) {
        ++number;
        in_shard = ~std::uint64_t{0};
        continue;
      }
      const word one = all.at(in_shard).load(std::memory_order_relaxed);
      if (one != 0) see(*entry_of(one));
    }
    const bool more = number < shard_count;
    cursor = more ? number << 48 | in_shard : 0;
    return more;
  }

  void check() const noexcept {
    std::size_t sum = 0;
    for (const shard& one : shards_) {
      slots& all = *one.current.load(std::memory_order_relaxed);
      std::size_t count = 0;
      for (std::size_t index = 0; index <= all.mask; ++index) {
        const word here = all.at(index).load(std::memory_order_relaxed);
        if (here == 0) continue;
        ++count;
        eviction::structure_check(
            distance_at(all, index, here) == ((index - home(entry_of(here)->identity)) & all.mask),
            "how far an entry lies behind its place");
        for (std::size_t at = home(entry_of(here)->identity) & all.mask; at != index; at = (at + 1) & all.mask) {
          eviction::structure_check(all.at(at).load(std::memory_order_relaxed) != 0,
                                    "an entry behind a gap of the table");
        }
      }
      eviction::structure_check(count == one.count, "count of a shard");
      sum += count;
    }
    eviction::structure_check(sum == count(), "count of the table");
  }

 private:
  static word pack(const entry& one) noexcept {
    return tag_of_identity(one.identity) << 48 | reinterpret_cast<std::uintptr_t>(&one);
  }
  static std::uint64_t tag_of(word one) noexcept { return one >> 48; }
  static std::uint64_t tag_of_identity(std::uint64_t identity) noexcept {
    return (home(identity) & 0xff) << 8 | (identity & 0xff);
  }
  // How far behind its place what is at `index` lies.
  static std::size_t distance_at(const slots& all, std::size_t index, word one) noexcept {
    if (all.has_far) [[unlikely]]
      return (index - home(entry_of(one)->identity)) & all.mask;
    return (index - static_cast<std::size_t>(one >> 56)) & all.mask & 0xff;
  }
  static entry* entry_of(word one) noexcept { return reinterpret_cast<entry*>(one & 0xffffffffffffu); }
  static std::size_t home(std::uint64_t identity) noexcept { return static_cast<std::size_t>(identity >> 16); }
  shard& shard_of(std::uint64_t identity) noexcept { return shards_[identity >> 61]; }
  const shard& shard_of(std::uint64_t identity) const noexcept { return shards_[identity >> 61]; }

  static slots* make(std::size_t count) {
    void* const table = make_table(bytes_of(count));
    if (table == nullptr) throw std::bad_alloc();
    return ::new (table) slots{count - 1};
  }
  static void add_array(shard& to, slots* array) noexcept {
    eviction::structure_check(to.arrays < most_arrays, "a table beyond all addresses");
    to.made[to.arrays++] = array;
    to.current.store(array, std::memory_order_release);
  }

  // False: what was found has moved meanwhile, look again.
  template <class predicate>
  static bool probe(slots& all, std::uint64_t identity, hazard_slot& hazard, predicate is_it, entry*& found) noexcept {
    const std::size_t mask = all.mask;
    for (std::size_t index = home(identity) & mask, looked = 0; looked <= mask; index = (index + 1) & mask, ++looked) {
      std::atomic<word>& at = all.at(index);
      const word one = at.load(std::memory_order_acquire);
      if (one == 0) break;
      if (tag_of(one) != tag_of_identity(identity)) continue;
      entry* const candidate = entry_of(one);
      TENURE_CACHE_STEP();
      hazard.store(candidate, std::memory_order_seq_cst);
      TENURE_CACHE_STEP();
      if (at.load(std::memory_order_seq_cst) != one) {
        hazard.store(nullptr, std::memory_order_release);
        return false;
      }
      TENURE_CACHE_STEP();
      if (candidate->identity == identity && is_it(*candidate)) {
        found = candidate;
        return true;
      }
      hazard.store(nullptr, std::memory_order_release);
    }
    return true;
  }

  static std::size_t slot_of(slots& all, const entry& one) noexcept {
    const word wanted = pack(one);
    for (std::size_t index = home(one.identity) & all.mask;; index = (index + 1) & all.mask) {
      const word here = all.at(index).load(std::memory_order_relaxed);
      eviction::structure_check(here != 0, "an entry that is not in the table");
      if (here == wanted) return index;
    }
  }

  static void put(slots& all, word one) noexcept {
    std::size_t index = home(entry_of(one)->identity) & all.mask, distance = 0;
    for (; all.at(index).load(std::memory_order_relaxed) != 0; ++distance) index = (index + 1) & all.mask;
    if (distance >= 255) all.has_far = true;
    all.at(index).store(one, std::memory_order_release);
  }

  // Each slot that an entry leaves, by going or by moving, is stored in one order with what readers do: one who looks
  // there once more finds that out before the hazards are looked at.
  static void close_gap(slots& all, std::size_t gap) noexcept {
    for (std::size_t index = (gap + 1) & all.mask;; index = (index + 1) & all.mask) {
      const word one = all.at(index).load(std::memory_order_relaxed);
      if (one == 0) break;
      if (distance_at(all, index, one) >= ((index - gap) & all.mask)) {
        all.at(gap).store(one);
        TENURE_CACHE_STEP();
        gap = index;
      }
    }
    all.at(gap).store(0);
  }

  // Before the stores to slots, each of which is a release.
  static void begin_change(shard& in) noexcept {
    in.version.store(in.version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  static void end_change(shard& in) noexcept {
    in.version.store(in.version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  std::array<shard, shard_count> shards_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace tenure::detail
