#include <tenure/memory_resource.hpp>

#include <algorithm>
#include <cstring>
#include <new>

#include "core/base/check.h"

namespace tenure {
namespace {

std::uint64_t load(const std::uint64_t& from) noexcept { return __atomic_load_n(&from, __ATOMIC_RELAXED); }

}  // namespace

memory_resource::memory_resource(std::string_view name, const char* kind, const tenure::account* parent,
                                 memory_resource* whole)
    : whole_(whole), kind_(whole == nullptr ? kind : whole->kind_) {
  const std::size_t length = std::min(name.size(), sizeof name_ - 1);
  std::memcpy(name_, name.data(), length);
  name_[length] = '\0';
  tenure_account* const above = parent == nullptr ? nullptr : parent->handle();
  account_ = whole == nullptr ? tenure_account_create(name_, kind, above) : nullptr;
  use_ = whole != nullptr ? whole->use_ : account_ == nullptr ? &own_use_ : tenure_account_publish_use(account_);
}

memory_resource::~memory_resource() {
  // What has not come back goes with the resource, so the account must not go on showing it.
  if (whole_ != nullptr) whole_->let_go(own_held_bytes_, 0);
  if (account_ == nullptr) return;
  const std::uint64_t held = statistics().held_bytes;
  if (held != 0) tenure_account_release(account_, held, 0);
  tenure_account_destroy(account_);
}

resource_statistics memory_resource::statistics() const noexcept {
  resource_statistics result;
  result.used_bytes = load(use_->used_bytes);
  result.used_blocks = load(use_->used_blocks);
  result.peak_used_bytes = std::max(load(use_->peak_used_bytes), result.used_bytes);
  result.allocations = load(use_->allocations);
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  if (tenure_account_statistics(account_, &figures) != 0) {
    result.held_bytes = figures.held_bytes;
    result.peak_held_bytes = figures.peak_held_bytes;
    result.hard_limit_bytes = figures.hard_limit_bytes;
    result.refusals = figures.refusals;
  } else {
    result.held_bytes = load(own_held_bytes_);
    result.peak_held_bytes = load(own_peak_held_bytes_);
    result.hard_limit_bytes = own_limit_bytes_;
    result.refusals = own_refusals_;
  }
  return result;
}

void memory_resource::set_limits(account_limits limits) noexcept {
  own_limit_bytes_ = limits.hard_bytes;
  tenure_account_set_limits(account_, limits.soft_bytes, limits.hard_bytes);
}

void memory_resource::hold(std::uint64_t bytes, std::uint64_t blocks) {
  if (account_ != nullptr) {
    if (tenure_account_charge(account_, bytes, blocks) == 0) throw std::bad_alloc();
    return;
  }
  if (bytes > own_limit_bytes_ || own_held_bytes_ > own_limit_bytes_ - bytes) {
    ++own_refusals_;
    throw std::bad_alloc();
  }
  if (whole_ != nullptr) whole_->hold(bytes, blocks);
  store(own_held_bytes_, own_held_bytes_ + bytes);
  store(own_peak_held_bytes_, std::max(own_peak_held_bytes_, own_held_bytes_));
}

void memory_resource::let_go(std::uint64_t bytes, std::uint64_t blocks) noexcept {
  if (account_ != nullptr) return tenure_account_release(account_, bytes, blocks);
  TENURE_CHECK(bytes <= own_held_bytes_);
  if (whole_ != nullptr) whole_->let_go(bytes, blocks);
  store(own_held_bytes_, own_held_bytes_ - bytes);
}

}  // namespace tenure
