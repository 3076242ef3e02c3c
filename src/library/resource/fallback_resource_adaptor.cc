#include <tenure/adaptor/fallback_resource_adaptor.hpp>

#include <algorithm>

#include "library/resource/upstream.h"

namespace tenure {

fallback_resource_adaptor::fallback_resource_adaptor(const fallback_options& options)
    : resource_adaptor(options.name, "fallback adaptor", options.parent, options.upstream),
      second_(resources::or_operator_new(options.second)),
      seen_second_(dynamic_cast<memory_resource*>(second_)) {}

void* fallback_resource_adaptor::take_from_second(std::size_t bytes, std::size_t alignment) {
  ++fallbacks_;
  void* block = second_->allocate(bytes, alignment);
  try {
    from_second_.insert_or_assign(block, bytes);
  } catch (...) {
    second_->deallocate(block, bytes, alignment);
    throw;
  }
  return block;
}

void* fallback_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);  // so that addresses differ
  return take(bytes, alignment, [&] {
    try {
      void* block = upstream().allocate(bytes, alignment);
      // It may have been the second's, which took it back at once with others, as by an arena's reset.
      if (!from_second_.empty()) from_second_.erase(block);
      return block;
    } catch (const std::bad_alloc&) {
      return take_from_second(bytes, alignment);
    }
  });
}

void fallback_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (from_second_.empty() || from_second_.erase(block) == 0) return give_to_upstream(block, bytes, alignment);
  second_->deallocate(block, bytes, alignment);
  count_given(bytes);
}

bool fallback_resource_adaptor::owns(const void* block) const noexcept {
  if (resource_adaptor::owns(block)) return true;
  return seen_second_ != nullptr ? seen_second_->owns(block) : from_second_.contains(block);
}

std::size_t fallback_resource_adaptor::trim() noexcept {
  return resource_adaptor::trim() + (seen_second_ == nullptr ? 0 : seen_second_->trim());
}

void fallback_resource_adaptor::visit_live(live_visitor visit, void* context) const {
  resource_adaptor::visit_live(visit, context);
  for (const auto& [block, bytes] : from_second_) visit(context, {block, bytes});
}

}  // namespace tenure
