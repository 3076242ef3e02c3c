// What both interners are made of: a hash, a table that is read without a lock, and memory for entries.
//
//   table    [ tag 16 | address 48 ] ...   open addressing; 0: empty. Between 3/8 and 3/4 full
//   older    tables that a reader may still be in; all of them together are as large as the one in use
//
// A reader that finds nothing asks again with the lock of the shard, so it may miss what a writer is just moving: a
// deletion closes its gap (Knuth's algorithm R), and there are no tombstones. What it finds it compares itself.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include <tenure/account.hpp>
#include <tenure/interner.hpp>

#include "core/base/check.h"

namespace tenure::detail {

inline std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using wide = unsigned __int128;
  const wide product = static_cast<wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <class Word>
std::uint64_t word_at(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Products of two 64-bit words whose halves are folded into one, as in wyhash; seeded, so that nobody outside can
// choose strings that meet. Both factors are: one that is known to be 0 takes the other's part of the text out.
inline std::uint64_t hash_of(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t odd_a = 0x9e37'79b9'7f4a'7c15;
  constexpr std::uint64_t odd_b = 0xd1b5'4a32'd192'ed03;
  const std::uint64_t other_seed = fold(seed ^ odd_a, odd_b);
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t state = seed ^ odd_a;
  for (; left > 16; at += 16, left -= 16) {
    state = fold(word_at<std::uint64_t>(at) ^ other_seed, word_at<std::uint64_t>(at + 8) ^ state);
  }
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (left >= 8) {
    a = word_at<std::uint64_t>(at);
    b = word_at<std::uint64_t>(at + left - 8);
  } else if (left >= 4) {
    a = word_at<std::uint32_t>(at);
    b = word_at<std::uint32_t>(at + left - 4);
  } else if (left > 0) {
    a = word_at<unsigned char>(at) << 16 | word_at<unsigned char>(at + left / 2) << 8 |
        word_at<unsigned char>(at + left - 1);
  }
  state = fold(a ^ other_seed, b ^ state);
  return fold(state ^ odd_a, text.size() ^ odd_b ^ seed);
}

std::uint64_t make_seed() noexcept;

// Memory charged to an account. Taking it may run the account's shrinkers, so no lock is held meanwhile.
void* take_charged(tenure::account& account, std::size_t bytes);
void give_charged(tenure::account& account, void* memory, std::size_t bytes) noexcept;

class charged_memory {
 public:
  explicit charged_memory(tenure::account& account) noexcept : account_(account) {}
  ~charged_memory() { give(); }
  charged_memory(const charged_memory&) = delete;
  charged_memory& operator=(const charged_memory&) = delete;

  std::size_t bytes() const noexcept { return bytes_; }
  // In place of what it has. Throws std::bad_alloc.
  void take(std::size_t bytes) {
    give();
    memory_ = take_charged(account_, bytes);
    bytes_ = bytes;
  }
  void* detach() noexcept {
    bytes_ = 0;
    return std::exchange(memory_, nullptr);
  }

 private:
  void give() noexcept {
    if (memory_ != nullptr) give_charged(account_, std::exchange(memory_, nullptr), std::exchange(bytes_, 0));
  }
  tenure::account& account_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// What a string needs that its shard does not have, in bytes.
struct shortage {
  std::size_t table = 0;
  std::size_t chunk = 0;
  std::size_t text = 0;
};

// It is found out with the lock, taken without, and used with the lock where it still is what is needed.
class provisions {
 public:
  explicit provisions(tenure::account& account) noexcept : table(account), chunk(account), text(account) {}
  bool cover(const shortage& of) const noexcept {
    return is_enough(table, of.table) && is_enough(chunk, of.chunk) && is_enough(text, of.text);
  }
  void take(const shortage& of) {
    if (!is_enough(table, of.table)) table.take(of.table);
    if (!is_enough(chunk, of.chunk)) chunk.take(of.chunk);
    if (!is_enough(text, of.text)) text.take(of.text);
  }
  charged_memory table;
  charged_memory chunk;
  charged_memory text;

 private:
  static bool is_enough(const charged_memory& there, std::size_t bytes) noexcept {
    return bytes == 0 || there.bytes() == bytes;
  }
};

template <class Entry>
class string_table {
  struct slots {
    std::uint64_t mask;
    slots* older;
    std::atomic<std::uint64_t>* begin() noexcept { return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1); }
  };
  static constexpr unsigned address_bits = 48;
  static constexpr std::uint64_t address_mask = (std::uint64_t{1} << address_bits) - 1;

 public:
  explicit string_table(tenure::account& account) : account_(account) {
    charged_memory memory(account_);
    memory.take(bytes_of(15));
    current_ = make(memory, nullptr);
  }
  ~string_table() {
    for (slots* one = current_; one != nullptr;) {
      slots* const older = one->older;
      give_charged(account_, one, bytes_of(one->mask));
      one = older;
    }
  }
  string_table(const string_table&) = delete;
  string_table& operator=(const string_table&) = delete;

  // The first entry for which matches(entry) is true among those with this hash's tag. Without the lock it may miss
  // one.
  template <class Matches>
  Entry* find(std::uint64_t hash, Matches matches) const noexcept {
    slots* const in = current_.load(std::memory_order_acquire);
    for (std::uint64_t i = hash & in->mask, end = i + in->mask + 1; i != end; ++i) {
      const std::uint64_t slot = in->begin()[i & in->mask].load(std::memory_order_acquire);
      if (slot == 0) return nullptr;
      if (slot >> address_bits == hash >> address_bits && matches(entry_of(slot))) return entry_of(slot);
    }
    return nullptr;
  }

  // The rest is done with the lock of the shard.

  // What has to be brought to grow() before one more is inserted; 0 where there is room.
  std::size_t missing_bytes() const noexcept {
    const std::uint64_t slot_count = capacity();
    return (count_ + 1) * 4 <= slot_count * 3 ? 0 : bytes_of(slot_count * 2 - 1);
  }
  template <class HashOf>
  void grow(charged_memory& memory, HashOf hash_of_entry) noexcept {
    slots* const to = make(memory, current_.load(std::memory_order_relaxed));
    for_each([&](Entry* one) { put(*to, hash_of_entry(*one), one); });
    current_.store(to, std::memory_order_release);
  }
  void insert(std::uint64_t hash, Entry* entry) noexcept {
    put(*current_.load(std::memory_order_relaxed), hash, entry);
    ++count_;
  }
  template <class HashOf>
  void erase(std::uint64_t hash, const Entry* entry, HashOf hash_of_entry) noexcept {
    slots& in = *current_.load(std::memory_order_relaxed);
    std::uint64_t gap = hash & in.mask;
    while (entry_of(in.begin()[gap].load(std::memory_order_relaxed)) != entry) gap = (gap + 1) & in.mask;
    for (std::uint64_t i = (gap + 1) & in.mask;; i = (i + 1) & in.mask) {
      const std::uint64_t slot = in.begin()[i].load(std::memory_order_relaxed);
      if (slot == 0) break;
      const std::uint64_t home = hash_of_entry(*entry_of(slot)) & in.mask;
      // One that is found from its home without passing the gap stays.
      if (((i - home) & in.mask) < ((i - gap) & in.mask)) continue;
      in.begin()[gap].store(slot, std::memory_order_release);
      gap = i;
    }
    in.begin()[gap].store(0, std::memory_order_release);
    --count_;
  }
  template <class Function>
  void for_each(Function function) const {
    slots& in = *current_.load(std::memory_order_relaxed);
    for (std::uint64_t i = 0; i <= in.mask; ++i) {
      const std::uint64_t slot = in.begin()[i].load(std::memory_order_relaxed);
      if (slot != 0) function(entry_of(slot));
    }
  }
  // The entry in slot number `at`, round and round; null where there is none.
  Entry* in_slot(std::uint64_t at) const noexcept {
    slots& in = *current_.load(std::memory_order_relaxed);
    return entry_of(in.begin()[at & in.mask].load(std::memory_order_relaxed));
  }
  std::uint64_t capacity() const noexcept { return current_.load(std::memory_order_relaxed)->mask + 1; }
  std::uint64_t count() const noexcept { return count_; }

 private:
  static Entry* entry_of(std::uint64_t slot) noexcept { return reinterpret_cast<Entry*>(slot & address_mask); }
  static std::size_t bytes_of(std::uint64_t mask) noexcept {
    return sizeof(slots) + (mask + 1) * sizeof(std::atomic<std::uint64_t>);
  }
  static slots* make(charged_memory& memory, slots* older) noexcept {
    const std::uint64_t count = (memory.bytes() - sizeof(slots)) / sizeof(std::atomic<std::uint64_t>);
    auto* const made = ::new (memory.detach()) slots{count - 1, older};
    for (std::uint64_t i = 0; i < count; ++i)
      ::new (static_cast<void*>(made->begin() + i)) std::atomic<std::uint64_t>(0);
    return made;
  }
  static void put(slots& in, std::uint64_t hash, Entry* entry) noexcept {
    const auto address = reinterpret_cast<std::uint64_t>(entry);
    TENURE_CHECK(address <= address_mask);
    std::uint64_t i = hash & in.mask;
    while (in.begin()[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & in.mask;
    in.begin()[i].store((hash >> address_bits << address_bits) | address, std::memory_order_release);
  }

  tenure::account& account_;
  std::atomic<slots*> current_{nullptr};
  std::uint64_t count_ = 0;
};

// Memory that is given out a piece at a time and goes as a whole; chunks double up to 64 KiB. Each begins with a link.
class entry_memory {
 public:
  explicit entry_memory(tenure::account& account) noexcept : account_(account) {}
  ~entry_memory() {
    while (chunks_ != nullptr) {
      chunk* const one = std::exchange(chunks_, chunks_->older);
      give_charged(account_, one, one->bytes);
    }
  }
  entry_memory(const entry_memory&) = delete;
  entry_memory& operator=(const entry_memory&) = delete;

  // What has to be brought to take() for a piece of so many bytes, a multiple of 8; 0 where there is room.
  std::size_t missing_bytes(std::size_t bytes) const noexcept;
  void* take(std::size_t bytes, charged_memory& fresh) noexcept;

 private:
  struct chunk {
    chunk* older;
    std::size_t bytes;
  };
  tenure::account& account_;
  chunk* chunks_ = nullptr;
  std::size_t chunk_count_ = 0;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

inline constexpr unsigned interner_shards = 16;
// The lowest bits choose the place in a table, the highest are the tag.
inline unsigned shard_of(std::uint64_t hash) noexcept { return static_cast<unsigned>(hash >> 40) % interner_shards; }

// The figures of an interner, whose shards have a lock, a table and text_bytes.
template <class Shards>
interner_statistics figures_of(const Shards& shards, const tenure::account& account) noexcept {
  interner_statistics result;
  for (const auto& in : shards) {
    const std::lock_guard held(in->lock);
    result.strings += in->table.count();
    result.text_bytes += in->text_bytes;
  }
  result.held_bytes = account.statistics().held_bytes;
  return result;
}

}  // namespace tenure::detail
