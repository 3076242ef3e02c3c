// tenure::resource_adaptor: a resource that passes requests on to another one, the upstream, and adds one thing.
//
//     std::pmr container ──▶ synchronized ──▶ limiting ──▶ arena ──▶ operator new
//
// Every adaptor has what every resource has: a name, an account with what passes through it, a limit. Held and used
// bytes are the same here, as requested. Where the upstream is a resource of Tenure's, owns(), visit_live() and trim()
// are its answers: of all that it has handed out, to others too. Of another one's blocks an adaptor knows nothing, and
// says so, unless its page says otherwise: sees_upstream() tells which it is.
//
// The upstream must outlive the adaptor. What is in use when an adaptor ends stays with the upstream.
//
// One thread at a time, unless the upstream and the page of the adaptor say otherwise. Errors: those of the upstream,
// and std::bad_alloc at a limit. Cost: a virtual call, a charge to the account (docs/library/adaptors.md).
// Source: rapidsai/rmm, whose adaptors for memory of a GPU are composed like this.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string_view>

#include <tenure/memory_resource.hpp>

namespace tenure {

class TENURE_API resource_adaptor : public memory_resource {
 public:
  std::pmr::memory_resource& upstream() const noexcept { return *upstream_; }
  bool sees_upstream() const noexcept { return seen_upstream_ != nullptr; }

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 protected:
  // A null upstream is operator new.
  resource_adaptor(std::string_view name, const char* kind, const tenure::account* parent,
                   std::pmr::memory_resource* upstream);

  // Has the account hold the bytes, takes a block by the function, and counts it.
  template <class Function>
  void* take(std::size_t bytes, std::size_t alignment, Function function) {
    if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX / 2) throw std::bad_alloc();
    hold(bytes);
    try {
      void* block = function();
      count_allocation(bytes);
      return block;
    } catch (...) {
      let_go(bytes);
      throw;
    }
  }
  void count_given(std::size_t bytes) noexcept {
    count_release(bytes);
    let_go(bytes);
  }
  void* take_from_upstream(std::size_t bytes, std::size_t alignment) {
    return take(bytes, alignment, [&] { return upstream_->allocate(bytes, alignment); });
  }
  void give_to_upstream(void* block, std::size_t bytes, std::size_t alignment) {
    upstream_->deallocate(block, bytes, alignment);
    count_given(bytes);
  }
  // Null where it is not a resource of Tenure's.
  memory_resource* seen_upstream() const noexcept { return seen_upstream_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return take_from_upstream(bytes, alignment); }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    give_to_upstream(block, bytes, alignment);
  }

  std::pmr::memory_resource* upstream_;
  memory_resource* seen_upstream_;
};

template <class Resource>
concept adaptor = resource<Resource> && std::derived_from<Resource, resource_adaptor>;

}  // namespace tenure
