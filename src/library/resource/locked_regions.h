// Regions for secrets: private pages between two that fault, locked, left out of core dumps, empty in children.
#pragma once

#include <cstddef>
#include <vector>

#include <tenure/memory_resource.hpp>

namespace tenure::resources {

// A part of the resource whose secrets they hold. Each request is a region of whole OS pages; what is rounded up for
// that it holds itself.
class locked_regions final : public memory_resource {
 public:
  locked_regions(memory_resource& whole, bool must_lock)
      : memory_resource(whole.name(), "regions", nullptr, &whole), must_lock_(must_lock) {}
  std::size_t locked_bytes() const noexcept { return locked_bytes_; }

  bool owns(const void*) const noexcept override { return false; }
  std::size_t trim() noexcept override { return 0; }
  void visit_live(live_visitor, void*) const override {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;

  bool must_lock_;
  std::vector<void*> unlocked_;
  std::size_t locked_bytes_ = 0;
};

}  // namespace tenure::resources
