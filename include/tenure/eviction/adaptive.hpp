// Adaptive: runs the policy that would have hit most of late, among LIRS, S3-FIFO, LRU and W-TinyLFU.
//
//   requests --sample--> [ contest: the four, simulated small ] --the winner--v
//            --all-----> [ current: one of the four ]  <--what is hit-- [ former: gives up its entries first ]
//
// What the former policy holds is not all moved when another wins: an entry of it that is asked for moves over, and the
// rest makes room for newcomers. So a change costs no request more than a constant; while all identities are simulated,
// which is for no more than a thousand entries, what the winner would hold moves over at once.
//
// When to use it: unless you know better. Cost: 48 bytes an entry, what the current policy remembers, and the contest,
// which is at most about a MiB whatever the capacity; a hit costs that of the current policy, and of four more for a
// sampled identity. It is compiled once, in the library: whoever has a cache with it compiles no policy.
#pragma once

#include <memory>
#include <string_view>
#include <type_traits>

#include <tenure/api.h>
#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class adaptive : public policy_base<adaptive> {
 public:
  using node = lirs_node;
  static constexpr std::string_view name = "adaptive";

  // Half of `side_limit_bytes`, less a few hundred, is for the contest, a quarter for each of the current and the
  // former policy.
  TENURE_API explicit adaptive(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit);
  TENURE_API ~adaptive();

  TENURE_API std::uint64_t used() const noexcept;
  TENURE_API std::size_t count() const noexcept;
  TENURE_API std::size_t side_bytes() const noexcept;

  // The policy that runs now, and how often that has changed.
  TENURE_API std::string_view current_name() const noexcept;
  TENURE_API std::uint64_t changes() const noexcept;

  TENURE_API void hit(node& one);
  TENURE_API void erase(node& one) noexcept;
  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    insert_with(one, taker(evict));
  }
  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    return evict_one_with(taker(evict));
  }
  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    set_capacity_with(capacity, taker(evict));
  }

  TENURE_API void check() const noexcept;

 private:
  struct state;
  // Calls the function that it was made of, which outlives it.
  class taker {
   public:
    template <class evict_function>
    requires(!std::is_same_v<std::remove_const_t<evict_function>, taker>) explicit taker(evict_function& evict) noexcept
        : evict_(const_cast<void*>(static_cast<const void*>(std::addressof(evict)))),
          call_([](void* to, node& gone) { (*static_cast<evict_function*>(to))(gone); }) {}
    void operator()(node& gone) const { call_(evict_, gone); }

   private:
    void* evict_;
    void (*call_)(void*, node&);
  };

  TENURE_API void insert_with(node& one, const taker& evict);
  TENURE_API bool evict_one_with(const taker& evict);
  TENURE_API void set_capacity_with(std::uint64_t capacity, const taker& evict);

  std::unique_ptr<state> state_;
};

}  // namespace tenure::eviction
