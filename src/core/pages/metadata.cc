#include "core/pages/metadata.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

// Blocks of metadata grow with use: a small program touches one OS page of the first.
constexpr std::size_t block_bytes = 1 << 20;

os::mutex lock;
std::uintptr_t next = 0;
std::uintptr_t end = 0;
std::uint64_t used_bytes = 0;

}  // namespace

void* allocate_metadata(std::size_t bytes) noexcept {
  bytes = align_up(bytes, 64);
  TENURE_CHECK(bytes <= block_bytes);
  os::lock_guard held(lock);
  if (end - next < bytes) {
    void* block = os::map_anywhere(block_bytes);
    if (block == nullptr) return nullptr;
    next = reinterpret_cast<std::uintptr_t>(block);
    end = next + block_bytes;
  }
  void* result = reinterpret_cast<void*>(next);
  next += bytes;
  __atomic_store_n(&used_bytes, used_bytes + bytes, __ATOMIC_RELAXED);
  return result;
}

std::uint64_t metadata_bytes() noexcept { return __atomic_load_n(&used_bytes, __ATOMIC_RELAXED); }

void lock_metadata() noexcept { lock.lock(); }
void unlock_metadata() noexcept { lock.unlock(); }

}  // namespace tenure::core
