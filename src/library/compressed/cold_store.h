// Where compressed pages lie: bins of 64 KiB, each for pieces of one size, a multiple of 128 bytes.
//
//   bin   [piece][piece][free ].. [piece]      pieces of 640 bytes, say; a bin that becomes empty is given back
//
// It takes memory from the system itself and asks nobody: a heap at its limit would call shrinkers, on the thread that
// all who touch a page wait for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenure::resources {

class cold_store {
 public:
  static constexpr std::size_t step_bytes = 128;
  static constexpr std::size_t bin_bytes = std::size_t{64} << 10;

  struct piece {
    std::uint32_t place;  // bin and number in it
    std::uint16_t bytes;
  };

  // For so many bytes of pieces, each at most half of a bin. Throws std::bad_alloc.
  explicit cold_store(std::size_t most_bytes);
  ~cold_store();
  cold_store(const cold_store&) = delete;
  cold_store& operator=(const cold_store&) = delete;

  // False when it is full.
  bool add(const void* content, std::size_t bytes, piece& made) noexcept;
  const std::byte* content(const piece& of) const noexcept;
  void remove(const piece& of) noexcept;

  std::size_t taken_bytes() const noexcept { return used_bins_ * bin_bytes; }
  // Every bin's pieces, and which bins have room. False where they do not fit together.
  bool is_sound() const noexcept;

 private:
  static constexpr std::size_t classes = bin_bytes / 2 / step_bytes + 1;
  static constexpr std::uint32_t nowhere = UINT32_MAX;
  static constexpr std::size_t numbers = bin_bytes / step_bytes;
  struct bin {
    std::uint16_t size_class = 0;  // 0: not used
    std::uint16_t used = 0;
    std::uint32_t next = nowhere;  // of those with room, or of those not used
    std::uint32_t before = nowhere;
    std::array<std::uint64_t, numbers / 64> taken{};
  };

  std::size_t room_of(const bin& of) const noexcept { return bin_bytes / (of.size_class * step_bytes); }
  void link(std::uint32_t number) noexcept;
  void unlink(std::uint32_t number) noexcept;

  std::byte* base_ = nullptr;
  std::vector<bin> bins_;
  std::array<std::uint32_t, classes> with_room_;
  std::uint32_t not_used_ = 0;
  std::size_t used_bins_ = 0;
};

}  // namespace tenure::resources
