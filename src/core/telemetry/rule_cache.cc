#include "core/telemetry/rule_cache.h"

#include "core/base/check.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/machine.h"

namespace tenure::telemetry {
namespace {

// The 27-bit form of a rule; 0 when it does not fit.
compact_rule pack(const unwind_rule& rule) noexcept {
  if (rule.kind != rule_kind::caller || rule.signal || rule.cfa_dereferenced) return 0;
  if (rule.cfa_offset <= 0 || rule.cfa_offset % 8 != 0) return 0;
  if (rule.return_address.where != place::cfa) return 0;
  std::uint64_t frame_slot = 0;
  if (rule.frame.where == place::cfa) {
    if (rule.frame.offset >= 0 || rule.frame.offset % 8 != 0) return 0;
    frame_slot = static_cast<std::uint64_t>(-static_cast<std::int64_t>(rule.frame.offset));
  } else if (rule.frame.where != place::unchanged) {
    return 0;
  }
  if (!machine::return_address_fits(rule.return_address.offset, frame_slot)) return 0;
  const auto cfa_words = static_cast<std::uint32_t>(rule.cfa_offset / 8);
  const std::uint64_t frame_words = frame_slot / 8;
  if (cfa_words >> compact_cfa_bits != 0 || frame_words >> compact_frame_bits != 0) return 0;
  return (rule.cfa_from_frame ? compact_frame_based : compact_stack_based) | cfa_words << compact_value_shift |
         static_cast<std::uint32_t>(frame_words) << compact_frame_shift;
}

}  // namespace

compact_rule rule_cache::shorten(const unwind_rule& rule) noexcept {
  if (const compact_rule packed = pack(rule); packed != 0) return packed;
  std::uint32_t count = __atomic_load_n(&whole_count_, __ATOMIC_ACQUIRE);
  for (std::uint32_t i = 0; i < count && i < whole_capacity; ++i) {
    if (__atomic_load_n(&whole_[i].ready, __ATOMIC_ACQUIRE) != 0 && whole_[i].rule == rule) {
      return i << compact_value_shift | compact_whole;
    }
  }
  // Two threads may add the same rule; each number stands for itself.
  do {
    if (count >= whole_capacity) return compact_uncached;
  } while (!__atomic_compare_exchange_n(&whole_count_, &count, count + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
  whole_[count].rule = rule;
  __atomic_store_n(&whole_[count].ready, 1, __ATOMIC_RELEASE);
  return count << compact_value_shift | compact_whole;
}

void rule_cache::insert(std::uint64_t address, compact_rule rule, std::uint32_t generation) noexcept {
  TENURE_DCHECK(address >> 48 == 0 && rule != 0 && rule >> compact_rule_bits == 0);
  TENURE_DCHECK((rule & compact_kind_mask) != compact_uncached);
  const std::uintptr_t table = __atomic_load_n(&table_, __ATOMIC_ACQUIRE);
  const view in = current();
  auto* words = const_cast<std::uint64_t*>(in.words);
  std::uint64_t* first = &words[address & in.mask];
  std::uint64_t* second = &words[second_place(in, address)];
  const std::uint64_t displaced = __atomic_load_n(first, __ATOMIC_RELAXED);
  const bool gives_way = displaced != 0 && !matches(displaced, address);
  if (gives_way) {
    if (__atomic_load_n(second, __ATOMIC_RELAXED) != 0) __atomic_fetch_add(&replaced_, 1, __ATOMIC_RELAXED);
    __atomic_store_n(second, displaced, __ATOMIC_SEQ_CST);
  }
  __atomic_store_n(first, tag(address) | rule, __ATOMIC_SEQ_CST);
  // Pairs with clear(): either it sees the stores above and removes them, or its new generation is seen here.
  if (__atomic_load_n(&generation_, __ATOMIC_SEQ_CST) != generation) {
    __atomic_store_n(first, 0, __ATOMIC_RELEASE);
    if (gives_way) __atomic_store_n(second, 0, __ATOMIC_RELEASE);
  }
  if (__atomic_load_n(&replaced_, __ATOMIC_RELAXED) > in.mask / 8) grow(table);
}

void rule_cache::grow(std::uintptr_t from) noexcept {
  const unsigned bits = from == 0 ? least_bits : static_cast<unsigned>(from & bits_mask);
  if (bits >= most_bits || __atomic_exchange_n(&growing_, 1, __ATOMIC_ACQUIRE) != 0) return;
  if (__atomic_load_n(&table_, __ATOMIC_ACQUIRE) == from) {
    const std::size_t bytes = sizeof(std::uint64_t) << (bits + 2);
    if (void* words = os::map_anywhere(bytes); words != nullptr) {
      __atomic_fetch_add(&mapped_bytes_, bytes, __ATOMIC_RELAXED);
      __atomic_store_n(&table_, reinterpret_cast<std::uintptr_t>(words) | (bits + 2), __ATOMIC_RELEASE);
    }
    __atomic_store_n(&replaced_, 0, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&growing_, 0, __ATOMIC_RELEASE);
}

void rule_cache::clear() noexcept {
  __atomic_fetch_add(&generation_, 1, __ATOMIC_SEQ_CST);
  const view in = current();
  auto* words = const_cast<std::uint64_t*>(in.words);
  for (std::size_t i = 0; i <= in.mask; ++i) {
    // A word never written lies in a page never touched, which reading leaves that way.
    if (__atomic_load_n(&words[i], __ATOMIC_SEQ_CST) != 0) __atomic_store_n(&words[i], 0, __ATOMIC_RELEASE);
  }
}

void rule_cache::check() const noexcept {
  const view in = current();
  TENURE_CHECK(in.mask >= (1u << least_bits) - 1 && in.mask < 1u << most_bits);
  const std::uint32_t whole_count = __atomic_load_n(&whole_count_, __ATOMIC_ACQUIRE);
  TENURE_CHECK(whole_count <= whole_capacity);
  for (std::size_t i = 0; i <= in.mask; ++i) {
    const std::uint64_t word = __atomic_load_n(&in.words[i], __ATOMIC_ACQUIRE);
    if (word == 0) continue;
    const compact_rule rule = rule_in(word);
    const compact_rule kind = rule & compact_kind_mask;
    TENURE_CHECK(kind != compact_uncached);
    TENURE_CHECK(kind != compact_whole || rule >> compact_value_shift < whole_count);
    TENURE_CHECK(kind == compact_whole || compact_cfa_offset(rule) != 0);
  }
}

}  // namespace tenure::telemetry
