// A cache without contents: what a policy of some capacity would have hit.
//
//     tenure::eviction::simulation<tenure::eviction::arc> cache(10000);
//     for (std::uint64_t block : trace) cache.access(block);
//     std::printf("%.2f %%\n", 100.0 * cache.hits() / cache.requests());
//
// Nodes come from chunks and are used again, so that an access allocates only while the cache fills. A request whose
// weight differs from what is kept replaces it, and counts as a miss. Not thread-safe.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include <tenure/eviction/identity_table.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

template <policy policy_type>
class simulation {
 public:
  using node = typename policy_type::node;

  explicit simulation(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit)
      : policy_(capacity, side_limit_bytes) {}

  // True for a hit.
  bool access(std::uint64_t identity, std::uint32_t weight = 1) {
    ++requests_;
    if (node* const found = table_.find(identity)) {
      if (found->weight == weight) {
        policy_.hit(*found);
        ++hits_;
        return true;
      }
      policy_.erase(*found);
      release(*found);
    }
    node& one = take();
    one.identity = identity;
    one.weight = weight;
    table_.put(one);
    policy_.insert(one, [this](node& gone) { release(gone); });
    return false;
  }

  bool contains(std::uint64_t identity) const noexcept { return table_.find(identity) != nullptr; }
  void erase(std::uint64_t identity) {
    if (node* const found = table_.find(identity)) {
      policy_.erase(*found);
      release(*found);
    }
  }
  // Throws out all whose identity does not pass.
  template <class predicate>
  void retain(predicate passes) {
    for (auto& nodes : chunks_) {
      for (node& one : *nodes) {
        if (one.place == 0 || passes(one.identity)) continue;
        policy_.erase(one);
        release(one);
      }
    }
  }
  template <class visitor>
  void visit(visitor see) const {
    for (const auto& nodes : chunks_) {
      for (const node& one : *nodes) {
        if (one.place != 0) see(one);
      }
    }
  }
  void set_capacity(std::uint64_t capacity) {
    policy_.set_capacity(capacity, [this](node& gone) { release(gone); });
  }

  std::uint64_t requests() const noexcept { return requests_; }
  std::uint64_t hits() const noexcept { return hits_; }
  const policy_type& policy() const noexcept { return policy_; }
  std::size_t size_bytes() const noexcept {
    return chunks_.size() * sizeof(chunk) + table_.size_bytes() + policy_.side_bytes();
  }
  void check() const noexcept {
    policy_.check();
    structure_check(policy_.used() <= policy_.capacity(), "more than the capacity");
  }

 private:
  using chunk = std::array<node, 32>;

  node& take() {
    if (free_.empty()) {
      chunks_.push_back(std::make_unique<chunk>());
      free_.reserve(chunks_.size() * std::tuple_size_v<chunk>);
      for (node& one : *chunks_.back()) free_.push_back(&one);
      table_.reserve(chunks_.size() * std::tuple_size_v<chunk>);
    }
    node& one = *free_.back();
    free_.pop_back();
    return one;
  }

  void release(node& one) noexcept {
    table_.erase(one);
    one.place = one.mark = 0;
    free_.push_back(&one);
  }

  std::vector<std::unique_ptr<chunk>> chunks_;
  std::vector<node*> free_;
  identity_table<node> table_;
  policy_type policy_;
  std::uint64_t requests_ = 0;
  std::uint64_t hits_ = 0;
};

}  // namespace tenure::eviction
