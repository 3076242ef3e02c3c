#include "library/compressed/cold_store.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <new>

namespace tenure::resources {

// Pieces of one size that are left alone each in its bin could take more than there are bins; then it is full.
cold_store::cold_store(std::size_t most_bytes) : bins_(most_bytes / bin_bytes + 2 * classes) {
  void* const memory = ::mmap(nullptr, bins_.size() * bin_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::byte*>(memory);
  with_room_.fill(nowhere);
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    bins_[i].next = i + 1 == bins_.size() ? nowhere : static_cast<std::uint32_t>(i + 1);
  }
}

cold_store::~cold_store() { ::munmap(base_, bins_.size() * bin_bytes); }

void cold_store::link(std::uint32_t number) noexcept {
  bin& one = bins_[number];
  std::uint32_t& first = with_room_[one.size_class];
  one.next = first;
  one.before = nowhere;
  if (first != nowhere) bins_[first].before = number;
  first = number;
}

void cold_store::unlink(std::uint32_t number) noexcept {
  bin& one = bins_[number];
  if (one.before == nowhere) {
    with_room_[one.size_class] = one.next;
  } else {
    bins_[one.before].next = one.next;
  }
  if (one.next != nowhere) bins_[one.next].before = one.before;
}

bool cold_store::add(const void* content, std::size_t bytes, piece& made) noexcept {
  const std::size_t size_class = (bytes + step_bytes - 1) / step_bytes;
  if (bytes == 0 || size_class >= classes) return false;
  std::uint32_t number = with_room_[size_class];
  if (number == nowhere) {
    number = not_used_;
    if (number == nowhere) return false;
    not_used_ = bins_[number].next;
    bins_[number] = bin{};
    bins_[number].size_class = static_cast<std::uint16_t>(size_class);
    link(number);
    ++used_bins_;
  }
  bin& one = bins_[number];
  std::size_t place = 0;
  while (one.taken[place / 64] == ~std::uint64_t{0}) place += 64;
  place += static_cast<std::size_t>(std::countr_one(one.taken[place / 64]));
  one.taken[place / 64] |= std::uint64_t{1} << (place % 64);
  if (++one.used == room_of(one)) unlink(number);
  made = {static_cast<std::uint32_t>(number * numbers + place), static_cast<std::uint16_t>(bytes)};
  std::memcpy(base_ + number * bin_bytes + place * size_class * step_bytes, content, bytes);
  return true;
}

const std::byte* cold_store::content(const piece& of) const noexcept {
  const bin& one = bins_[of.place / numbers];
  return base_ + of.place / numbers * bin_bytes + of.place % numbers * one.size_class * step_bytes;
}

void cold_store::remove(const piece& of) noexcept {
  const auto number = static_cast<std::uint32_t>(of.place / numbers);
  bin& one = bins_[number];
  const std::size_t place = of.place % numbers;
  one.taken[place / 64] &= ~(std::uint64_t{1} << (place % 64));
  if (one.used-- == room_of(one)) link(number);
  if (one.used != 0) return;
  unlink(number);
  ::madvise(base_ + number * bin_bytes, bin_bytes, MADV_DONTNEED);
  one.size_class = 0;
  one.next = not_used_;
  not_used_ = number;
  --used_bins_;
}

bool cold_store::is_sound() const noexcept {
  std::size_t used_bins = 0;
  for (const bin& one : bins_) {
    if (one.size_class == 0) continue;
    ++used_bins;
    std::size_t pieces = 0;
    for (const std::uint64_t bits : one.taken) pieces += static_cast<std::size_t>(std::popcount(bits));
    if (pieces != one.used || one.used == 0 || one.used > room_of(one)) return false;
  }
  std::size_t with_room = 0;
  for (std::size_t size_class = 0; size_class < classes; ++size_class) {
    for (std::uint32_t at = with_room_[size_class]; at != nowhere; at = bins_[at].next) {
      if (bins_[at].size_class != size_class || bins_[at].used == room_of(bins_[at])) return false;
      ++with_room;
    }
  }
  for (const bin& one : bins_) with_room -= one.size_class != 0 && one.used != room_of(one) ? 1 : 0;
  return used_bins == used_bins_ && with_room == 0;
}

}  // namespace tenure::resources
