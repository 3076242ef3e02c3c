#include <tenure/adaptor/limiting_resource_adaptor.hpp>

namespace tenure {

limiting_resource_adaptor::limiting_resource_adaptor(const limiting_options& options)
    : resource_adaptor(options.name, "limiting adaptor", options.parent, options.upstream) {
  set_limits({.hard_bytes = options.limit_bytes});
}

std::uint64_t limiting_resource_adaptor::remaining_bytes() const noexcept {
  const resource_statistics now = statistics();
  return now.held_bytes >= now.hard_limit_bytes ? 0 : now.hard_limit_bytes - now.held_bytes;
}

}  // namespace tenure
