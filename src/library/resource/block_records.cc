#include "library/resource/block_records.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

namespace tenure::resources {

std::size_t block_records::add(const void* block, std::size_t bytes, std::size_t alignment) {
  const auto begin = reinterpret_cast<std::uintptr_t>(block);
  if (watched_ != 0) {
    for (released_block& one : released_) {
      if (one.watched_bytes != 0 && one.address < begin + bytes && begin < one.address + one.bytes) look_at(one);
    }
    forget_watched(begin, bytes);
  }
  const auto [place, is_new] = used_.try_emplace(begin);
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
    if (released_.size() > remembered) {
      if (released_.front().watched_bytes != 0) --watched_;
      released_.pop_front();
    }
  } catch (const std::bad_alloc&) {
    released_.clear();  // second releases will be told without the first one's site
    watched_ = 0;
  }
  used_.erase(found);
  return true;
}

void block_records::watch(void* block, std::size_t bytes, unsigned char pattern) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (released_.empty() || released_.back().address != address || used_.contains(address)) return;
  released_block& last = released_.back();
  if (last.watched_bytes == 0) ++watched_;
  last.watched_bytes = std::min({bytes, last.bytes, most_watched_bytes});
  last.pattern = pattern;
  std::memset(block, pattern, last.watched_bytes);
}

void block_records::forget_watched(std::uintptr_t begin, std::size_t bytes) noexcept {
  for (released_block& one : released_) {
    if (one.watched_bytes == 0 || one.address >= begin + bytes || begin >= one.address + one.bytes) continue;
    one.watched_bytes = 0;
    --watched_;
  }
}

void block_records::find_late_writes() noexcept {
  if (watched_ == 0) return;
  for (released_block& one : released_) look_at(one);
}

void block_records::look_at(released_block& one) const noexcept {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(one.address);
  if (std::all_of(bytes, bytes + one.watched_bytes, [&](unsigned char each) { return each == one.pattern; })) return;
  report_misuse("write into a block after its release", bytes, one.bytes, kind_, name_,
                {{"allocated", &one.allocated}, {"released", &one.released}});
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
  watched_ = 0;
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
