#include "any_policy.h"

#include <algorithm>

#include <tenure/eviction.hpp>

namespace tenure::test {
namespace {

template <eviction::policy Policy>
class running_policy final : public any_policy::running {
  using node = any_policy::node;
  using taker = any_policy::taker;
  struct inner : Policy::node {
    node* outer;
  };
  static_assert(sizeof(inner) <= sizeof(node::room) && alignof(inner) <= 8);

 public:
  running_policy(std::uint64_t capacity, std::size_t side_limit_bytes) : policy_(capacity, side_limit_bytes) {}
  void insert(node& one, const taker& evict) override {
    auto* const mine = new (one.room.data()) inner;
    mine->outer = &one;
    mine->identity = one.identity;
    mine->weight = one.weight;
    one.place = 1;
    policy_.insert(*mine, outwards{evict});
  }
  void hit(node& one) override { policy_.hit(in(one)); }
  void erase(node& one) override {
    policy_.erase(in(one));
    one.place = 0;
  }
  bool evict_one(const taker& evict) override { return policy_.evict_one(outwards{evict}); }
  void set_capacity(std::uint64_t capacity, const taker& evict) override {
    policy_.set_capacity(capacity, outwards{evict});
  }
  std::uint64_t capacity() const override { return policy_.capacity(); }
  std::uint64_t used() const override { return policy_.used(); }
  std::size_t count() const override { return policy_.count(); }
  std::size_t side_bytes() const override { return policy_.side_bytes(); }
  void check() const override { policy_.check(); }

  static std::unique_ptr<any_policy::running> make(std::uint64_t capacity, std::size_t side_limit_bytes) {
    return std::make_unique<running_policy>(capacity, side_limit_bytes);
  }
  static constexpr any_policy::kind kind{Policy::name, &make};

 private:
  struct outwards {
    const taker& evict;
    void operator()(typename Policy::node& gone) const {
      node& one = *static_cast<inner&>(gone).outer;
      one.place = 0;
      evict(one);
    }
  };
  static inner& in(node& one) { return *reinterpret_cast<inner*>(one.room.data()); }

  Policy policy_;
};

template <class... all>
std::vector<const any_policy::kind*> kinds_of() {
  return {&running_policy<all>::kind...};
}

}  // namespace

const std::vector<const any_policy::kind*>& policies() {
  static const auto all =
      kinds_of<eviction::fifo, eviction::lru, eviction::clock, eviction::lfu, eviction::lru_k, eviction::two_queue,
               eviction::arc, eviction::lirs, eviction::sieve, eviction::s3_fifo, eviction::w_tiny_lfu,
               eviction::random_choice, eviction::adaptive>();
  return all;
}

const any_policy::kind& policy_named(std::string_view name) {
  return **std::find_if(policies().begin(), policies().end(), [&](const auto* one) { return one->name == name; });
}

}  // namespace tenure::test
