#include "library/gc/heap_account.h"

#include <algorithm>

#include "core/base/check.h"

namespace tenure::gc {

// Asked after caches that evict and pools that trim: a cycle costs more.
constexpr std::int32_t shrink_priority = 100;

heap_account::heap_account(const std::string& name, const account* parent)
    : account_(name.c_str(), "managed heap", parent),
      use_(account_.is_counted() ? tenure_account_publish_use(account_.handle()) : &own_use_) {}

heap_account::~heap_account() {
  TENURE_CHECK(shrinker_ == 0);
  account_.release(held_bytes_.load(), 0);
}

void heap_account::set_limit(std::size_t bytes) noexcept {
  limit_bytes_.store(bytes, std::memory_order_relaxed);
  account_.set_limits({.hard_bytes = bytes == 0 ? TENURE_NO_LIMIT : bytes});
}

void heap_account::start_shrinking(tenure_shrink_function shrink, void* context) noexcept {
  // When 256 are registered this one is not asked.
  shrinker_ = tenure_shrinker_register(account_.handle(), shrink_priority, shrink, context);
}

void heap_account::stop_shrinking() noexcept {
  if (shrinker_ != 0) tenure_shrinker_unregister(shrinker_);
  shrinker_ = 0;
}

bool heap_account::charge(std::size_t bytes) noexcept {
  // Here as well: what is borrowed is in no account, and an account that is in no figure has no limits.
  const std::size_t limit = limit_bytes_.load(std::memory_order_relaxed);
  const std::size_t held = held_bytes_.fetch_add(bytes) + bytes;
  if ((limit != 0 && held + borrowed_bytes_.load(std::memory_order_relaxed) > limit) ||
      !account_.try_charge(bytes, 0)) {
    held_bytes_.fetch_sub(bytes);
    return false;
  }
  untaken_bytes_.fetch_add(bytes, std::memory_order_release);
  return true;
}

bool heap_account::take(std::size_t bytes) noexcept {
  std::size_t left = untaken_bytes_.load(std::memory_order_relaxed);
  while (left >= bytes) {
    if (untaken_bytes_.compare_exchange_weak(left, left - bytes, std::memory_order_acquire)) return true;
  }
  return false;
}

bool heap_account::borrow(std::size_t bytes, std::size_t in_blocks) noexcept {
  const std::size_t limit = limit_bytes_.load(std::memory_order_relaxed);
  if (limit != 0 && in_blocks + bytes > limit) return false;
  borrowed_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  untaken_bytes_.fetch_add(bytes, std::memory_order_release);
  return true;
}

void heap_account::release(std::size_t bytes) noexcept {
  std::size_t owed = borrowed_bytes_.load(std::memory_order_relaxed);
  while (owed != 0 && !borrowed_bytes_.compare_exchange_weak(owed, owed - std::min(owed, bytes))) continue;
  bytes -= std::min(owed, bytes);
  if (bytes == 0) return;
  account_.release(bytes, 0);
  TENURE_CHECK(held_bytes_.fetch_sub(bytes) >= bytes);
}

void heap_account::publish(std::size_t used_bytes, std::size_t used_objects, std::uint64_t allocations) noexcept {
  const auto store = [](std::uint64_t& to, std::uint64_t value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); };
  store(use_->used_bytes, used_bytes);
  store(use_->used_blocks, used_objects);
  store(use_->peak_used_bytes, std::max<std::uint64_t>(use_->peak_used_bytes, used_bytes));
  store(use_->allocations, allocations);
}

}  // namespace tenure::gc
