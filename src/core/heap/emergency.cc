#include "core/heap/emergency.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/own_memory.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

// One mapping an allocation: rare enough that simplicity wins. The table holds where they are.
constexpr std::size_t table_size = 4096;
struct mapping {
  std::uintptr_t begin;
  std::uintptr_t end;
  std::uintptr_t block;
};
mapping table[table_size];
std::uint64_t used = 0;

const mapping* find(const void* block) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  std::uint64_t count = __atomic_load_n(&used, __ATOMIC_ACQUIRE);
  if (count > table_size) count = table_size;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (__atomic_load_n(&table[i].block, __ATOMIC_ACQUIRE) == address) return &table[i];
  }
  return nullptr;
}

}  // namespace

void* emergency_allocate(std::size_t bytes, std::size_t alignment) noexcept {
  TENURE_DCHECK(is_power_of_two(alignment));
  std::size_t total = 0;
  if (__builtin_add_overflow(bytes, alignment + os::page_bytes(), &total)) return nullptr;
  if (__atomic_load_n(&used, __ATOMIC_RELAXED) >= table_size) return nullptr;
  const std::uint64_t place = __atomic_fetch_add(&used, 1, __ATOMIC_ACQ_REL);
  if (place >= table_size) return nullptr;
  total = align_up(total, os::page_bytes());
  void* memory = os::map_anywhere(total);
  if (memory == nullptr) return nullptr;
  os::disown_memory(memory);  // the program's
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  table[place].begin = begin;
  table[place].end = begin + total;
  const std::uintptr_t block = align_up(begin, alignment);
  __atomic_store_n(&table[place].block, block, __ATOMIC_RELEASE);
  return reinterpret_cast<void*>(block);
}

bool is_emergency_block(const void* block) noexcept {
  return unlikely(__atomic_load_n(&used, __ATOMIC_RELAXED) != 0) && find(block) != nullptr;
}

std::size_t emergency_block_bytes(const void* block) noexcept {
  const mapping* found = find(block);
  TENURE_CHECK(found != nullptr);
  return found->end - found->block;
}

std::uint64_t emergency_allocations() noexcept {
  const std::uint64_t count = __atomic_load_n(&used, __ATOMIC_RELAXED);
  return count < table_size ? count : table_size;
}

}  // namespace tenure::core
