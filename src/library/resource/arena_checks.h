// What an arena keeps with checks on: its objects with their call sites, in the order they were made.
#pragma once

#include <tenure/arena.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include "library/resource/block_owner.h"
#include "library/resource/call_site.h"
#include "library/resource/sealed_ranges.h"

namespace tenure {

struct arena::checked {
  checked(std::size_t limit_bytes, const memory_resource& owner)
      : seal_limit_bytes(limit_bytes), kind(owner.kind()), name(owner.name()) {
    resources::explain_faults();
  }

  std::uint64_t object_count() const noexcept { return objects.size(); }

  // Objects in the range move to its record.
  void seal(std::uintptr_t begin, std::size_t bytes) noexcept {
    std::vector<resources::sited_object> inside;
    try {
      for (const resources::sited_object& one : objects) {
        if (one.address - begin < bytes) inside.push_back(one);
      }
    } catch (const std::bad_alloc&) {
      inside.clear();  // the message will know less
    }
    resources::seal_range(begin, bytes, kind, name, resources::capture_site(), std::move(inside), seal_limit_bytes);
  }
  void forget_beyond(std::uint64_t count) noexcept {
    objects.erase(objects.begin() + static_cast<std::ptrdiff_t>(count), objects.end());
  }
  void reserve_for(const checked& other) { objects.reserve(objects.size() + other.objects.size()); }
  void take_over(checked& other) noexcept {
    objects.insert(objects.end(), other.objects.begin(), other.objects.end());
    other.objects.clear();
  }

  const resources::sited_object* find(std::uintptr_t address) const noexcept {
    const auto found = std::find_if(objects.begin(), objects.end(),
                                    [&](const auto& one) { return address - one.address < one.bytes; });
    return found == objects.end() ? nullptr : &*found;
  }

  static std::optional<resources::owned_block> find_owned(const void* of, const void* block) noexcept {
    const auto* const self = static_cast<const checked*>(of);
    const resources::sited_object* const found = self->find(reinterpret_cast<std::uintptr_t>(block));
    if (found == nullptr) return std::nullopt;
    return resources::owned_block{found->address, found->bytes, self->kind, self->name, found->site};
  }

  std::vector<resources::sited_object> objects;
  std::size_t seal_limit_bytes;
  const char* kind;
  const char* name;
  resources::block_owner known{this, find_owned};
};

}  // namespace tenure
