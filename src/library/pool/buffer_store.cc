#include "library/pool/buffer_store.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/resource/checks.h"
#include "library/resource/upstream.h"

namespace tenure::detail {
namespace {

constexpr std::size_t most_alignment = 4096;
constexpr unsigned unit_bits = 12;
constexpr std::uint32_t calls_until_told = 64;
// Who keeps for longer keeps for ever: no clock comes near to the end of its range.
constexpr std::chrono::nanoseconds longest_kept = std::chrono::hours(24 * 36525);

std::size_t alignment_of(std::size_t bytes) noexcept {
  return core::is_power_of_two(bytes) ? std::min(bytes, most_alignment) : 64;
}

unsigned ceil_log2(std::size_t value) noexcept { return value <= 1 ? 0 : core::floor_log2(value - 1) + 1; }

std::size_t shard_of_this_thread() noexcept {
  static std::atomic<std::size_t> threads = 0;
  static thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

buffer_store::buffer_store(const buffer_pool_options& options)
    : name_(options.name),
      smallest_bytes_(options.smallest_bytes),
      largest_bytes_(options.largest_bytes),
      keep_bytes_(options.keep_bytes),
      portion_bytes_(std::min<std::uint64_t>(256 << 10, options.keep_bytes / 256)),
      has_checks_(resources::wants_checks(options.checks)),
      upstream_(resources::or_operator_new(options.upstream)),
      account_(name_.c_str(), "buffer pool", options.parent),
      use_(account_.is_counted() ? tenure_account_publish_use(account_.handle()) : &own_use_) {
  if (!account_.try_charge(sizeof *this, 0)) throw std::bad_alloc();
  if (options.has_thread && options.keep_for > std::chrono::nanoseconds() && options.keep_for < longest_kept) {
    start_thread(options.keep_for);
  }
  if (account_.is_counted()) shrinker_ = tenure_shrinker_register(account_.handle(), 0, shrink, this);
}

void buffer_store::start_thread(std::chrono::nanoseconds each) {
  thread_ = std::thread([this, each] {
    std::unique_lock lock(thread_lock_);
    while (!thread_wakes_.wait_for(lock, each, [this] { return ends_; })) {
      lock.unlock();
      decay();
      lock.lock();
    }
  });
}

void buffer_store::end_thread() noexcept {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard held(thread_lock_);
    ends_ = true;
  }
  thread_wakes_.notify_one();
  thread_.join();
}

buffer_store::~buffer_store() {
  end_thread();
  if (shrinker_ != 0) tenure_shrinker_unregister(shrinker_);
  trim();
  account_.release(sizeof *this + chunk_count_ * sizeof(header_chunk), 0);
  while (chunks_ != nullptr) delete std::exchange(chunks_, chunks_->next);
}

std::uint64_t buffer_store::shrink(void* context, const tenure_pressure* why) {
  auto* const store = static_cast<buffer_store*>(context);
  std::uint64_t wanted = why->wanted_bytes;
  return store->drain([&](const kept_class& kept, std::uint64_t there) {
    const std::uint64_t bytes = kept.oldest->size;
    const std::uint64_t some = std::min(there, wanted / bytes + (wanted % bytes != 0));
    wanted -= std::min(wanted, some * bytes);
    return some;
  });
}

buffer_store::shard& buffer_store::mine() noexcept { return shards_[shard_of_this_thread() % shard_count]; }

std::uint8_t buffer_store::class_of(std::size_t bytes) const noexcept {
  if (bytes > largest_bytes_) return no_class;
  return static_cast<std::uint8_t>(ceil_log2(std::max(bytes, smallest_bytes_)));
}

// --- what is kept

void buffer_store::unlink(kept_class& from, buffer_header* buffer) noexcept {
  (buffer->newer == nullptr ? from.newest : buffer->newer->older) = buffer->older;
  (buffer->older == nullptr ? from.oldest : buffer->older->newer) = buffer->newer;
  from.count.store(from.count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

bool buffer_store::reserve(shard& in, std::uint64_t bytes) noexcept {
  if (in.allowance_bytes >= bytes) {
    in.allowance_bytes -= bytes;
    return true;
  }
  const std::uint64_t missing = bytes - in.allowance_bytes;
  for (const std::uint64_t wanted : {std::max(missing, portion_bytes_), missing}) {
    std::uint64_t reserved = reserved_bytes_.load(std::memory_order_relaxed);
    while (wanted <= keep_bytes_ && reserved <= keep_bytes_ - wanted) {
      if (!reserved_bytes_.compare_exchange_weak(reserved, reserved + wanted, std::memory_order_relaxed)) continue;
      in.allowance_bytes = in.allowance_bytes + wanted - bytes;
      return true;
    }
  }
  return false;
}

void buffer_store::unreserve(shard& in, std::uint64_t bytes) noexcept {
  in.allowance_bytes += bytes;
  if (in.allowance_bytes <= 2 * portion_bytes_) return;
  reserved_bytes_.fetch_sub(in.allowance_bytes - portion_bytes_, std::memory_order_relaxed);
  in.allowance_bytes = portion_bytes_;
}

buffer_header* buffer_store::pop(shard& from, std::uint8_t number) noexcept {
  kept_class& kept = from.classes[number];
  buffer_header* buffer = kept.newest;
  if (buffer == nullptr) return nullptr;
  unlink(kept, buffer);
  kept.fewest = std::min(kept.fewest, kept.count.load(std::memory_order_relaxed));
  from.kept_bytes -= buffer->size;
  unreserve(from, buffer->size);
  return buffer;
}

bool buffer_store::keep(shard& in, buffer_header* buffer) noexcept {
  if (buffer->number == no_class || !reserve(in, buffer->size)) return false;
  kept_class& kept = in.classes[buffer->number];
  buffer->newer = nullptr;
  buffer->older = kept.newest;
  (kept.newest == nullptr ? kept.oldest : kept.newest->newer) = buffer;
  kept.newest = buffer;
  kept.count.store(kept.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  in.kept_bytes += buffer->size;
  return true;
}

// Gives kept buffers back, the oldest of each class; how_many(class, how many there are) says of how many.
template <class HowMany>
std::uint64_t buffer_store::drain(HowMany how_many) noexcept {
  std::uint64_t freed = 0;
  for (shard& each : shards_) {
    for (kept_class& kept : each.classes) {
      buffer_header* gone = nullptr;
      {
        const std::lock_guard held(each.lock);
        const std::uint32_t there = kept.count.load(std::memory_order_relaxed);
        if (there == 0) continue;
        for (std::uint64_t left = how_many(kept, there); left != 0; --left) {
          buffer_header* oldest = kept.oldest;
          unlink(kept, oldest);
          kept.fewest -= kept.fewest != 0;
          each.kept_bytes -= oldest->size;
          unreserve(each, oldest->size);
          oldest->older = gone;
          gone = oldest;
          going_.fetch_add(1, std::memory_order_relaxed);
          ++each.decayed;
        }
        tell_account(each);
      }
      while (gone != nullptr) {
        buffer_header* next = gone->older;
        freed += gone->size;
        if (has_checks_) find_late_write(gone);
        unmake(gone);
        going_.fetch_sub(1, std::memory_order_release);
        gone = next;
      }
    }
  }
  return freed;
}

std::uint64_t buffer_store::decay() noexcept {
  return drain([](kept_class& kept, std::uint64_t there) {
    // A new round: those that go now are taken off again.
    return std::uint64_t{std::exchange(kept.fewest, static_cast<std::uint32_t>(there))};
  });
}
std::uint64_t buffer_store::trim() noexcept {
  return drain([](const kept_class&, std::uint64_t there) { return there; });
}

// --- taking and giving

void buffer_store::count_take(shard& in, buffer_header* buffer, bool is_made) noexcept {
  buffer->shard = static_cast<std::uint8_t>(&in - shards_.data());
  ++in.takes;
  ++in.untold_takes;
  in.made += is_made;
  ++in.used_buffers;
  ++in.untold_buffers;
  in.used_bytes += buffer->size;
  in.untold_bytes += buffer->size;
  if (++in.untold_calls == calls_until_told) tell_account(in);
}
void buffer_store::count_return(shard& in, std::uint64_t bytes) noexcept {
  --in.used_buffers;
  --in.untold_buffers;
  in.used_bytes -= bytes;
  in.untold_bytes -= bytes;
  if (++in.untold_calls == calls_until_told) tell_account(in);
}

void buffer_store::tell_account(shard& of) noexcept {
  __atomic_fetch_add(&use_->allocations, std::exchange(of.untold_takes, 0), __ATOMIC_RELAXED);
  __atomic_fetch_add(&use_->used_blocks, std::exchange(of.untold_buffers, 0), __ATOMIC_RELAXED);
  const std::uint64_t used = __atomic_add_fetch(&use_->used_bytes, std::exchange(of.untold_bytes, 0), __ATOMIC_RELAXED);
  std::uint64_t peak = __atomic_load_n(&use_->peak_used_bytes, __ATOMIC_RELAXED);
  while (static_cast<std::int64_t>(used) > static_cast<std::int64_t>(peak) &&
         !__atomic_compare_exchange_n(&use_->peak_used_bytes, &peak, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  of.untold_calls = 0;
}

buffer_header* buffer_store::take(std::size_t bytes, std::uint64_t caller) {
  const std::uint8_t number = class_of(bytes);
  buffer_header* buffer = nullptr;
  shard& own = mine();
  if (number != no_class) {
    for (std::size_t i = 0; i < shard_count && buffer == nullptr; ++i) {
      shard& from = shards_[(static_cast<std::size_t>(&own - shards_.data()) + i) % shard_count];
      if (i != 0 && from.classes[number].count.load(std::memory_order_relaxed) == 0) continue;
      const std::lock_guard held(from.lock);
      buffer = pop(from, number);
      if (buffer != nullptr) count_take(from, buffer, false);
    }
  }
  if (buffer == nullptr) {
    buffer = make(number == no_class ? bytes : std::size_t{1} << number, number);
    const std::lock_guard held(own.lock);
    count_take(own, buffer, true);
  }
  TENURE_YIELD_POINT();
  buffer->taken_at.store(caller, std::memory_order_relaxed);
  buffer->sliced_at.store(0, std::memory_order_relaxed);
  buffer->generation.store(buffer->generation.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  TENURE_YIELD_POINT();
  buffer->is_leased.store(true, std::memory_order_relaxed);
  if (has_checks_) note_taken(buffer);
  buffer->holds.store(buffer_header::one_reference, std::memory_order_release);
  return buffer;
}

void buffer_store::give(buffer_header* buffer) noexcept {
  if (has_checks_) note_returned(buffer);
  shard& home = shards_[buffer->shard];
  const std::size_t bytes = buffer->size;
  {
    const std::lock_guard held(home.lock);
    if (keep(home, buffer)) {
      count_return(home, bytes);
      return;
    }
    ++home.dropped;
  }
  unmake(buffer);
  // The last that is done here: the pool may end as soon as no buffer is in use.
  const std::lock_guard held(home.lock);
  count_return(home, bytes);
}

// --- buffers and headers

buffer_header* buffer_store::make(std::size_t bytes, std::uint8_t number) {
  if (bytes == 0 || bytes > PTRDIFF_MAX) throw std::bad_alloc();
  buffer_header* header = take_header();
  // Shrinkers are asked at the limit, this one among them; of a full table of shrinkers it is not.
  if (!account_.try_charge(bytes) && (trim() == 0 || !account_.try_charge(bytes))) {
    put_header(header);
    throw std::bad_alloc();
  }
  void* memory = nullptr;
  try {
    memory = upstream_->allocate(bytes, alignment_of(bytes));
  } catch (...) {
    account_.release(bytes);
    put_header(header);
    throw;
  }
  header->number = number;
  const unsigned bits = ceil_log2(bytes);
  // Whoever lists buffers may look at this one, and find out later that it is another.
  __atomic_store_n(&header->unit_shift, static_cast<std::uint8_t>(bits > unit_bits ? bits - unit_bits : 0),
                   __ATOMIC_RELAXED);
  __atomic_store_n(&header->bytes, static_cast<std::byte*>(memory), __ATOMIC_RELAXED);
  __atomic_store_n(&header->size, bytes, __ATOMIC_RELAXED);
  if (has_checks_) fill(header);
  return header;
}

void buffer_store::unmake(buffer_header* buffer) noexcept {
  const std::size_t bytes = buffer->size;
  upstream_->deallocate(buffer->bytes, bytes, alignment_of(bytes));
  put_header(buffer);
  account_.release(bytes);
}

// Nothing is charged or allocated under the lock: a shrinker that is asked then gives headers back.
buffer_header* buffer_store::take_header() {
  std::unique_lock lock(headers_lock_);
  if (free_headers_ == nullptr) {
    lock.unlock();
    if (!account_.try_charge(sizeof(header_chunk), 0)) throw std::bad_alloc();
    header_chunk* made = new (std::nothrow) header_chunk;
    if (made == nullptr) {
      account_.release(sizeof(header_chunk), 0);
      throw std::bad_alloc();
    }
    lock.lock();
    for (buffer_header& each : made->headers) {
      each.store = this;
      each.older = std::exchange(free_headers_, &each);
    }
    made->next = std::exchange(chunks_, made);
    ++chunk_count_;
  }
  return std::exchange(free_headers_, free_headers_->older);
}

void buffer_store::put_header(buffer_header* header) noexcept {
  const std::lock_guard held(headers_lock_);
  header->older = free_headers_;
  free_headers_ = header;
}

}  // namespace tenure::detail
