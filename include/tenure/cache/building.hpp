// An entry of a cache that is being built, and may come to nothing: then everything is given back.
#pragma once

#include <cstdint>
#include <utility>

#include <tenure/cache/memory.hpp>

namespace tenure::detail {

template <class entry>
struct building {
  explicit building(cache_memory& from) noexcept : memory(&from) {}
  building(const building&) = delete;
  building& operator=(const building&) = delete;
  ~building() {
    if (made != nullptr) made->~entry();
    if (owned != 0) memory->give(owned);
    if (block != nullptr) memory->deallocate(block, sizeof(entry), alignof(entry));
  }
  bool own(std::uint64_t bytes) noexcept {
    if (bytes > owned && !memory->take(bytes - owned)) return false;
    if (bytes < owned) memory->give(owned - bytes);
    owned = bytes;
    return true;
  }
  entry* finished() noexcept {
    block = nullptr;
    made->owned_bytes = std::exchange(owned, 0);
    return std::exchange(made, nullptr);
  }
  cache_memory* memory;
  void* block = nullptr;
  entry* made = nullptr;
  std::uint64_t owned = 0;
};

}  // namespace tenure::detail
