// Ghosts that are nodes themselves, for a policy that keeps them in the same list as the entries that are here.
//
//   chunks  [ node x 32 ]...     nodes stay where they are; a free one is linked by its first `next`
//
// Their second links make a list in order of arrival. Chunks are added while the limit in bytes allows; then full()
// says so, and the policy forgets one before it adds one.
#pragma once

#include <array>
#include <memory>
#include <new>
#include <vector>

#include <tenure/eviction/identity_table.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

template <class node>
class ghost_pool {
 public:
  explicit ghost_pool(std::size_t side_limit_bytes) noexcept : limit_(side_limit_bytes / bytes_each) {}

  std::size_t count() const noexcept { return arrivals_.count(); }
  std::uint64_t weight() const noexcept { return arrivals_.weight(); }
  bool full() const noexcept { return free_ == nullptr && made() + chunk_nodes > limit_; }
  node& oldest() noexcept { return arrivals_.back(); }
  node* find(std::uint64_t identity) const noexcept { return table_.find(identity); }
  std::size_t size_bytes() const noexcept {
    return made() * sizeof(node) + table_.size_bytes() + chunks_.capacity() * sizeof(void*);
  }

  // `identity` is not here, and the pool is not full. Null where there is no memory.
  node* add(std::uint64_t identity, std::uint32_t weight) noexcept {
    if (free_ == nullptr && !grow()) return nullptr;
    node* const one = free_;
    free_ = next_in_chain<node, 0>(*one);
    set_next_in_chain<node, 0>(*one, nullptr);
    one->identity = identity;
    one->weight = weight;
    arrivals_.push_front(*one);
    table_.put(*one);
    return one;
  }

  // `one` is in no list of the policy any more.
  void forget(node& one) noexcept {
    table_.erase(one);
    arrivals_.erase(one);
    one.place = 0;
    set_next_in_chain<node, 0>(one, free_);
    free_ = &one;
  }

  template <class predicate>
  void check(predicate holds) const noexcept {
    arrivals_.check([&](const node& one) { return find(one.identity) == &one && holds(one); });
  }

 private:
  static constexpr std::size_t chunk_nodes = 32;
  // A node, up to four slots for it in the table, two in the one that is being replaced, and its share of the chunks.
  static constexpr std::size_t bytes_each = sizeof(node) + 6 * sizeof(void*) + 1;

  std::size_t made() const noexcept { return chunks_.size() * chunk_nodes; }

  bool grow() noexcept {
    try {
      table_.reserve(made() + chunk_nodes);
      chunks_.push_back(std::make_unique<std::array<node, chunk_nodes>>());
    } catch (const std::bad_alloc&) {
      return false;
    }
    for (node& one : *chunks_.back()) {
      set_next_in_chain<node, 0>(one, free_);
      free_ = &one;
    }
    return true;
  }

  std::vector<std::unique_ptr<std::array<node, chunk_nodes>>> chunks_;
  identity_table<node> table_;
  node_list<node, 1> arrivals_;
  node* free_ = nullptr;
  std::size_t limit_;
};

}  // namespace tenure::eviction
