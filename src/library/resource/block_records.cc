#include "library/resource/block_records.h"

#include <algorithm>
#include <cstdio>
#include <new>

namespace tenure::resources {

std::size_t block_records::add(const void* block, std::size_t bytes, std::size_t alignment) {
  const auto [place, is_new] = used_.try_emplace(reinterpret_cast<std::uintptr_t>(block));
  const std::size_t before = is_new ? 0 : place->second.bytes;
  place->second = {bytes, alignment, capture_site()};
  return before;
}

std::map<std::uintptr_t, block_records::used_block>::const_iterator block_records::covering(
    std::uintptr_t address) const noexcept {
  auto after = used_.upper_bound(address);
  if (after == used_.begin()) return used_.end();
  --after;
  return address - after->first < std::max<std::size_t>(after->second.bytes, 1) ? after : used_.end();
}

const block_records::used_block* block_records::find(const void* address) const noexcept {
  const auto found = covering(reinterpret_cast<std::uintptr_t>(address));
  return found == used_.end() ? nullptr : &found->second;
}

std::optional<owned_block> block_records::find_owned(const void* records, const void* block) noexcept {
  const auto* const self = static_cast<const block_records*>(records);
  const auto found = self->covering(reinterpret_cast<std::uintptr_t>(block));
  if (found == self->used_.end()) return std::nullopt;
  return owned_block{found->first, found->second.bytes, self->kind_, self->name_, found->second.allocated};
}

bool block_records::remove(const void* block, std::size_t bytes, std::size_t alignment) noexcept {
  const call_site here = capture_site();
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const auto found = used_.find(address);
  if (found == used_.end()) {
    report_unknown(block, here);
    return false;
  }
  const used_block& of = found->second;
  if (of.bytes != bytes || of.alignment != alignment) {
    report_misuse("release with a size or alignment that is not this block's", block, of.bytes, kind_, name_,
                  {{"allocated", &of.allocated}, {"released here", &here}});
    return false;
  }
  try {
    released_.push_back({address, bytes, of.allocated, here});
    if (released_.size() > remembered) released_.pop_front();
  } catch (const std::bad_alloc&) {
    released_.clear();  // second releases will be told without the first one's site
  }
  used_.erase(found);
  return true;
}

void block_records::report_unknown(const void* block, const call_site& here) const noexcept {
  if (const used_block* around = find(block)) {
    return report_misuse("release of an interior pointer", block, around->bytes, kind_, name_,
                         {{"allocated", &around->allocated}, {"released here", &here}});
  }
  const auto last = std::find_if(released_.rbegin(), released_.rend(), [&](const released_block& one) {
    return one.address == reinterpret_cast<std::uintptr_t>(block);
  });
  if (last != released_.rend()) {
    return report_misuse(
        "double release", block, last->bytes, kind_, name_,
        {{"allocated", &last->allocated}, {"released first", &last->released}, {"released again", &here}});
  }
  report_stranger("release", block, this, "release of what it has not handed out", kind_, name_, here);
}

// Neither constructor allocates, so this can be done where fork() returns.
void block_records::forget_after_fork() noexcept {
  new (&used_) decltype(used_);
  new (&released_) decltype(released_);
}

void block_records::report_left() const noexcept {
  if (used_.empty()) return;
  const call_site here = capture_site();
  char what[96];
  std::snprintf(what, sizeof what, "its end with %zu blocks in use, the first of them", used_.size());
  const auto& [address, of] = *used_.begin();
  write_message(what, reinterpret_cast<const void*>(address), of.bytes, kind_, name_,
                {{"allocated", &of.allocated}, {"ended here", &here}});
}

}  // namespace tenure::resources
