#include <tenure/adaptor/synchronized_resource_adaptor.hpp>

namespace tenure {

synchronized_resource_adaptor::synchronized_resource_adaptor(const synchronized_options& options)
    : resource_adaptor(options.name, "synchronized adaptor", options.parent, options.upstream) {}

void* synchronized_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  const std::lock_guard held(lock_);
  return take_from_upstream(bytes, alignment);
}

void synchronized_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const std::lock_guard held(lock_);
  give_to_upstream(block, bytes, alignment);
}

bool synchronized_resource_adaptor::owns(const void* block) const noexcept {
  const std::lock_guard held(lock_);
  return resource_adaptor::owns(block);
}

std::size_t synchronized_resource_adaptor::trim() noexcept {
  const std::lock_guard held(lock_);
  return resource_adaptor::trim();
}

void synchronized_resource_adaptor::visit_live(live_visitor visit, void* context) const {
  const std::lock_guard held(lock_);
  resource_adaptor::visit_live(visit, context);
}

}  // namespace tenure
