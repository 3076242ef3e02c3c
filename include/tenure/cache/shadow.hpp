// A shadow: what another policy, or another size, would have hit on the requests that a cache serves.
//
// It sees what the cache's policy sees, keeps identities and weights and no values, and looks at one in 2^shift
// identities with a capacity as much smaller, so that it costs little. Source: Waldspurger and others, FAST 2015
// (SHARDS).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <tenure/eviction/simulation.hpp>

namespace tenure {

struct shadow_statistics {
  std::string_view policy;
  std::uint64_t capacity = 0;  // in the unit of the cache's bound, before sampling
  std::uint64_t requests = 0;  // those that were sampled
  std::uint64_t hits = 0;
  double hit_ratio() const noexcept {
    return requests == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(requests);
  }
};

namespace detail {

class shadow {
 public:
  virtual ~shadow() = default;
  virtual void access(std::uint64_t identity, std::uint32_t weight) = 0;
  virtual shadow_statistics statistics() const noexcept = 0;
};

template <eviction::policy Policy>
class shadow_of final : public shadow {
 public:
  shadow_of(std::uint64_t capacity, unsigned shift) : capacity_(capacity), shift_(shift), kept_(capacity >> shift) {}

  void access(std::uint64_t identity, std::uint32_t weight) override {
    // Bits that neither choose a place in the cache's table nor in the simulation's.
    if ((identity * 0x9e3779b97f4a7c15u >> 12 & ((std::uint64_t{1} << shift_) - 1)) != 0) return;
    kept_.access(identity, weight);
  }
  shadow_statistics statistics() const noexcept override {
    return {Policy::name, capacity_, kept_.requests(), kept_.hits()};
  }

 private:
  std::uint64_t capacity_;
  unsigned shift_;
  eviction::simulation<Policy> kept_;
};

}  // namespace detail
}  // namespace tenure
