// tenure::synchronized_resource_adaptor: an upstream for several threads, one of them at a time.
//
//     tenure::slab blocks({.name = "blocks"});
//     tenure::synchronized_resource_adaptor shared({.name = "shared blocks", .upstream = &blocks});
//     std::thread worker([&] { std::pmr::vector<int> numbers(1000, &shared); });
//
// One lock around every call of the upstream, which must be reached through this adaptor alone. Threads that want much
// at once wait for each other; object_pool has a cache for each thread and does not.
//
// Thread-safe, apart from construction and destruction. Shrinkers of the account are asked with the lock held and must
// not use this adaptor; so must not the function that visits live blocks. Errors: those of the upstream. Cost: an
// uncontended lock (docs/library/adaptors.md).
// Source: rmm's thread_safe_resource_adaptor; std::pmr::synchronized_pool_resource.
#pragma once

#include <mutex>

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct synchronized_options {
  std::string_view name = "synchronized";
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API synchronized_resource_adaptor final : public resource_adaptor {
 public:
  explicit synchronized_resource_adaptor(const synchronized_options& options);

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;

  mutable std::mutex lock_;
};

}  // namespace tenure
