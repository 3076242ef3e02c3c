#include "core/pages/span_records.h"

#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/pages/record_pool.h"

namespace tenure::core {
namespace {

static_assert(offsetof(span, next) == 0);  // the word by which free records are linked

// The last four hold bits for up to 512, 1,024, 2,048 and 4,096 blocks.
constexpr unsigned pool_count = 5;
constinit record_pool pools[pool_count] = {record_pool(sizeof(span)), record_pool(64), record_pool(128),
                                           record_pool(256), record_pool(512)};
constexpr unsigned least_bits_log = 9;
static_assert(most_span_blocks == 1u << (least_bits_log + pool_count - 2));

record_pool& span_pool() noexcept { return pools[0]; }

record_pool& bits_pool(std::uint32_t blocks) noexcept {
  TENURE_CHECK(blocks != 0 && blocks <= most_span_blocks);
  const unsigned log = blocks <= 1u << least_bits_log ? least_bits_log : floor_log2(blocks - 1) + 1;
  return pools[1 + log - least_bits_log];
}

}  // namespace

span* allocate_span_record() noexcept {
  void* record = span_pool().allocate();
  return record == nullptr ? nullptr : new (record) span;
}

void free_span_record(span* released) noexcept {
  TENURE_DCHECK(released->kind != span_kind::unused && released->absent_bits == nullptr);
  *released = span{};
  span_pool().free(released);
}

std::uint64_t* allocate_block_bits(std::uint32_t blocks) noexcept {
  return static_cast<std::uint64_t*>(bits_pool(blocks).allocate());
}

void free_block_bits(std::uint64_t* bits, std::uint32_t blocks) noexcept { bits_pool(blocks).free(bits); }

void free_span_bits(span* of) noexcept {
  if (of->free_bits != nullptr && of->free_bits != of->bits_inside) free_block_bits(of->free_bits, of->block_count);
  if (of->absent_bits != nullptr) free_block_bits(of->absent_bits, of->block_count);
}

bool collect_unused_record_pages() noexcept {
  bool some = false;
  for (record_pool& pool : pools) some = pool.collect_unused() || some;
  return some;
}

void release_record_pages() noexcept {
  for (record_pool& pool : pools) pool.release_unused();
}

void put_back_record_pages() noexcept {
  for (record_pool& pool : pools) pool.put_back_unused();
}

bool record_pages_are_leaving() noexcept {
  for (const record_pool& pool : pools) {
    if (pool.is_leaving()) return true;
  }
  return false;
}

std::uint64_t span_record_bytes() noexcept {
  std::uint64_t bytes = 0;
  for (const record_pool& pool : pools) bytes += pool.resident_bytes();
  return bytes;
}

void check_span_records() noexcept {
  span_pool().check([](const void* record) { return static_cast<const span*>(record)->kind == span_kind::unused; });
  for (unsigned i = 1; i < pool_count; ++i) pools[i].check([](const void*) { return true; });
}

}  // namespace tenure::core
