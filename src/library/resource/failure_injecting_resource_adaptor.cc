#include <tenure/adaptor/failure_injecting_resource_adaptor.hpp>

#include <stdexcept>

namespace tenure {
namespace {

// SplitMix64: one word of state, and any seed will do.
std::uint64_t next_number(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

failure_injecting_resource_adaptor::failure_injecting_resource_adaptor(const failure_injecting_options& options)
    : resource_adaptor(options.name, "failure adaptor", options.parent, options.upstream) {
  set_plan(options.plan);
}

void failure_injecting_resource_adaptor::set_plan(const failure_plan& plan) {
  if (!(plan.probability >= 0 && plan.probability <= 1)) {
    throw std::invalid_argument("tenure::failure_injecting_resource_adaptor: a probability is from 0 to 1");
  }
  plan_ = plan;
  dice_ = plan.seed;
  requests_ = failures_ = 0;
}

bool failure_injecting_resource_adaptor::is_to_fail(std::size_t bytes) noexcept {
  const bool by_number = plan_.from_nth_on ? plan_.nth != 0 && requests_ >= plan_.nth : requests_ == plan_.nth;
  if (by_number || bytes >= plan_.from_bytes) return true;
  // 53 bits, as many as a double has.
  return plan_.probability > 0 && static_cast<double>(next_number(dice_) >> 11) * 0x1p-53 < plan_.probability;
}

void* failure_injecting_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  ++requests_;
  if (is_to_fail(bytes)) {
    ++failures_;
    throw std::bad_alloc();
  }
  return take_from_upstream(bytes, alignment);
}

}  // namespace tenure
