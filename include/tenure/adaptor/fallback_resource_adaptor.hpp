// tenure::fallback_resource_adaptor: a second upstream where the first one refuses.
//
//     tenure::fixed_pool fast({.name = "fast", .block_bytes = 64, .limit_blocks = 1000});
//     tenure::fallback_resource_adaptor nodes({.name = "nodes", .upstream = &fast});   // then operator new
//     std::pmr::list<int> numbers(&nodes);
//
// Only std::bad_alloc of the first one leads to the second. Which blocks came from the second is remembered for each,
// so a release goes to where the block came from, whatever the first one is.
//
// One thread at a time. Errors: those of the second upstream. Cost: nothing to speak of while the first one serves; an
// exception and a hashed set of addresses where it does not (docs/library/adaptors.md).
// Source: rmm's failure_callback_resource_adaptor; fallback_allocator of foonathan/memory.
#pragma once

#include <unordered_map>

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct fallback_options {
  std::string_view name = "fallback";
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
  std::pmr::memory_resource* second = nullptr;    // null: operator new
};

class TENURE_API fallback_resource_adaptor final : public resource_adaptor {
 public:
  explicit fallback_resource_adaptor(const fallback_options& options);

  std::uint64_t fallbacks() const noexcept { return fallbacks_; }             // requests that the first one refused
  std::size_t second_blocks() const noexcept { return from_second_.size(); }  // in use

  bool owns(const void* block) const noexcept override;
  // Of both.
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  void* take_from_second(std::size_t bytes, std::size_t alignment);

  std::pmr::memory_resource* second_;
  memory_resource* seen_second_;
  std::unordered_map<const void*, std::size_t> from_second_;  // bytes, by address
  std::uint64_t fallbacks_ = 0;
};

}  // namespace tenure
