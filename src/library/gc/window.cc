#include "library/gc/window.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <utility>

#include "core/base/sanitizers.h"
#include "library/gc/out_of_memory.h"
#include "library/gc/prefault.h"

extern "C" __attribute__((weak)) void __lsan_register_root_region(const void* first, std::size_t bytes);

namespace tenure::gc {

namespace {

constexpr std::size_t chunk_blocks = 32;  // a huge page
constexpr std::size_t chunk_bytes = chunk_blocks * block_bytes;
// Of what is taken, as much is to be free and resident, and no more than that many blocks.
constexpr std::size_t resident_share = 16;
constexpr std::size_t most_resident_free = 4 * chunk_blocks;
// The bitmaps of so many blocks, some 100 MiB, are in small pages, those of the others in huge ones: marking goes from
// one to any other, and a small heap is to have a small table.
constexpr std::size_t table_page_bytes = std::size_t{2} << 20;
constexpr std::size_t small_bits = 2 * table_page_bytes / sizeof(block_bits);
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
constexpr std::size_t least_window_bytes = std::size_t{64} << 20;

void* page_of(const void* address) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(address) &
                                 ~(page - 1));  // NOLINT(performance-no-int-to-ptr)
}

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

bool window::prepare() noexcept {
  static lock creating;
  alignas(window) static char storage[sizeof(window)];
  const holding guard(creating);
  if (instance_.load(std::memory_order_acquire) != nullptr) return true;
  window* made = new (storage) window();
  if (!made->reserve()) return false;
  instance_.store(made, std::memory_order_release);
  return true;
}

window& window::get_new() noexcept {
  if (!prepare()) end_out_of_memory("the addresses of managed objects");
  return *instance_.load(std::memory_order_acquire);
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
  constexpr std::size_t alignment = chunk_bytes;
  const std::size_t blocks = bytes / block_bytes;
  const std::size_t tables[] = {blocks * sizeof(block_header),
                                blocks * sizeof(block_bits),
                                bytes >> detail::card_shift,
                                (blocks / 64 + 1) * sizeof(std::uint64_t),
                                blocks * words_per_block * sizeof(side_word*),
                                (blocks / chunk_blocks / 64 + 1) * sizeof(std::uint64_t)};
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
  cold_ = static_cast<std::uint64_t*>(made[5]);
  if (blocks > small_bits)
    ::madvise(page_of(bits_ + small_bits), (blocks - small_bits) * sizeof(block_bits), MADV_HUGEPAGE);
  return true;
}

bool window::make_usable(std::size_t end) noexcept {
  if (end <= usable_) return true;
  const std::size_t to = std::min((end + chunk_blocks - 1) / chunk_blocks * chunk_blocks, bytes_ / block_bytes);
  char* from = address_of(usable_);
  const std::size_t bytes = (to - usable_) * block_bytes;
  if (::mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0) return false;
  if (!prefaults_) ::madvise(from, bytes, MADV_HUGEPAGE);
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
    if (headers_[i].resident) --resident_free_;
    const std::size_t chunk = i / chunk_blocks;
    cold_[chunk / 64] &= ~(std::uint64_t{1} << (chunk % 64));
  }
  headers_[found].zeroed = zeroed;
  // Who asks for so much clears, or touches, all of it in a moment.
  const std::size_t first_chunk = (found + chunk_blocks - 1) / chunk_blocks;
  const std::size_t end_chunk = (found + count) / chunk_blocks;
  if (first_chunk < end_chunk) {
    ::madvise(address_of(first_chunk * chunk_blocks), (end_chunk - first_chunk) * chunk_bytes, MADV_HUGEPAGE);
  }
  if (found == hint_) hint_ = found + count;
  if (found + count > end_block_.load(std::memory_order_relaxed)) {
    end_block_.store(found + count, std::memory_order_release);
  }
  if (prefaults_ && resident_free_ < wanted_resident_blocks()) request_prefault();
  return found;
}

// With the lock held.
void window::lower_end() noexcept {
  std::size_t end = end_block_.load(std::memory_order_relaxed);
  while (end != 0 && !is_taken(end - 1)) --end;
  end_block_.store(end, std::memory_order_release);
}

void window::give_run(std::size_t block, std::size_t count, bool keep) noexcept {
  // Outside of the lock: nobody else can reach the run yet. Of memory that is locked the kernel takes nothing back.
  if (!keep) keep = ::madvise(address_of(block), count * block_bytes, MADV_DONTNEED) != 0;
  const holding guard(lock_);
  for (std::size_t i = block; i < block + count; ++i) {
    TENURE_CHECK(is_taken(i));
    headers_[i].state.store(block_state::free, std::memory_order_relaxed);
    headers_[i].reciprocal = 0;
    headers_[i].zeroed = !keep;
    headers_[i].resident = keep;
    taken_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
  }
  if (keep) resident_free_ += count;
  hint_ = std::min(hint_, block);
  lower_end();
  if (prefaults_ && !keep) chill(block / chunk_blocks, (block + count - 1) / chunk_blocks + 1);
}

std::size_t window::ready_bytes() noexcept {
  const holding guard(lock_);
  return resident_free_ * block_bytes;
}

std::size_t window::wanted_ready_bytes() noexcept {
  const holding guard(lock_);
  return wanted_resident_blocks() * block_bytes;
}

// With the lock held: the last run of free resident blocks before `before`, taken, and no longer than that. `before` is
// where it begins; 0 blocks: there is none.
std::size_t window::take_ready(std::size_t most, std::size_t& before) noexcept {
  const auto is_ready = [&](std::size_t block) { return !is_taken(block) && headers_[block].resident; };
  before = std::min(before, usable_);
  while (before != 0 && !is_ready(before - 1)) --before;
  std::size_t count = 0;
  for (; before != 0 && count < most && is_ready(before - 1); ++count) {
    --before;
    taken_[before / 64] |= std::uint64_t{1} << (before % 64);
    headers_[before].resident = false;
  }
  resident_free_ -= count;
  return count;
}

std::size_t window::return_ready(std::size_t most_bytes) noexcept {
  std::size_t returned = 0;
  std::size_t before = bytes_ / block_bytes;
  for (;;) {
    std::size_t count = 0;
    {
      const holding guard(lock_);
      const std::size_t most = most_bytes / block_bytes;
      if (resident_free_ > most) count = take_ready(resident_free_ - most, before);
    }
    if (count == 0) return returned;
    give_run(before, count, false);
    returned += count * block_bytes;
  }
}

bool window::is_cold(std::size_t chunk) const noexcept {
  for (std::size_t i = chunk * chunk_blocks; i < (chunk + 1) * chunk_blocks; ++i) {
    if (is_taken(i) || headers_[i].resident) return false;
  }
  return true;
}

// Of a chunk of which nothing is resident the first touch would be that of a huge page.
void window::chill(std::size_t chunk, std::size_t end) noexcept {
  while (chunk < end) {
    const std::size_t first = chunk;
    for (; chunk < end && is_cold(chunk); ++chunk) cold_[chunk / 64] |= std::uint64_t{1} << (chunk % 64);
    if (chunk != first) {
      ::madvise(address_of(first * chunk_blocks), (chunk - first) * chunk_bytes, MADV_NOHUGEPAGE);
    } else {
      ++chunk;
    }
  }
}

std::size_t window::wanted_resident_blocks() const noexcept {
  return std::min(end_block() / resident_share, most_resident_free);
}

// With the lock held: a cold chunk, or the next that was never used; its blocks are taken until it is ready.
std::size_t window::chunk_to_prepare() noexcept {
  if (!prefaults_ || resident_free_ >= wanted_resident_blocks()) return npos;
  std::size_t chunk = npos;
  const std::size_t chunks = usable_ / chunk_blocks;
  for (std::size_t word = hint_ / chunk_blocks / 64; word * 64 < chunks && chunk == npos; ++word) {
    if (cold_[word] != 0) chunk = word * 64 + static_cast<std::size_t>(std::countr_zero(cold_[word]));
  }
  if (chunk == npos) {
    chunk = chunks;
    if ((chunk + 1) * chunk_blocks > bytes_ / block_bytes || !make_usable((chunk + 1) * chunk_blocks)) return npos;
  }
  cold_[chunk / 64] &= ~(std::uint64_t{1} << (chunk % 64));
  for (std::size_t i = chunk * chunk_blocks; i < (chunk + 1) * chunk_blocks; ++i) {
    taken_[i / 64] |= std::uint64_t{1} << (i % 64);
  }
  return preparing_ = chunk;
}

// With the lock held.
void window::end_preparation(bool is_ready) noexcept {
  if (preparing_ == npos) return;
  const std::size_t first = std::exchange(preparing_, npos) * chunk_blocks;
  for (std::size_t i = first; i < first + chunk_blocks; ++i) {
    taken_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    headers_[i].resident = is_ready;
  }
  hint_ = std::min(hint_, first);
  if (is_ready) resident_free_ += chunk_blocks;
  lower_end();
}

void window::populate_tables(std::size_t first) noexcept {
  const auto populate = [](void* from, std::size_t bytes) {
    void* first_page = page_of(from);
    const auto before = static_cast<std::size_t>(static_cast<char*>(from) - static_cast<char*>(first_page));
    ::madvise(first_page, before + bytes, MADV_POPULATE_WRITE);
  };
  populate(bits_ + first, chunk_blocks * sizeof(block_bits));
  populate(cards(first), chunk_bytes >> detail::card_shift);
  // Where they are huge pages, the next one.
  constexpr std::size_t ahead = table_page_bytes / sizeof(block_bits) + chunk_blocks;
  if (first > small_bits && first + ahead + chunk_blocks < bytes_ / block_bytes) populate(bits_ + first + ahead, 1);
}

bool window::prepare_chunk() noexcept {
  std::size_t chunk;
  {
    const holding guard(lock_);
    chunk = chunk_to_prepare();
  }
  if (chunk == npos) return false;
  const std::size_t first = chunk * chunk_blocks;
  ::madvise(address_of(first), chunk_bytes, MADV_HUGEPAGE);
  const bool is_ready = ::madvise(address_of(first), chunk_bytes, MADV_POPULATE_WRITE) == 0;
  const bool is_unknown = !is_ready && errno == EINVAL;
  if (is_ready) populate_tables(first);
  const holding guard(lock_);
  end_preparation(is_ready);
  // The kernel is older than that: from now on it is asked for huge pages as they are touched. One that has no memory
  // just now is asked again.
  if (is_unknown) prefaults_ = false;
  return is_ready;
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
