#include "library/resource/block_owner.h"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <vector>

#include "library/resource/fork_guard.h"

namespace tenure::resources {
namespace {

struct all_owners {
  process_lock lock;
  std::vector<const block_owner*> list;
  static all_owners& get() {
    static constinit std::atomic<all_owners*> made = nullptr;  // static resources end after everything else
    return the_only(made);
  }
};

}  // namespace

block_owner::block_owner(const void* keeper, find_function look) : keeper_(keeper), find_(look) {
  const std::lock_guard held(all_owners::get().lock);
  all_owners::get().list.push_back(this);
}

block_owner::~block_owner() {
  const std::lock_guard held(all_owners::get().lock);
  std::erase(all_owners::get().list, this);
}

std::optional<owned_block> block_owner::find(const void* block, const void* besides) noexcept {
  std::optional<owned_block> covers;
  const std::lock_guard held(all_owners::get().lock);
  for (const block_owner* one : all_owners::get().list) {
    if (one->keeper_ == besides) continue;
    const std::optional<owned_block> found = one->find_(one->keeper_, block);
    if (!found) continue;
    if (found->begin == reinterpret_cast<std::uintptr_t>(block)) return found;
    if (!covers) covers = found;
  }
  return covers;
}

void report_stranger(const char* act, const void* block, const void* keeper, const char* unknown, const char* kind,
                     const char* name, const call_site& here) noexcept {
  const std::optional<owned_block> owned = block_owner::find(block, keeper);
  if (!owned) return report_misuse(unknown, block, 0, kind, name, {{"released here", &here}});
  char what[160];
  std::snprintf(what, sizeof what, "%s of a block that %s \"%s\" has handed out", act, owned->kind, owned->name);
  report_misuse(what, block, owned->bytes, kind, name,
                {{"allocated there", &owned->allocated}, {"released here", &here}});
}

}  // namespace tenure::resources
