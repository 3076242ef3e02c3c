// The eviction policy of a page pool, on numbers of slots: one node for each slot, and the policy behind virtual calls,
// which are made under the pool's lock and never for a pin of a page that is here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <tenure/eviction/policy.hpp>

namespace tenure::detail {

class page_order {
 public:
  // Told of a slot that the policy has given up.
  using taker = void (*)(void* context, std::uint32_t slot);

  page_order() = default;
  page_order(const page_order&) = delete;
  page_order& operator=(const page_order&) = delete;
  virtual ~page_order() = default;

  virtual void insert(std::uint32_t slot, std::uint64_t identity, taker take, void* context) = 0;
  virtual void hit(std::uint32_t slot) = 0;
  virtual void erase(std::uint32_t slot) = 0;
  virtual bool evict_one(taker take, void* context) = 0;
  virtual void set_capacity(std::uint64_t pages, taker take, void* context) = 0;
  virtual std::size_t count() const noexcept = 0;
  virtual std::size_t side_bytes() const noexcept = 0;
  virtual std::size_t node_bytes() const noexcept = 0;
  virtual std::string_view name() const noexcept = 0;
  virtual void check() const = 0;
};

template <eviction::policy Policy>
class typed_page_order final : public page_order {
 public:
  typed_page_order(std::uint32_t slots, std::uint64_t capacity, std::size_t side_limit_bytes)
      : nodes_(slots), policy_(capacity, side_limit_bytes) {}

  void insert(std::uint32_t slot, std::uint64_t identity, taker take, void* context) override {
    node& one = nodes_[slot];
    one.identity = identity;
    one.weight = 1;
    try {
      policy_.insert(one, [&](auto& gone) { give(gone, take, context); });
    } catch (...) {
      one.place = one.mark = 0;
      throw;
    }
  }
  void hit(std::uint32_t slot) override { policy_.hit(nodes_[slot]); }
  void erase(std::uint32_t slot) override {
    policy_.erase(nodes_[slot]);
    nodes_[slot].place = nodes_[slot].mark = 0;
  }
  bool evict_one(taker take, void* context) override {
    return policy_.evict_one([&](auto& gone) { give(gone, take, context); });
  }
  void set_capacity(std::uint64_t pages, taker take, void* context) override {
    policy_.set_capacity(pages, [&](auto& gone) { give(gone, take, context); });
  }
  std::size_t count() const noexcept override { return policy_.count(); }
  std::size_t side_bytes() const noexcept override { return policy_.side_bytes(); }
  std::size_t node_bytes() const noexcept override { return sizeof(node); }
  std::string_view name() const noexcept override { return Policy::name; }
  void check() const override { policy_.check(); }

 private:
  using node = typename Policy::node;

  void give(eviction::weighed& gone, taker take, void* context) {
    node& one = static_cast<node&>(gone);
    one.place = one.mark = 0;
    take(context, static_cast<std::uint32_t>(&one - nodes_.data()));
  }

  std::vector<node> nodes_;
  Policy policy_;
};

using page_order_maker = std::unique_ptr<page_order> (*)(std::uint32_t slots, std::uint64_t capacity,
                                                         std::size_t side_limit_bytes);
template <eviction::policy Policy>
std::unique_ptr<page_order> make_page_order(std::uint32_t slots, std::uint64_t capacity, std::size_t side_limit_bytes) {
  return std::make_unique<typed_page_order<Policy>>(slots, capacity, side_limit_bytes);
}

}  // namespace tenure::detail
