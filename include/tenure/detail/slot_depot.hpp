// What object_pool is made of, without the type: slots of one size, taken and given back by many threads.
//
//   thread      returned ──▶ slot ──▶ …              pushed by give(), popped by take(); with magazine_slots in it, it
//               ready ──▶ slot ──▶ slot ──▶ …        goes as a whole to the depot. `ready` is popped when it is empty
//   depot       head ──▶ magazine ──▶ magazine ──▶ …  a stack of magazines, exchanged by one compare-and-swap
//   segments    [64 slots][128][256] …               new slots, under a lock, a magazine at a time
//   closed      [first, end) …                       slots whose pages trim() has given back; opened again before
//   others
//
// The depot's head is one 64-bit word: the index of the first slot of the top magazine and a tag that every exchange
// raises. A thread that has read head and link and slept while the same magazine was popped and pushed again finds
// another tag, and its compare-and-swap fails: no ABA, short of exactly 2^32 exchanges during that one sleep. Slots are
// never unmapped while the pool lives, so that the link of a magazine that somebody else has popped can be read: it is
// stale then, and the tag says so. Pages that trim() gives back read as zeros, which is a free slot's generation; the
// highest that there was is kept, and the next round begins beyond it.
//
// Not promised to users of the library: only what object_pool.hpp says is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <vector>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure::detail {

// In front of each object. Even generations are free, odd ones in use.
struct slot_header {
  std::atomic<std::uint32_t> generation{0};
  std::uint32_t index = 0;
  slot_header* next = nullptr;                  // in a magazine
  std::atomic<std::uint32_t> next_magazine{0};  // of a magazine's first slot: index + 1 of the next magazine's
  bool is_constructed = false;
};

#ifdef TENURE_SYSTEMATIC
inline constexpr std::uint32_t magazine_slots = 2;  // so that a test of a few steps passes the depot
#else
inline constexpr std::uint32_t magazine_slots = 64;
#endif
inline constexpr std::uint32_t pool_ids = 64;  // pools that have magazines; further ones share one under a lock

struct magazine {
  std::uint64_t serial = 0;  // of the pool it belongs to; 0: none
  slot_header* ready = nullptr;
  slot_header* returned = nullptr;
  // Written by the thread alone, read by others; what the account has not been told yet.
  std::uint64_t taken = 0;
  std::uint64_t given = 0;
  // `returned` has as many slots as a magazine may when `given` comes to this: one number less to write each time.
  std::uint64_t full_at = magazine_slots;
};
using magazine_set = std::array<magazine, pool_ids>;

// Of the calling thread; null until it has used a pool.
extern TENURE_API constinit thread_local magazine_set* current_magazines __attribute__((tls_model("initial-exec")));

struct depot_options {
  std::string_view name;
  std::size_t object_bytes;
  std::size_t object_alignment;
  std::uint64_t limit_objects;
  bool has_checks;
  const tenure::account* parent;
};

class TENURE_API slot_depot {
 public:
  explicit slot_depot(const depot_options& options);
  ~slot_depot();
  slot_depot(const slot_depot&) = delete;
  slot_depot& operator=(const slot_depot&) = delete;

  // Throws std::bad_alloc at the limit and where there is no memory.
  slot_header* take() {
    if (limit_objects_ != TENURE_NO_LIMIT) [[unlikely]] {
      count_against_limit();
    }
    magazine* mine = find_mine();
    if (mine == nullptr) [[unlikely]] {
      return take_slow(mine);
    }
    // What came back last is still in the processor's cache.
    slot_header* taken = mine->returned;
    if (taken != nullptr) {
      mine->returned = taken->next;
      ++mine->full_at;
    } else {
      taken = mine->ready;
      if (taken == nullptr) [[unlikely]] {
        return take_slow(mine);
      }
      mine->ready = taken->next;
    }
    count(mine->taken);
    return taken;
  }
  void give(slot_header* given) noexcept {
    if (limit_objects_ != TENURE_NO_LIMIT) [[unlikely]] {
      in_use_.fetch_sub(1, std::memory_order_relaxed);
    }
    magazine* mine = find_mine();
    if (mine == nullptr || mine->given == mine->full_at) [[unlikely]] {
      return give_slow(mine, given);
    }
    given->next = mine->returned;
    mine->returned = given;
    count(mine->given);
  }

  // Of a slot that was taken and stays out of use for good.
  void give_up() noexcept;

  // Gives whole pages back on which there are none but free slots, those in the magazines of other threads apart.
  // `end_object` is called for what is constructed in such slots. Bytes.
  std::size_t trim(void (*end_object)(void* object) noexcept) noexcept;
  void set_limits(account_limits limits) noexcept { account_.set_limits(limits); }

  // The slot of that number; null beyond those that were ever opened.
  slot_header* slot_at(std::uint32_t index) const noexcept {
    return index < opened_.load(std::memory_order_acquire) ? place_of(index) : nullptr;
  }
  void* object_of(slot_header* of) const noexcept { return reinterpret_cast<std::byte*>(of) + object_offset_; }
  slot_header* slot_of(const void* object) const noexcept {
    return reinterpret_cast<slot_header*>(const_cast<std::byte*>(static_cast<const std::byte*>(object)) -
                                          object_offset_);
  }

  std::uint32_t opened_slots() const noexcept { return opened_.load(std::memory_order_acquire); }
  // Exact when no other thread takes or gives meanwhile.
  resource_statistics statistics() const noexcept;
  const char* name() const noexcept { return name_; }
  tenure_account* account() const noexcept { return account_.handle(); }
  bool has_checks() const noexcept { return has_checks_; }
  std::size_t slot_bytes() const noexcept { return slot_bytes_; }
  std::size_t object_bytes() const noexcept { return slot_bytes_ - object_offset_; }

  // Messages. With checks on sites are kept; without them only the destruction in hand has one.
  void note_created(slot_header* of);
  void note_destroyed(slot_header* of);
  // Of an object that has ended; whoever writes into it until the slot is used again, or the pool ends, is told of.
  void fill(slot_header* of) noexcept;
  void find_late_write(const slot_header* in) const noexcept;
  [[gnu::cold]] void report_not_in_use(const slot_header* of) const noexcept;
  [[gnu::cold]] void report_left() const noexcept;
  // Whether the object is one of this pool's; a message otherwise. With checks on.
  bool is_mine_or_report(const void* object) const noexcept;

  // Aborts when slots are lost or in two places. No other thread may use the pool meanwhile.
  void check() const;

 private:
  static constexpr std::uint32_t first_segment_slots = 64;
  static constexpr unsigned first_segment_shift = 6;
  static constexpr std::size_t segment_capacity = 25;
  struct sites;

  magazine* find_mine() const noexcept {
    magazine_set* all = current_magazines;
    if (all == nullptr || id_ >= pool_ids) [[unlikely]] {
      return nullptr;
    }
    magazine* mine = &(*all)[id_];
    return mine->serial == serial_ ? mine : nullptr;
  }
  static void count(std::uint64_t& counter) noexcept { __atomic_store_n(&counter, counter + 1, __ATOMIC_RELAXED); }
  friend struct thread_magazines;

  slot_header* take_slow(magazine* mine);
  void give_slow(magazine* mine, slot_header* given) noexcept;
  slot_header* take_unshared();
  magazine* make_mine() noexcept;
  slot_header* pop_magazine() noexcept;
  void push_magazine(slot_header* first) noexcept;
  static unsigned segment_of(std::uint32_t index) noexcept {
    return 31u - static_cast<unsigned>(__builtin_clz(index + first_segment_slots)) - first_segment_shift;
  }
  static std::uint32_t segment_end(unsigned segment) noexcept {
    return (first_segment_slots << (segment + 1)) - first_segment_slots;
  }
  std::size_t segment_bytes(unsigned segment) const noexcept {
    return (std::size_t{first_segment_slots} << segment) * slot_bytes_;
  }
  // Of a slot that was opened.
  slot_header* place_of(std::uint32_t index) const noexcept {
    const unsigned segment = segment_of(index);
    std::byte* const begin = segments_[segment].load(std::memory_order_acquire);
    const std::uint32_t number = index + first_segment_slots - (first_segment_slots << segment);
    return reinterpret_cast<slot_header*>(begin + number * slot_bytes_);
  }
  std::size_t missing_bytes(std::uint32_t wanted) const;
  slot_header* open_slots(std::unique_lock<std::mutex>& held, std::uint32_t wanted);
  slot_header* open_fresh(std::uint32_t wanted);
  slot_header* reopen(std::uint32_t wanted) noexcept;

  // Of one segment.
  struct closed_range {
    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t generation;
    std::uintptr_t pages_begin;  // that were given back
    std::uintptr_t pages_end;
    std::size_t bytes() const noexcept { return pages_end - pages_begin; }
  };
  slot_header* collect_free() noexcept;
  void distribute(slot_header* chain) noexcept;
  static void append_chain(slot_header*& to, slot_header* chain) noexcept;
  closed_range range_of(std::uint32_t begin, std::uint32_t end) const noexcept;
  closed_range rest_of(const closed_range& range, std::uint32_t wanted) const noexcept;
  void forget_filling(const slot_header* of) noexcept;
  bool close(closed_range range, void (*end_object)(void* object) noexcept) noexcept;
  slot_header* close_runs(slot_header* chain, void (*end_object)(void* object) noexcept, std::size_t& freed);
  void open_segment(unsigned segment);
  std::align_val_t alignment_of(std::size_t segment) const noexcept;
  void publish(magazine* of) noexcept;
  void retire(magazine* of) noexcept;
  void count_against_limit();
  // The slot in whose object the address lies.
  const slot_header* covering(const void* address) const noexcept;

  std::uint64_t serial_;
  std::uint32_t id_;
  bool has_checks_;
  std::size_t object_offset_;
  std::size_t slot_bytes_;
  std::size_t slot_alignment_;
  std::uint64_t limit_objects_;
  std::array<std::atomic<std::byte*>, segment_capacity> segments_{};
  std::atomic<std::uint32_t> opened_{0};
  std::atomic<std::uint32_t> given_up_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};    // tag << 32 | index + 1
  alignas(64) std::atomic<std::uint64_t> in_use_{0};  // where there is a limit
  std::mutex lock_;                                   // new segments, and the magazine of pools without ids
  magazine shared_;
  std::vector<closed_range> closed_;  // under the lock
  tenure::account account_;
  tenure_account_use* use_;
  tenure_account_use own_use_{};
  std::unique_ptr<sites> sites_;
  char name_[64];
};

}  // namespace tenure::detail
