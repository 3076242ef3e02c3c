// What a policy remembers of entries that have gone: their identities and weights, in order of arrival, found by hash.
//
//   records  [ identity | note | weight | newer | older ]...      32 bytes each, linked by index from newest to oldest
//   slots    [ record number + 1 ]...                      at most half full, linear probing; 0: free
//
// A ghost list has a limit in weight, which is the policy's, and one in records, which is the memory it may use. When
// either is reached, or there is no memory, the oldest is forgotten. Both arrays grow by doubling; nothing is allocated
// when they stand.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

struct ghost {
  std::uint64_t identity = 0;
  std::uint64_t note = 0;  // what else the policy wants to know of it
  std::uint32_t weight = 0;
};

class ghost_list {
 public:
  // `side_limit_bytes` counts the arrays while they grow, when the old ones and the new ones are both there.
  ghost_list(std::uint64_t weight_limit, std::size_t side_limit_bytes) noexcept
      : weight_limit_(weight_limit),
        record_limit_(side_limit_bytes == no_limit ? most : records_in(side_limit_bytes)) {}

  bool empty() const noexcept { return newest_ == none; }
  std::uint64_t weight() const noexcept { return weight_; }
  std::size_t count() const noexcept { return count_; }
  std::uint64_t weight_limit() const noexcept { return weight_limit_; }
  std::size_t size_bytes() const noexcept {
    return records_.capacity() * sizeof(record) + slots_.capacity() * sizeof(std::uint32_t);
  }

  void set_weight_limit(std::uint64_t limit) noexcept {
    weight_limit_ = limit;
    while (weight_ > weight_limit_) forget_oldest();
  }

  // `identity` is not in the list.
  void add(std::uint64_t identity, std::uint32_t weight, std::uint64_t note = 0) noexcept {
    if (weight > weight_limit_ || record_limit_ == 0) return;
    while (weight_ + weight > weight_limit_) forget_oldest();
    if (count_ == records_.size() && !grow()) {
      if (count_ == 0) return;
      forget_oldest();
    }
    const std::uint32_t number = free_;
    record& one = records_[number];
    free_ = one.older;
    one = {{identity, note, weight}, none, newest_};
    if (newest_ != none) records_[newest_].newer = number;
    newest_ = number;
    if (oldest_ == none) oldest_ = number;
    weight_ += weight;
    ++count_;
    std::size_t slot = home(identity);
    while (slots_[slot] != 0) slot = next(slot);
    slots_[slot] = number + 1;
  }

  const ghost* find(std::uint64_t identity) const noexcept {
    const std::size_t slot = slot_of(identity);
    return slot == nowhere ? nullptr : &records_[slots_[slot] - 1].what;
  }
  bool contains(std::uint64_t identity) const noexcept { return find(identity) != nullptr; }

  // True when it was there.
  bool forget(std::uint64_t identity) noexcept {
    const std::size_t slot = slot_of(identity);
    if (slot == nowhere) return false;
    const std::uint32_t number = slots_[slot] - 1;
    close_gap(slot);
    record& one = records_[number];
    (one.newer == none ? newest_ : records_[one.newer].older) = one.older;
    (one.older == none ? oldest_ : records_[one.older].newer) = one.newer;
    weight_ -= one.what.weight;
    --count_;
    one.older = free_;
    free_ = number;
    return true;
  }

  void forget_oldest() noexcept {
    if (oldest_ != none) forget(records_[oldest_].what.identity);
  }

  void check() const noexcept {
    std::uint64_t weight = 0;
    std::size_t count = 0;
    for (std::uint32_t at = newest_; at != none; at = records_[at].older) {
      const record& one = records_[at];
      structure_check(one.older == none ? oldest_ == at : records_[one.older].newer == at, "links of a ghost list");
      structure_check(find(one.what.identity) == &one.what, "a ghost that is not found");
      weight += one.what.weight;
      ++count;
    }
    structure_check(weight == weight_ && count == count_ && weight_ <= weight_limit_, "sums of a ghost list");
  }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::size_t nowhere = ~std::size_t{0};
  static constexpr std::size_t most = std::size_t{1} << 30;
  static constexpr std::size_t fewest = 16;

  struct record {
    ghost what;
    std::uint32_t newer = none;
    std::uint32_t older = none;  // of a free record: the next free one
  };

  // Records and slots, and half as much again while they are being doubled; a power of two.
  static std::size_t records_in(std::size_t bytes) noexcept {
    const std::size_t each = (sizeof(record) + 2 * sizeof(std::uint32_t)) * 3 / 2;
    return bytes / each < fewest ? 0 : std::bit_floor(std::min(bytes / each, most));
  }

  std::size_t home(std::uint64_t identity) const noexcept {
    return static_cast<std::size_t>((identity * 0x9e3779b97f4a7c15u) >> shift_);
  }
  std::size_t next(std::size_t slot) const noexcept { return (slot + 1) & (slots_.size() - 1); }

  std::size_t slot_of(std::uint64_t identity) const noexcept {
    if (slots_.empty()) return nowhere;
    for (std::size_t slot = home(identity); slots_[slot] != 0; slot = next(slot)) {
      if (records_[slots_[slot] - 1].what.identity == identity) return slot;
    }
    return nowhere;
  }

  // Moves up what would not be found past a free slot.
  void close_gap(std::size_t gap) noexcept {
    slots_[gap] = 0;
    for (std::size_t slot = next(gap); slots_[slot] != 0; slot = next(slot)) {
      const std::size_t wanted = home(records_[slots_[slot] - 1].what.identity);
      if (((slot - wanted) & (slots_.size() - 1)) >= ((slot - gap) & (slots_.size() - 1))) {
        slots_[gap] = slots_[slot];
        slots_[slot] = 0;
        gap = slot;
      }
    }
  }

  bool grow() noexcept {
    if (records_.size() >= record_limit_) return false;
    const std::size_t before = records_.size();
    const std::size_t size = before == 0 ? fewest : before * 2;
    std::vector<std::uint32_t> slots;
    try {
      slots.resize(size * 2);
      records_.reserve(size);
    } catch (const std::bad_alloc&) {
      return false;
    }
    records_.resize(size);
    for (std::size_t number = size; number-- > before;) {
      records_[number].older = free_;
      free_ = static_cast<std::uint32_t>(number);
    }
    shift_ = 64u - static_cast<unsigned>(std::countr_zero(size * 2));
    slots.swap(slots_);
    for (std::uint32_t at = newest_; at != none; at = records_[at].older) {
      std::size_t slot = home(records_[at].what.identity);
      while (slots_[slot] != 0) slot = next(slot);
      slots_[slot] = at + 1;
    }
    return true;
  }

  std::vector<record> records_;
  std::vector<std::uint32_t> slots_;
  std::uint64_t weight_limit_;
  std::size_t record_limit_;
  std::uint64_t weight_ = 0;
  std::size_t count_ = 0;
  std::uint32_t newest_ = none, oldest_ = none, free_ = none;
  unsigned shift_ = 63;
};

}  // namespace tenure::eviction
