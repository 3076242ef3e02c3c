#include "core/heap/span_blocks.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

constexpr std::uint64_t bit(std::uint32_t index) noexcept { return std::uint64_t{1} << (index % 64); }

// Grows a chain at its end, from outside: its blocks are written, never read.
class chain_end {
 public:
  void add(free_block* block) noexcept {
    TENURE_DCHECK(block != nullptr);
    *last_ = encode_link(block);
    last_ = &block->link;
    ++count_;
  }
  std::uint32_t count() const noexcept { return count_; }
  void put_before(block_chain* chain) noexcept {
    *last_ = encode_link(chain->first);
    chain->first = decode_link(first_);
    chain->count += count_;
  }

 private:
  std::uintptr_t first_ = empty_link;
  std::uintptr_t* last_ = &first_;
  std::uint32_t count_ = 0;
};

// Blocks of one word, lowest first, until `wanted` are there; the bits that were taken.
std::uint64_t take_of_word(span* from, std::uint32_t word, std::uint64_t bits, std::uint32_t wanted,
                           chain_end* taken) noexcept {
  std::uint64_t left = bits;
  while (left != 0 && taken->count() != wanted) {
    taken->add(block_at(from, word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(left))));
    left &= left - 1;
  }
  return bits ^ left;
}

void note_carved(span* of, std::uint32_t word, std::uint64_t taken) noexcept {
  TENURE_DCHECK(taken != 0 && word < bit_words(of));
  const std::uint32_t end = word * 64 + floor_log2(taken) + 1;
  if (end > of->carved_count) __atomic_store_n(&of->carved_count, end, __ATOMIC_RELAXED);
}

void take_present(span* from, std::uint32_t wanted, chain_end* taken) noexcept {
  const std::uint32_t words = bit_words(from);
  std::uint32_t word = from->first_word;
  bool all_before_are_used = true;
  for (; word < words && taken->count() != wanted; ++word) {
    const std::uint64_t absent = from->absent_bits == nullptr ? 0 : from->absent_bits[word];
    const std::uint64_t gone = take_of_word(from, word, from->free_bits[word] & ~absent, wanted, taken);
    from->free_bits[word] ^= gone;
    if (gone != 0) note_carved(from, word, gone);
    all_before_are_used = all_before_are_used && from->free_bits[word] == 0;
    if (all_before_are_used) from->first_word = word + 1;
  }
}

void take_absent(span* from, std::uint32_t wanted, chain_end* taken) noexcept {
  TENURE_DCHECK(from->absent_bits != nullptr);
  const std::uint32_t before = taken->count();
  for (std::uint32_t word = 0; word < bit_words(from) && taken->count() != wanted; ++word) {
    const std::uint64_t gone = take_of_word(from, word, from->absent_bits[word], wanted, taken);
    from->absent_bits[word] ^= gone;
    from->free_bits[word] ^= gone;
  }
  TENURE_DCHECK(taken->count() - before <= from->absent_count);
  from->absent_count -= taken->count() - before;
}

}  // namespace

span* make_block_span(std::size_t size_class, std::uint32_t pages, span_kind kind, void* owner) noexcept {
  const std::size_t size = class_bytes[size_class];
  span* made = allocate_span(pages, span_alignment(size_class, pages), kind, false);
  if (made == nullptr) return nullptr;
  TENURE_YIELD_POINT();
  const std::uintptr_t begin = page_address(made->first_page);
  const std::uintptr_t end = page_address(made->first_page + std::uintptr_t{made->page_count});
  made->first_block = (begin + size - 1) / size * size;
  TENURE_CHECK(made->first_block + size <= end);
  const auto count = static_cast<std::uint32_t>((end - made->first_block) / size);
  made->free_bits = count <= span::blocks_inside ? made->bits_inside : allocate_bits(count);
  if (made->free_bits == nullptr) {
    release_span(made, made->zeroed);
    return nullptr;
  }
  TENURE_DCHECK(count != 0 && count <= most_span_blocks && made->absent_bits == nullptr);
  made->size_class = static_cast<std::uint8_t>(size_class);
  made->block_count = made->free_count = count;
  for (std::uint32_t word = 0; word < bit_words(made); ++word) made->free_bits[word] = ~std::uint64_t{0};
  if (count % 64 != 0) made->free_bits[count / 64] = bit(count) - 1;
  made->owner = owner;
  if (kind == span_kind::small) set_class(made, static_cast<std::uint8_t>(size_class));
  return made;
}

void take_blocks(span* from, std::uint32_t wanted, block_chain* chain) noexcept {
  TENURE_DCHECK(from->free_bits != nullptr && !from->thinning);
  chain_end taken;
  take_present(from, wanted, &taken);
  if (unlikely(from->absent_count != 0) && taken.count() != wanted) take_absent(from, wanted, &taken);
  TENURE_DCHECK(taken.count() <= from->free_count);
  from->free_count -= taken.count();
  taken.put_before(chain);
}

void put_block(span* to, free_block* block) noexcept {
  const std::uint32_t index = index_of(to, block);
  const std::uint32_t word = index / 64;
  // A link that was overwritten after the free: it leads behind the last block, or into the inside of one.
  TENURE_CHECK(index < to->block_count && block_at(to, index) == block);
  TENURE_CHECK((to->free_bits[word] & bit(index)) == 0);  // a double free that free() could not see
  to->free_bits[word] |= bit(index);
  if (word < to->first_word) to->first_word = word;
  ++to->free_count;
  block->link = empty_link;  // what free() looks at, and no link that goes stale
}

void check_blocks(const span* of) noexcept {
  std::uint32_t free_count = 0;
  std::uint32_t absent_count = 0;
  for (std::uint32_t word = 0; word < bit_words(of); ++word) {
    const std::uint64_t absent = of->absent_bits == nullptr ? 0 : of->absent_bits[word];
    TENURE_CHECK((absent & ~of->free_bits[word]) == 0);
    TENURE_CHECK(of->free_bits[word] == 0 || word >= of->first_word);
    free_count += static_cast<std::uint32_t>(__builtin_popcountll(of->free_bits[word]));
    absent_count += static_cast<std::uint32_t>(__builtin_popcountll(absent));
  }
  TENURE_CHECK(free_count == of->free_count && absent_count == of->absent_count);
  TENURE_CHECK(of->carved_count <= of->block_count && free_count >= of->block_count - of->carved_count);
}

}  // namespace tenure::core
