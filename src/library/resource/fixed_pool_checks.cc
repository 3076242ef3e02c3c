#include "library/resource/fixed_pool_checks.h"

#include <algorithm>
#include <cstdio>

#include "core/base/check.h"

namespace tenure {
namespace {

using resources::call_site;
using resources::capture_site;
using resources::report_misuse;

}  // namespace

std::optional<resources::owned_block> fixed_pool::checked::find_owned(const void* of, const void* block) noexcept {
  const auto* const self = static_cast<const checked*>(of);
  const slab* home = self->pool.find(block);
  if (home == nullptr) return std::nullopt;
  const std::size_t number = self->pool.number_of(*home, block);
  const record& found = self->slabs.at(home->begin)[number];
  if (!found.is_used) return std::nullopt;
  const std::size_t bytes = self->pool.block_bytes_;
  return resources::owned_block{home->begin + number * bytes, bytes, self->pool.kind(), self->pool.name(),
                                found.allocated};
}

void* fixed_pool::allocate_checked() {
  auto fresh = std::find_if(slabs_.begin(), slabs_.end(), [](const slab& of) { return of.fresh < of.blocks; });
  const bool may_grow = capacity_blocks() < limit_blocks_ && checked_->released.size() < 1024;
  if (fresh == slabs_.end() && (checked_->released.empty() || may_grow)) {
    open_slab();
    fresh = slabs_.begin() + static_cast<std::ptrdiff_t>(fresh_slab_);
  }
  void* block;
  if (fresh != slabs_.end()) {
    block = reinterpret_cast<void*>(fresh->begin + fresh->fresh++ * block_bytes_);
  } else {
    block = checked_->released.front();
    checked_->released.pop_front();
  }
  const slab* home = find(block);
  checked::record& of = checked_->slabs.at(home->begin)[number_of(*home, block)];
  TENURE_CHECK(!of.is_used);
  const auto* bytes = static_cast<const unsigned char*>(block);
  const bool is_intact =
      of.released.frame_count == 0 ||
      std::all_of(bytes, bytes + block_bytes_, [](unsigned char one) { return one == checked::pattern; });
  if (!is_intact) {
    report_misuse("write into a block after its release", block, block_bytes_, kind(), name(),
                  {{"allocated", &of.allocated}, {"released", &of.released}});
  }
  of.is_used = true;
  of.allocated = capture_site();
  count_allocation(block_bytes_);
  return block;
}

void fixed_pool::deallocate_checked(void* block) {
  const call_site here = capture_site();
  const slab* home = find(block);
  if (home == nullptr) {
    return resources::report_stranger("release", block, checked_.get(),
                                      "release of a block that no pool has handed out", kind(), name(), here);
  }
  const std::size_t number = number_of(*home, block);
  checked::record& of = checked_->slabs.at(home->begin)[number];
  if (reinterpret_cast<std::uintptr_t>(block) != home->begin + number * block_bytes_) {
    return report_misuse("release of an interior pointer", block, block_bytes_, kind(), name(),
                         {{"allocated", &of.allocated}, {"released", &here}});
  }
  if (!of.is_used) {
    return report_misuse("double release", block, block_bytes_, kind(), name(),
                         {{"allocated", &of.allocated}, {"released first", &of.released}, {"released again", &here}});
  }
  checked_->released.push_back(block);
  of.is_used = false;
  of.released = here;
  std::memset(block, checked::pattern, block_bytes_);
  count_release(block_bytes_);
}

void fixed_pool::report_left_blocks() const noexcept {
  const call_site here = capture_site();
  std::uint64_t left = 0;
  for (const auto& [begin, records] : checked_->slabs) {
    left += static_cast<std::uint64_t>(
        std::count_if(records.begin(), records.end(), [](const checked::record& one) { return one.is_used; }));
  }
  for (const auto& [begin, records] : checked_->slabs) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (!records[i].is_used) continue;
      char what[96];
      std::snprintf(what, sizeof what, "pool destroyed with %llu blocks in use, the first of them",
                    static_cast<unsigned long long>(left));
      return resources::write_message(what, reinterpret_cast<const void*>(begin + i * block_bytes_), block_bytes_,
                                      kind(), name(), {{"allocated", &records[i].allocated}, {"ended here", &here}});
    }
  }
}

}  // namespace tenure
