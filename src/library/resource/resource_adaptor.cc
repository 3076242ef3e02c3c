#include <tenure/adaptor/resource_adaptor.hpp>

#include "core/base/check.h"
#include "library/resource/upstream.h"

namespace tenure {

resource_adaptor::resource_adaptor(std::string_view name, const char* kind, const tenure::account* parent,
                                   std::pmr::memory_resource* upstream)
    : memory_resource(name, kind, parent),
      upstream_(resources::or_operator_new(upstream)),
      seen_upstream_(dynamic_cast<memory_resource*>(upstream_)) {}

bool resource_adaptor::owns(const void* block) const noexcept {
  return seen_upstream_ != nullptr && seen_upstream_->owns(block);
}

std::size_t resource_adaptor::trim() noexcept { return seen_upstream_ == nullptr ? 0 : seen_upstream_->trim(); }

void resource_adaptor::visit_live(live_visitor visit, void* context) const {
  if (seen_upstream_ != nullptr) seen_upstream_->visit_live(visit, context);
}

void resource_adaptor::check() const {
  const resource_statistics now = statistics();
  TENURE_CHECK(now.used_bytes == now.held_bytes);
  TENURE_CHECK(now.used_bytes <= now.peak_used_bytes && now.used_blocks <= now.allocations);
}

}  // namespace tenure
