#include "library/gc/window.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <new>

#include "core/base/sanitizers.h"

extern "C" __attribute__((weak)) void __lsan_register_root_region(const void* first, std::size_t bytes);

namespace tenure::gc {

namespace {

constexpr std::size_t chunk_blocks = 32;  // a huge page
constexpr std::size_t least_window_bytes = std::size_t{64} << 20;

void* map_nothing(std::size_t bytes) noexcept {
  void* at = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void* map_table(std::size_t bytes) noexcept {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

// Four times the memory of the machine, as a power of two: room for what fragmentation wastes. ThreadSanitizer has
// shadow memory to set for all of it.
std::size_t wanted_bytes() noexcept {
#ifdef TENURE_THREAD_SANITIZER
  return std::size_t{4} << 30;
#endif
  const std::size_t memory =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return std::bit_ceil(std::clamp(memory * 4, std::size_t{1} << 30, std::size_t{1} << 42));
}

}  // namespace

std::atomic<window*> window::instance_{nullptr};
std::atomic<std::uint64_t> window::runs_until_refusal_{0};

window& window::create() noexcept {
  static lock creating;
  alignas(window) static char storage[sizeof(window)];
  const holding guard(creating);
  window* made = instance_.load(std::memory_order_acquire);
  if (made == nullptr) {
    made = new (storage) window();
    TENURE_CHECK(made->reserve());
    instance_.store(made, std::memory_order_release);
  }
  return *made;
}

bool window::reserve() noexcept {
  std::size_t bytes = wanted_bytes();
  rlimit addresses{};
  if (::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY) {
    bytes = std::min(bytes, std::bit_floor(std::max(addresses.rlim_cur / 4, least_window_bytes)));
  }
  while (!reserve_bytes(bytes)) {
    bytes /= 2;
    if (bytes < least_window_bytes) return false;
  }
  return true;
}

bool window::reserve_bytes(std::size_t bytes) noexcept {
  constexpr std::size_t alignment = chunk_blocks * block_bytes;
  const std::size_t blocks = bytes / block_bytes;
  const std::size_t tables[] = {blocks * sizeof(block_header), blocks * sizeof(block_bits), bytes >> detail::card_shift,
                                (blocks / 64 + 1) * sizeof(std::uint64_t),
                                blocks * words_per_block * sizeof(side_word*)};
  constexpr int table_count = static_cast<int>(std::size(tables));
  void* made[table_count] = {};
  void* range = map_nothing(bytes + alignment);
  bool whole = range != nullptr;
  for (int i = 0; i < table_count; ++i) {
    made[i] = whole ? map_table(tables[i]) : nullptr;
    whole = whole && made[i] != nullptr;
  }
  if (!whole) {
    if (range != nullptr) ::munmap(range, bytes + alignment);
    for (int i = 0; i < table_count; ++i) {
      if (made[i] != nullptr) ::munmap(made[i], tables[i]);
    }
    return false;
  }
  first_ = (reinterpret_cast<std::uintptr_t>(range) + alignment - 1) & ~(alignment - 1);
  bytes_ = bytes;
  headers_ = static_cast<block_header*>(made[0]);
  bits_ = static_cast<block_bits*>(made[1]);
  cards_ = static_cast<std::atomic<std::uint8_t>*>(made[2]);
  taken_ = static_cast<std::uint64_t*>(made[3]);
  sides_ = static_cast<std::atomic<side_word*>*>(made[4]);
  return true;
}

bool window::make_usable(std::size_t end) noexcept {
  if (end <= usable_) return true;
  const std::size_t to = std::min((end + chunk_blocks - 1) / chunk_blocks * chunk_blocks, bytes_ / block_bytes);
  char* from = address_of(usable_);
  const std::size_t bytes = (to - usable_) * block_bytes;
  if (::mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0) return false;
  ::madvise(from, bytes, MADV_HUGEPAGE);
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(from, bytes);
  for (std::size_t i = usable_; i < to; ++i) headers_[i].zeroed = true;
  usable_ = to;
  return true;
}

std::size_t window::find_run(std::size_t count) const noexcept {
  const std::size_t blocks = bytes_ / block_bytes;
  std::size_t length = 0;
  for (std::size_t i = hint_; i < blocks; ++i) {
    if (length == 0 && i % 64 == 0 && taken_[i / 64] == ~std::uint64_t{0}) {
      i += 63;
      continue;
    }
    length = is_taken(i) ? 0 : length + 1;
    if (length == count) return i + 1 - count;
  }
  return npos;
}

std::size_t window::take_run(std::size_t count) noexcept {
  if (runs_until_refusal_.load(std::memory_order_relaxed) != 0 && runs_until_refusal_.fetch_sub(1) <= 1) {
    runs_until_refusal_.store(1);
    return npos;
  }
  const holding guard(lock_);
  const std::size_t found = find_run(count);
  if (found == npos || !make_usable(found + count)) return npos;
  bool zeroed = true;
  for (std::size_t i = found; i < found + count; ++i) {
    taken_[i / 64] |= std::uint64_t{1} << (i % 64);
    zeroed = zeroed && headers_[i].zeroed;
  }
  headers_[found].zeroed = zeroed;
  if (found == hint_) hint_ = found + count;
  if (found + count > end_block_.load(std::memory_order_relaxed)) {
    end_block_.store(found + count, std::memory_order_release);
  }
  return found;
}

void window::give_run(std::size_t block, std::size_t count, bool keep) noexcept {
  // Outside of the lock: nobody else can reach the run yet.
  if (!keep) ::madvise(address_of(block), count * block_bytes, MADV_DONTNEED);
  const holding guard(lock_);
  for (std::size_t i = block; i < block + count; ++i) {
    TENURE_CHECK(is_taken(i));
    headers_[i].state.store(block_state::free, std::memory_order_relaxed);
    headers_[i].reciprocal = 0;
    headers_[i].zeroed = !keep;
    taken_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
  }
  hint_ = std::min(hint_, block);
}

void window::use_cards() noexcept {
  detail::barrier.cards.store(reinterpret_cast<std::uint8_t*>(cards_), std::memory_order_relaxed);
  detail::barrier.card_first.store(first_, std::memory_order_relaxed);
  detail::barrier.card_bytes.store(bytes_, std::memory_order_release);
}

void window::check() noexcept {
  const holding guard(lock_);
  const std::size_t end = end_block();
  TENURE_CHECK(end <= usable_ && usable_ <= bytes_ / block_bytes);
  for (std::size_t i = 0; i < end; ++i) {
    const block_state state = headers_[i].state.load(std::memory_order_relaxed);
    if (state == block_state::free) continue;
    TENURE_CHECK(is_taken(i));
    if (state == block_state::large_rest) {
      const block_header& start = headers_[i - headers_[i].blocks_back];
      TENURE_CHECK(start.state.load(std::memory_order_relaxed) == block_state::large);
      TENURE_CHECK(headers_[i].blocks_back < start.run_blocks);
    }
  }
}

}  // namespace tenure::gc
