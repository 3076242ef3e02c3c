#include <tenure/cache/memory.hpp>

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/base/check.h"
#include "library/resource/call_site.h"

namespace tenure::detail {
namespace {

constinit thread_local cache_memory::batch* innermost __attribute__((tls_model("initial-exec"))) = nullptr;

// While others are asked to go, listeners and destructors run, and what they take is no part of the thread's batch.
class outside_of_batches {
 public:
  outside_of_batches() noexcept : suspended_(std::exchange(innermost, nullptr)) {}
  ~outside_of_batches() { innermost = suspended_; }
  outside_of_batches(const outside_of_batches&) = delete;
  outside_of_batches& operator=(const outside_of_batches&) = delete;

 private:
  cache_memory::batch* suspended_;
};

// No heap that this meets rounds up by more; when one does, the rest is reserved afterwards.
std::uint64_t most_of(std::uint64_t bytes, std::uint64_t alignment) noexcept {
  return bytes + bytes / 4 + 64 + (alignment > 16 ? alignment : 0) + (bytes >= 32 * 1024 ? 8192 : 0);
}

constexpr std::size_t mapped_from = 16 * 1024;

}  // namespace

cache_memory::cache_memory(std::string_view name, const tenure::account* parent, std::uint64_t limit_bytes,
                           room_maker make_room, void* context)
    : limit_(limit_bytes), make_room_(make_room), context_(context) {
  const std::size_t length = std::min(name.size(), sizeof name_ - 1);
  std::memcpy(name_, name.data(), length);
  name_[length] = '\0';
  account_ = tenure_account_create(name_, "cache", parent == nullptr ? nullptr : parent->handle());
  if (account_ != nullptr) use_ = tenure_account_publish_use(account_);
  set_limit(limit_bytes);
}

cache_memory::~cache_memory() {
  TENURE_CHECK(used_bytes() == 0);
  tenure_account_destroy(account_);
}

void cache_memory::set_limit(std::uint64_t limit_bytes) noexcept {
  limit_.store(limit_bytes, std::memory_order_relaxed);
  tenure_account_set_limits(account_, TENURE_NO_LIMIT, limit_bytes);
}

void cache_memory::publish(std::uint64_t used_bytes, std::uint64_t entries, std::uint64_t puts) noexcept {
  if (use_ == nullptr) return;
  __atomic_store_n(&use_->used_bytes, used_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_blocks, entries, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->allocations, puts, __ATOMIC_RELAXED);
  if (used_bytes > __atomic_load_n(&use_->peak_used_bytes, __ATOMIC_RELAXED)) {
    __atomic_store_n(&use_->peak_used_bytes, used_bytes, __ATOMIC_RELAXED);
  }
}

bool cache_memory::try_reserve(std::uint64_t bytes) noexcept {
  const std::uint64_t limit = limit_bytes();
  std::uint64_t used = used_bytes();
  do {
    if (bytes > limit || used > limit - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  raise_peak(used + bytes);
  return true;
}

void cache_memory::raise_peak(std::uint64_t used) noexcept {
  std::uint64_t peak = peak_bytes();
  while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
}

bool cache_memory::reserve(std::uint64_t bytes) noexcept {
  if (const batch* const open = taking_batch(); open != nullptr && !open->allows(bytes)) return false;
  while (!try_reserve(bytes)) {
    const outside_of_batches meanwhile;
    if (bytes > limit_bytes() || !make_room_(context_, bytes)) return false;
  }
  return true;
}

bool cache_memory::charge(std::uint64_t bytes) noexcept {
  const outside_of_batches meanwhile;
  return account_ == nullptr || tenure_account_charge(account_, bytes, 0) != 0;
}

bool cache_memory::take(std::uint64_t bytes) noexcept {
  if (!reserve(bytes)) return false;
  if (batch* const open = taking_batch(); open != nullptr) {
    open->net_ += static_cast<std::int64_t>(bytes);
    return true;
  }
  if (charge(bytes)) return true;
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

void cache_memory::give(std::uint64_t bytes) noexcept {
  if (batch* const open = current_batch(); open != nullptr) {
    open->net_ -= static_cast<std::int64_t>(bytes);
    open->freed_ += bytes;
    return;
  }
  // The account before the count, and the other way round above: so the account is never above the count.
  if (account_ != nullptr) tenure_account_release(account_, bytes, 0);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
}

void* cache_memory::do_allocate(std::size_t bytes, std::size_t alignment) {
  // Where there is no bound in bytes nothing has to be reserved.
  const bool is_bounded = limit_bytes() != no_limit;
  const std::uint64_t most = is_bounded ? most_of(bytes, alignment) : 0;
  if (is_bounded && !reserve(most)) throw std::bad_alloc();
  void* block = nullptr;
  const bool is_plain = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  try {
    block = is_plain ? ::operator new(bytes) : ::operator new(bytes, std::align_val_t(alignment));
  } catch (...) {
    used_.fetch_sub(most, std::memory_order_relaxed);
    throw;
  }
  const std::uint64_t real = block_bytes(block);
  const bool is_counted = real <= most || reserve(real - most);
  if (real < most) used_.fetch_sub(most - real, std::memory_order_relaxed);
  batch* const open = taking_batch();
  if (is_counted && open != nullptr) {
    open->net_ += static_cast<std::int64_t>(real);
    return block;
  }
  if (is_counted && charge(real)) return block;
  is_plain ? ::operator delete(block) : ::operator delete(block, std::align_val_t(alignment));
  used_.fetch_sub(is_counted ? real : most, std::memory_order_relaxed);
  throw std::bad_alloc();
}

void cache_memory::do_deallocate(void* block, std::size_t /*bytes*/, std::size_t alignment) {
  const std::uint64_t real = block_bytes(block);
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    ::operator delete(block);
  } else {
    ::operator delete(block, std::align_val_t(alignment));
  }
  give(real);
}

cache_memory::batch* cache_memory::current_batch() const noexcept {
  return innermost != nullptr && &innermost->memory_ == this ? innermost : nullptr;
}

cache_memory::batch* cache_memory::taking_batch() const noexcept {
  batch* const open = current_batch();
  return open != nullptr && open->takes_ ? open : nullptr;
}

cache_memory::batch::batch(cache_memory& memory, std::uint64_t most_bytes, bool takes) noexcept
    : memory_(memory), outer_(innermost), most_(most_bytes), takes_(takes) {
  innermost = this;
}

bool cache_memory::batch::allows(std::uint64_t bytes) const noexcept {
  const std::uint64_t taken = net_ < 0 ? 0 : static_cast<std::uint64_t>(net_);
  return taken <= most_ && bytes <= most_ - taken;
}

bool cache_memory::batch::settle() noexcept {
  const std::int64_t change = net_ - settled_;
  if (change > 0) {
    if (!memory_.charge(static_cast<std::uint64_t>(change))) return false;
  } else if (change < 0 && memory_.account_ != nullptr) {
    tenure_account_release(memory_.account_, static_cast<std::uint64_t>(-change), 0);
  }
  settled_ = net_;
  if (freed_ != 0) memory_.used_.fetch_sub(freed_, std::memory_order_relaxed);
  freed_ = 0;
  return true;
}

cache_memory::batch::~batch() {
  // The caller has settled what it keeps, so what is open here is a release, or nothing.
  TENURE_CHECK(net_ <= settled_ && settle());
  innermost = outer_;
}

std::size_t block_bytes(const void* block) noexcept {
  return block == nullptr ? 0 : malloc_usable_size(const_cast<void*>(block));
}

void* make_table(std::size_t bytes) noexcept {
  if (bytes < mapped_from) return std::calloc(1, bytes);
  void* const table = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return table == MAP_FAILED ? nullptr : table;
}

bool discard_table(void* table, std::size_t bytes) noexcept {
  return bytes >= mapped_from && madvise(table, bytes, MADV_DONTNEED) == 0;
}

void free_table(void* table, std::size_t bytes) noexcept {
  if (bytes < mapped_from) return std::free(table);
  TENURE_CHECK(munmap(table, bytes) == 0);
}

void check_nobody_holds(const char* cache, std::uint64_t entries) noexcept {
  if (entries == 0) return;
  const resources::call_site here = resources::capture_site();
  char what[96];
  std::snprintf(what, sizeof what, "the end of a cache while %llu of its entries are in use: handles must go first",
                static_cast<unsigned long long>(entries));
  resources::write_summary(what, "cache", cache, {{"ended here", &here}});
  std::abort();
}

}  // namespace tenure::detail
