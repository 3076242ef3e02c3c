// Stacks as numbers: a tree of return addresses in the tape (wire/tape.h), and an index that finds a node by its caller
// and its address.
//
//   index (private memory)                       nodes (in the tape, appended)
//   [ hash : 32 | number : 32 ]  ──number──►     parent, address
//
// Before the index, a node's late children are looked through: four of them, a word each.
//
//   late children of node 7    [ 10 bits of the address | number : 22 ]  [ ... ]  [ ... ]  [ ... ]      0: none
//
// A chain of calls that comes back has numbers that follow each other, so a look there is one at memory that was just
// read, where the index is one cache miss a frame. Words are hints: what they name is held against the node.
//
// No lock: a node is written before its number is published in the index by one compare-and-swap. Two threads that add
// the same node at once, or one that adds to an index that is just being replaced by a larger one, may give it two
// numbers: the reader goes by what nodes say and not by their numbers, so that costs sixteen bytes and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/tape.h"

namespace tenure::telemetry {

class stack_trie {
 public:
  // Makes [begin, begin + bytes) safe to write; false when there is no memory for it.
  using prepare_function = bool (*)(std::byte* begin, std::size_t bytes) noexcept;
  // Called for the address of a node about to be added; what it returns becomes stack_node::modules_told.
  using announce_function = std::uint32_t (*)(std::uint64_t address) noexcept;

  static constexpr unsigned least_index_bits = 14;
  static constexpr unsigned most_index_bits = 23;

  // Starts with the roots alone. Null `prepare`: the memory is safe as it is. Not while other threads use it.
  void attach(wire::tape_header* header, wire::stack_node* nodes, std::uint32_t capacity, prepare_function prepare,
              announce_function announce) noexcept;
  void detach() noexcept;

  // The node of `address` below `parent`, added if need be; root not_kept when there is no room for it.
  std::uint32_t child(std::uint32_t parent, std::uint64_t address) noexcept {
    if (__builtin_expect(late_ == nullptr || parent >= capacity_, 0)) return seek(parent, address);
    late_children& late = late_[parent];
    const std::uint32_t mark = mark_of(address);
    for (const std::uint32_t& place : late.words) {
      const std::uint32_t word = __atomic_load_n(&place, __ATOMIC_ACQUIRE);
      if ((word ^ mark) >> number_bits != 0) continue;
      const std::uint32_t number = word & number_mask;
      if (number >= __atomic_load_n(&first_of_epoch_, __ATOMIC_RELAXED) && is_node(number, parent, address))
        return number;
    }
    const std::uint32_t number = seek(parent, address);
    // Which one gives way is as good as thrown.
    if (number >= wire::stack_root_count)
      __atomic_store_n(&late.words[number % late_count], mark | number, __ATOMIC_RELEASE);
    return number;
  }

  // Code was unloaded and other code may take its place: from now on addresses get nodes of their own. What the index
  // holds is found no more, and left behind when it is replaced.
  void forget() noexcept;

  std::size_t mapped_bytes() const noexcept { return __atomic_load_n(&mapped_bytes_, __ATOMIC_RELAXED); }
  void check() const noexcept;

 private:
  static constexpr std::uintptr_t bits_mask = 63;
  static constexpr unsigned number_bits = 22;
  static constexpr std::uint32_t number_mask = (1u << number_bits) - 1;
  static_assert(wire::stack_node_capacity <= number_mask + 1);

  static constexpr std::uint32_t late_count = 4;
  struct alignas(16) late_children {
    std::uint32_t words[late_count];
  };
  static std::uint32_t mark_of(std::uint64_t address) noexcept {
    return static_cast<std::uint32_t>(address) * 0x9e3779b1u & ~number_mask;
  }

  std::uint64_t hash_of(std::uint32_t parent, std::uint64_t address) const noexcept {
    // The parent goes into the low bits too: one address has thousands of callers, and its nodes must not crowd.
    const std::uint64_t mixed = address + parent * 0x9e3779b97f4a7c15u + __atomic_load_n(&epoch_, __ATOMIC_RELAXED);
    const std::uint64_t product = (mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15u;
    return product ^ product >> 32;
  }
  static std::uint64_t* entries(std::uintptr_t index) noexcept {
    return reinterpret_cast<std::uint64_t*>(index & ~bits_mask);
  }
  static std::uint64_t mask(std::uintptr_t index) noexcept { return (std::uint64_t{1} << (index & bits_mask)) - 1; }

  bool is_node(std::uint32_t number, std::uint32_t parent, std::uint64_t address) const noexcept {
    return nodes_[number].parent == parent && nodes_[number].address == address;
  }
  std::uint32_t seek(std::uint32_t parent, std::uint64_t address) noexcept {
    const std::uint64_t hash = hash_of(parent, address);
    const std::uintptr_t index = __atomic_load_n(&index_, __ATOMIC_ACQUIRE);
    if (__builtin_expect(index != 0, 1)) {
      const std::uint32_t found = find(index, hash, parent, address);
      if (__builtin_expect(found != 0, 1)) return found;
    }
    return add(hash, parent, address);
  }

  // 0, the number of a root, when it is not there.
  std::uint32_t find(std::uintptr_t index, std::uint64_t hash, std::uint32_t parent,
                     std::uint64_t address) const noexcept {
    const std::uint64_t* table = entries(index);
    for (std::uint64_t place = hash & mask(index);; place = (place + 1) & mask(index)) {
      const std::uint64_t entry = __atomic_load_n(&table[place], __ATOMIC_ACQUIRE);
      if (entry == 0) return 0;
      if ((entry ^ hash) >> 32 != 0) continue;
      const auto number = static_cast<std::uint32_t>(entry);
      if (is_node(number, parent, address)) return number;
    }
  }

  std::uint32_t add(std::uint64_t hash, std::uint32_t parent, std::uint64_t address) noexcept;
  std::uint32_t write_node(std::uint32_t parent, std::uint64_t address) noexcept;
  std::uintptr_t index_with_room() noexcept;
  bool replace_index(std::uintptr_t from, unsigned bits) noexcept;

  wire::tape_header* header_ = nullptr;
  wire::stack_node* nodes_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t prepared_ = 0;  // atomic: nodes below it are safe to write
  prepare_function prepare_ = nullptr;
  announce_function announce_ = nullptr;
  std::uint64_t epoch_ = 0;      // atomic: part of every hash; forget() changes it
  std::uintptr_t index_ = 0;     // atomic: address of the entries, with log2 of their count in the low bits; 0: none
  std::uint32_t indexed_ = 0;    // atomic: entries in use
  std::uint32_t replacing_ = 0;  // atomic
  std::uint64_t mapped_bytes_ = 0;
  late_children* late_ = nullptr;     // atomic words, by parent: children that the index was asked for lately
  std::uint32_t first_of_epoch_ = 0;  // atomic: nodes below it are of an epoch that is over
};

}  // namespace tenure::telemetry
