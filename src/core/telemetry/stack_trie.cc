#include "core/telemetry/stack_trie.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/os/virtual_memory.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint32_t prepare_step_nodes = 4096;
constexpr auto not_kept = static_cast<std::uint32_t>(wire::stack_root::not_kept);

std::size_t bytes_of(unsigned bits) noexcept { return sizeof(std::uint64_t) << bits; }
// A table that is read at random has as many translations as OS pages, and they are missed as its lines are.
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
void let_huge_pages_in_from(void* table, std::size_t begin_bytes, std::size_t bytes) noexcept {
  if (bytes > begin_bytes)
    os::let_huge_pages_in(static_cast<std::byte*>(table) + begin_bytes, bytes - begin_bytes, true);
}

}  // namespace

void stack_trie::attach(wire::tape_header* header, wire::stack_node* nodes, std::uint32_t capacity,
                        prepare_function prepare, announce_function announce) noexcept {
  TENURE_CHECK(header != nullptr && nodes != nullptr && announce != nullptr);
  TENURE_CHECK(capacity > wire::stack_root_count && capacity <= wire::stack_node_capacity);
  detach();
  nodes_ = nodes;
  capacity_ = capacity;
  prepare_ = prepare;
  announce_ = announce;
  __atomic_store_n(&prepared_, prepare == nullptr ? capacity : 0, __ATOMIC_RELAXED);
  __atomic_store_n(&header->node_count, wire::stack_root_count, __ATOMIC_RELAXED);
  // Without it, everything is looked up in the index.
  late_ = static_cast<late_children*>(os::map_anywhere(capacity * sizeof *late_));
  // The first part is all that most programs touch.
  if (late_ != nullptr) let_huge_pages_in_from(late_, huge_page_bytes, capacity * sizeof *late_);
  __atomic_store_n(&first_of_epoch_, wire::stack_root_count, __ATOMIC_RELAXED);
  header_ = header;
}

void stack_trie::detach() noexcept {
  const std::uintptr_t index = __atomic_exchange_n(&index_, 0, __ATOMIC_ACQ_REL);
  if (index != 0) os::unmap(entries(index), bytes_of(index & bits_mask));
  if (late_ != nullptr) os::unmap(late_, capacity_ * sizeof *late_);
  late_ = nullptr;
  header_ = nullptr;
  nodes_ = nullptr;
  __atomic_store_n(&indexed_, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&replacing_, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&mapped_bytes_, 0, __ATOMIC_RELAXED);
}

// Makes a larger index from the one there is and publishes it by one compare-and-swap, so that whoever made another
// meanwhile has won. True when the index is another one afterwards. The old index stays mapped: somebody may be
// searching it.
bool stack_trie::replace_index(std::uintptr_t from, unsigned bits) noexcept {
  auto* table = static_cast<std::uint64_t*>(os::map_anywhere(bytes_of(bits)));
  if (table == nullptr) return __atomic_load_n(&index_, __ATOMIC_ACQUIRE) != from;
  if (bytes_of(bits) >= huge_page_bytes) let_huge_pages_in_from(table, 0, bytes_of(bits));
  std::uint32_t kept = 0;
  const std::uint64_t table_mask = (std::uint64_t{1} << bits) - 1;
  for (std::uint64_t i = 0; from != 0 && i <= mask(from); ++i) {
    const std::uint64_t entry = __atomic_load_n(&entries(from)[i], __ATOMIC_ACQUIRE);
    if (entry == 0) continue;
    const wire::stack_node& node = nodes_[static_cast<std::uint32_t>(entry)];
    const std::uint64_t hash = hash_of(node.parent, node.address);
    if ((entry ^ hash) >> 32 != 0) continue;  // of an epoch that is over
    std::uint64_t place = hash & table_mask;
    while (table[place] != 0) place = (place + 1) & table_mask;
    table[place] = entry;
    ++kept;
  }
  TENURE_YIELD_POINT();
  std::uintptr_t seen = from;
  const std::uintptr_t made = reinterpret_cast<std::uintptr_t>(table) | bits;
  if (!__atomic_compare_exchange_n(&index_, &seen, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    os::unmap(table, bytes_of(bits));
    return true;
  }
  // What others have added to the new index by now is counted once too little, which only makes it a little fuller.
  __atomic_store_n(&indexed_, kept, __ATOMIC_RELAXED);
  __atomic_fetch_add(&mapped_bytes_, bytes_of(bits), __ATOMIC_RELAXED);
  return true;
}

// The index if it can take one entry more; 0 when it cannot and there is no memory for a larger one.
std::uintptr_t stack_trie::index_with_room() noexcept {
  for (;;) {
    const std::uintptr_t index = __atomic_load_n(&index_, __ATOMIC_ACQUIRE);
    const unsigned bits = index == 0 ? 0 : static_cast<unsigned>(index & bits_mask);
    const std::uint64_t used = __atomic_load_n(&indexed_, __ATOMIC_RELAXED);
    if (index != 0 && used * 2 < std::uint64_t{1} << bits) return index;
    const unsigned wanted = index == 0 ? least_index_bits : bits < most_index_bits ? bits + 1 : bits;
    // One thread replaces it in time, and the others go on with what is there; where it is nearly full, or not there
    // yet, nobody can wait for a thread that may not be running.
    const bool urgent = index == 0 || used * 8 >= (std::uint64_t{1} << bits) * 7;
    const bool alone = wanted != bits && (urgent || __atomic_exchange_n(&replacing_, 1, __ATOMIC_ACQUIRE) == 0);
    const bool replaced = alone && replace_index(index, wanted);
    if (alone && !urgent) __atomic_store_n(&replacing_, 0, __ATOMIC_RELEASE);
    if (replaced) continue;
    return urgent ? 0 : index;
  }
}

// A new node's number; not_kept when there is no room.
std::uint32_t stack_trie::write_node(std::uint32_t parent, std::uint64_t address) noexcept {
  const std::uint32_t modules_told = announce_(address);
  std::uint32_t number = __atomic_load_n(&header_->node_count, __ATOMIC_RELAXED);
  do {
    TENURE_YIELD_POINT();
    if (number < wire::stack_root_count || number >= capacity_) return not_kept;
    const std::uint32_t prepared = __atomic_load_n(&prepared_, __ATOMIC_ACQUIRE);
    if (number < prepared) continue;
    // Threads that meet here prepare the same pages twice, which does no harm.
    const std::uint32_t end = number + prepare_step_nodes < capacity_ ? number + prepare_step_nodes : capacity_;
    if (!prepare_(reinterpret_cast<std::byte*>(nodes_ + prepared), (end - prepared) * sizeof *nodes_)) return not_kept;
    std::uint32_t seen = prepared;
    while (seen < end &&
           !__atomic_compare_exchange_n(&prepared_, &seen, end, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
  } while (!__atomic_compare_exchange_n(&header_->node_count, &number, number + 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  TENURE_DCHECK(parent < number);
  nodes_[number] = {parent, modules_told, address};
  return number;
}

[[gnu::noinline, gnu::cold]] std::uint32_t stack_trie::add(std::uint64_t hash, std::uint32_t parent,
                                                           std::uint64_t address) noexcept {
  if (parent == not_kept) return not_kept;
  const std::uintptr_t index = index_with_room();
  // Another index than the one that was searched may know it.
  std::uint32_t number = index == 0 ? 0 : find(index, hash, parent, address);
  if (number != 0) return number;
  number = index == 0 ? not_kept : write_node(parent, address);
  if (number == not_kept) {
    __atomic_fetch_add(&header_->refused_nodes, 1, __ATOMIC_RELAXED);
    return not_kept;
  }
  std::uint64_t* table = entries(index);
  const std::uint64_t entry = (hash & ~std::uint64_t{0xffffffff}) | number;
  __atomic_fetch_add(&indexed_, 1, __ATOMIC_RELAXED);
  for (std::uint64_t place = hash & mask(index), tried = 0; tried <= mask(index);
       place = (place + 1) & mask(index), ++tried) {
    TENURE_YIELD_POINT();
    std::uint64_t found = 0;
    if (__atomic_compare_exchange_n(&table[place], &found, entry, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) break;
    if ((found ^ hash) >> 32 != 0) continue;
    const wire::stack_node& other = nodes_[static_cast<std::uint32_t>(found)];
    // Another thread was quicker: its number it is.
    if (other.parent == parent && other.address == address) return static_cast<std::uint32_t>(found);
  }
  return number;
}

void stack_trie::forget() noexcept {
  __atomic_fetch_add(&epoch_, std::uint64_t{1} << 50, __ATOMIC_ACQ_REL);
  if (header_ == nullptr) return;
  __atomic_store_n(&first_of_epoch_, __atomic_load_n(&header_->node_count, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

void stack_trie::check() const noexcept {
  if (header_ == nullptr) return;
  const std::uint32_t count = __atomic_load_n(&header_->node_count, __ATOMIC_ACQUIRE);
  TENURE_CHECK(count >= wire::stack_root_count && count <= capacity_);
  const std::uintptr_t index = __atomic_load_n(&index_, __ATOMIC_ACQUIRE);
  for (std::uint64_t i = 0; index != 0 && i <= mask(index); ++i) {
    const std::uint64_t entry = __atomic_load_n(&entries(index)[i], __ATOMIC_ACQUIRE);
    if (entry == 0) continue;
    const auto number = static_cast<std::uint32_t>(entry);
    TENURE_CHECK(number >= wire::stack_root_count && number < count);
    const wire::stack_node& node = nodes_[number];
    TENURE_CHECK(node.parent < number && node.address != 0);
  }
}

}  // namespace tenure::telemetry
