// FIFO: what came first goes first, whatever was asked for since.
//
// When to use it: as a yardstick, or when order of arrival is what matters. Cost: 32 bytes an entry; a hit does
// nothing.
#pragma once

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class fifo : public policy_base<fifo> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "fifo";

  explicit fifo(std::uint64_t capacity, std::size_t = no_limit) noexcept : policy_base(capacity) {}

  std::uint64_t used() const noexcept { return list_.weight(); }
  std::size_t count() const noexcept { return list_.count(); }
  std::size_t side_bytes() const noexcept { return 0; }

  void hit(node&) noexcept {}

  void admit(node& one) noexcept {
    one.place = 1;
    list_.push_front(one);
  }

  void erase(node& one) noexcept {
    one.place = 0;
    list_.erase(one);
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (list_.empty()) return false;
    node& oldest = list_.back();
    erase(oldest);
    evict(oldest);
    return true;
  }

  void check() const noexcept {
    list_.check([](const node& one) { return one.place == 1; });
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  node_list<node> list_;
};

}  // namespace tenure::eviction
