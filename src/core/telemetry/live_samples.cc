#include "core/telemetry/live_samples.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/virtual_memory.h"

namespace tenure::telemetry {
namespace {

constexpr std::size_t first_capacity = 256;

std::size_t place_of(std::uint64_t address, std::size_t capacity) noexcept {
  return static_cast<std::size_t>((address >> 4) * 0x9e3779b97f4a7c15u >> 40) & (capacity - 1);
}

// Everything but the address, then the address.
void put(live_entry* to, const live_entry& from) noexcept {
  const std::uint64_t address = from.address;
  live_entry rest = from;
  rest.address = to->address;
  *to = rest;
  __atomic_store_n(&to->address, address, __ATOMIC_RELEASE);
}

}  // namespace

live_sample view_of(const live_entry& entry) noexcept {
  live_sample sample{};
  sample.sample_id = entry.sample_id;
  sample.time_ns = entry.time_ns;
  sample.address = entry.address;
  sample.requested_bytes = entry.requested_bytes;
  sample.usable_bytes = entry.usable_bytes;
  sample.interval_bytes = entry.interval_bytes;
  sample.thread_id = entry.thread_id;
  if (entry.stack != nullptr) {
    sample.frame_count = static_cast<std::uint32_t>(entry.stack->frame_count);
    sample.frames = entry.stack->frames();
  }
  return sample;
}

live_entry* live_samples::vacancy(table* in, std::uint64_t address) noexcept {
  const std::size_t mask = in->capacity - 1;
  std::size_t i = place_of(address, in->capacity);
  while (in->entries()[i].address > removed) i = (i + 1) & mask;
  return &in->entries()[i];
}

bool live_samples::insert(const live_entry& entry) noexcept {
  TENURE_CHECK(entry.address > removed);
  TENURE_DCHECK(find(entry.address) == nullptr);
  if ((used_ + 1) * 2 > capacity() && !rebuild()) return false;
  live_entry* place = vacancy(table_, entry.address);
  if (place->address == 0) ++used_;  // otherwise it takes the place of one that is gone
  put(place, entry);
  ++count_;
  return true;
}

live_entry* live_samples::find(std::uint64_t address) noexcept {
  if (table_ == nullptr || address <= removed) return nullptr;
  const std::size_t mask = table_->capacity - 1;
  for (std::size_t i = place_of(address, table_->capacity);; i = (i + 1) & mask) {
    live_entry* at = &table_->entries()[i];
    if (at->address == address) return at;
    if (at->address == 0) return nullptr;
  }
}

void live_samples::remove(live_entry* entry) noexcept {
  TENURE_CHECK(entry->address > removed && count_ != 0);
  __atomic_store_n(&entry->address, removed, __ATOMIC_RELEASE);
  --count_;
}

void live_samples::shrink() noexcept {
  // For want of memory it stays as it is.
  if (capacity() > first_capacity && count_ * 16 < capacity()) static_cast<void>(rebuild());
}

// A table with room for twice the samples there are, without the marks.
bool live_samples::rebuild() noexcept {
  std::size_t capacity = first_capacity;
  while (capacity < (count_ + 1) * 4) capacity *= 2;
  if (capacity > most_entries) return false;
  auto* fresh = static_cast<table*>(os::map_anywhere(bytes_for(capacity)));
  if (fresh == nullptr) return false;
  fresh->capacity = capacity;
  for_each([&](const live_entry& entry) noexcept { put(vacancy(fresh, entry.address), entry); });
  table* old = table_;
  __atomic_store_n(&table_, fresh, __ATOMIC_RELEASE);
  used_ = count_;
  if (old != nullptr) os::unmap(old, bytes_for(old->capacity));
  return true;
}

void live_samples::recount() noexcept {
  count_ = 0;
  used_ = 0;
  for (std::size_t i = 0; i < capacity(); ++i) {
    if (table_->entries()[i].address != 0) ++used_;
    if (table_->entries()[i].address > removed) ++count_;
  }
}

std::size_t live_samples::mapped_bytes() const noexcept { return table_ == nullptr ? 0 : bytes_for(table_->capacity); }

void live_samples::check() const noexcept {
  TENURE_CHECK(count_ <= used_);
  TENURE_CHECK(table_ == nullptr || core::is_power_of_two(table_->capacity));
  TENURE_CHECK(used_ * 2 <= capacity());
  std::size_t seen = 0;
  for (std::size_t i = 0; i < capacity(); ++i) {
    const live_entry& entry = table_->entries()[i];
    if (entry.address <= removed) continue;
    ++seen;
    TENURE_CHECK(entry.sample_id != 0);
    TENURE_CHECK(const_cast<live_samples*>(this)->find(entry.address) == &entry);
  }
  TENURE_CHECK(seen == count_);
}

}  // namespace tenure::telemetry
