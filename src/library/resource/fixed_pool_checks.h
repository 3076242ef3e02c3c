// What a fixed_pool keeps with checks on: for each block whether it is free and where it was allocated and released.
//
//   slab begin ──▶ [record | record | ...]   one a block
//   released   ──▶ oldest first: a block is used again as late as can be, and filled with a pattern until then
#pragma once

#include <tenure/fixed_pool.hpp>

#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "library/resource/block_owner.h"
#include "library/resource/call_site.h"

namespace tenure {

struct fixed_pool::checked {
  explicit checked(fixed_pool& of) : pool(of) {}
  checked(const checked&) = delete;
  checked& operator=(const checked&) = delete;

  struct record {
    bool is_used = false;
    resources::call_site allocated;
    resources::call_site released;
  };
  static constexpr unsigned char pattern = 0xdf;

  void make_room(std::size_t blocks) { spare.resize(blocks); }
  void add_slab(std::uintptr_t begin) { slabs.emplace(begin, std::move(spare)), spare.clear(); }
  void remove_slab(std::uintptr_t begin) noexcept { slabs.erase(begin); }
  template <class Function>
  void for_each_free(Function function) const {
    for (void* block : released) function(block);
  }
  template <class Predicate>
  void forget_free(Predicate predicate) noexcept {
    std::erase_if(released, predicate);
  }

  static std::optional<resources::owned_block> find_owned(const void* of, const void* block) noexcept;

  fixed_pool& pool;
  std::map<std::uintptr_t, std::vector<record>> slabs;
  std::vector<record> spare;
  std::deque<void*> released;
  resources::block_owner known{this, find_owned};
};

}  // namespace tenure
