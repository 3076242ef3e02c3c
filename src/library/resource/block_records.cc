#include "library/resource/block_records.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <new>
#include <vector>

namespace tenure::resources {
namespace {

struct all_records {
  std::mutex lock;
  std::vector<const block_records*> list;
  static all_records& get() {
    static auto* const all = new all_records;  // static resources end after everything else
    return *all;
  }
};

}  // namespace

block_records::block_records(const char* kind, const char* name) : kind_(kind), name_(name) {
  const std::lock_guard held(all_records::get().lock);
  all_records::get().list.push_back(this);
}

block_records::~block_records() {
  const std::lock_guard held(all_records::get().lock);
  std::erase(all_records::get().list, this);
}

std::size_t block_records::add(const void* block, std::size_t bytes, std::size_t alignment) {
  const auto [place, is_new] = used_.try_emplace(reinterpret_cast<std::uintptr_t>(block));
  const std::size_t before = is_new ? 0 : place->second.bytes;
  place->second = {bytes, alignment, capture_site()};
  return before;
}

const block_records::used_block* block_records::find(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto after = used_.upper_bound(at);
  if (after == used_.begin()) return nullptr;
  --after;
  return at - after->first < std::max<std::size_t>(after->second.bytes, 1) ? &after->second : nullptr;
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
  // Another thread may be changing the records it finds; for a message on the way to the end that is good enough.
  const std::lock_guard held(all_records::get().lock);
  for (const block_records* other : all_records::get().list) {
    const used_block* owned = other->find(block);
    if (other == this || owned == nullptr) continue;
    char what[160];
    std::snprintf(what, sizeof what, "release of a block that %s \"%s\" has handed out", other->kind_, other->name_);
    return report_misuse(what, block, owned->bytes, kind_, name_,
                         {{"allocated there", &owned->allocated}, {"released here", &here}});
  }
  report_misuse("release of what it has not handed out", block, 0, kind_, name_, {{"released here", &here}});
}

// Neither constructor allocates, so this can be done where fork() returns.
void block_records::forget_after_fork() noexcept {
  new (&used_) decltype(used_);
  new (&released_) decltype(released_);
}

void block_records::report_left() const noexcept {
  if (used_.empty()) return;
  char what[96];
  std::snprintf(what, sizeof what, "its end with %zu blocks in use, the first of them", used_.size());
  const auto& [address, of] = *used_.begin();
  write_message(what, reinterpret_cast<const void*>(address), of.bytes, kind_, name_, {{"allocated", &of.allocated}});
}

}  // namespace tenure::resources
