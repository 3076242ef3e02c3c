#include "library/ref/string_table.h"

#include <algorithm>
#include <random>

namespace tenure::detail {

std::uint64_t make_seed() noexcept {
  static const std::uint64_t seed = [] {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
  }();
  return seed;
}

void* take_charged(tenure::account& account, std::size_t bytes) {
  if (!account.try_charge(bytes)) throw std::bad_alloc();
  try {
    return ::operator new(bytes);
  } catch (...) {
    account.release(bytes);
    throw;
  }
}

void give_charged(tenure::account& account, void* memory, std::size_t bytes) noexcept {
  ::operator delete(memory, bytes);
  account.release(bytes);
}

std::size_t entry_memory::missing_bytes(std::size_t bytes) const noexcept {
  constexpr std::size_t first = 1024;
  constexpr std::size_t largest = std::size_t{64} << 10;
  if (bytes <= left_) return 0;
  // One that is larger than what is usual gets its own, and what is left of the last chunk stays in use.
  const std::size_t usual = std::min(largest, first << std::min<std::size_t>(chunk_count_, 6));
  return bytes > usual / 4 ? sizeof(chunk) + bytes : usual;
}

void* entry_memory::take(std::size_t bytes, charged_memory& fresh) noexcept {
  if (bytes > left_) {
    const std::size_t fresh_bytes = fresh.bytes();
    TENURE_CHECK(fresh_bytes >= sizeof(chunk) + bytes);
    chunks_ = ::new (fresh.detach()) chunk{chunks_, fresh_bytes};
    ++chunk_count_;
    auto* const begin = reinterpret_cast<std::byte*>(chunks_ + 1);
    if (fresh_bytes == sizeof(chunk) + bytes) return begin;
    next_ = begin;
    left_ = fresh_bytes - sizeof(chunk);
  }
  void* const taken = next_;
  next_ += bytes;
  left_ -= bytes;
  return taken;
}

}  // namespace tenure::detail
