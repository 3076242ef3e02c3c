// tenure::memory_resource: what every resource of Tenure has besides being a std::pmr::memory_resource.
//
//   name(), account()     how the report of `tenure run`, the budget and messages call it
//   statistics()          exact, and free of charge for whoever allocates
//   set_limits()          a hard limit bounds what it holds; beyond it allocate() throws std::bad_alloc
//   owns(block)           whether the address lies in memory that it has handed out or could hand out
//   visit_live(...)       what it has handed out and not taken back
//   trim()                gives memory that nobody uses back to the upstream
//
//     void serve(tenure::memory_resource& memory) {
//       std::pmr::vector<int> numbers(1000, &memory);
//       std::printf("%s: %llu bytes\n", memory.name(), (unsigned long long)memory.statistics().used_bytes);
//     }
//
// A resource is for one thread at a time unless its page says otherwise; synchronized_resource_adaptor makes any of
// them shareable. Figures can be read from everywhere at any time. Errors are those of the standard library:
// std::bad_alloc. Two resources are equal only when they are the same one.
//
// Held bytes are what a resource has taken from its upstream or the system; its limits bound them. Used bytes are the
// part of them that its users have, as the resource counts it: never less than what was asked for.
//
// The ledger keeps peaks and totals by name, kind and parent: those of a resource contain those of earlier ones of the
// same name that are gone.
//
// Source: rapidsai/rmm for resources and adaptors that wrap an upstream; EASTL for the name in each allocator.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>

#include <tenure/api.h>
#include <tenure/account.hpp>

namespace tenure {

struct resource_statistics {
  std::uint64_t used_bytes = 0;
  std::uint64_t used_blocks = 0;
  std::uint64_t peak_used_bytes = 0;
  std::uint64_t allocations = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t peak_held_bytes = 0;
  std::uint64_t hard_limit_bytes = TENURE_NO_LIMIT;
  std::uint64_t refusals = 0;  // by the hard limit
};

// Whether a resource looks for misuse: double release, release of what is not its own, use after return. `by_build`
// does in a library that was built for debugging, and in any other where the option check_resources is on. Costs are
// told by each resource.
enum class resource_checks { by_build, off, on };

// A block in use; of a resource that does not know single blocks (an arena), a range of them.
struct live_block {
  const void* address;
  std::size_t bytes;
};

class TENURE_API memory_resource : public std::pmr::memory_resource {
 public:
  memory_resource(const memory_resource&) = delete;
  memory_resource& operator=(const memory_resource&) = delete;

  const char* name() const noexcept { return name_; }
  // "arena", "buddy" and so on, as messages call it; of a part of another resource, what the whole is.
  const char* kind() const noexcept { return kind_; }
  // Null where the ledger had no record left: then it is in no report, and its limit is its own.
  tenure_account* account() const noexcept { return account_; }
  resource_statistics statistics() const noexcept;
  void set_limits(account_limits limits) noexcept;

  virtual bool owns(const void* block) const noexcept = 0;
  // Bytes given back.
  virtual std::size_t trim() noexcept = 0;

  using live_visitor = void (*)(void* context, const live_block& block);
  virtual void visit_live(live_visitor visit, void* context) const = 0;
  template <std::invocable<const live_block&> Function>
  void for_each_live(Function function) const {
    visit_live([](void* context, const live_block& block) { (*static_cast<Function*>(context))(block); }, &function);
  }

 protected:
  // The name is cut at 63 bytes; the kind, a literal, at 23. Throws nothing. A part of another resource has no account:
  // the whole, which outlives it, holds what it holds and counts what it counts.
  memory_resource(std::string_view name, const char* kind, const tenure::account* parent,
                  memory_resource* whole = nullptr);
  ~memory_resource() override;

  // What the users have. Plain stores: one thread at a time allocates.
  void count_allocation(std::uint64_t bytes) noexcept {
    store(use_->allocations, use_->allocations + 1);
    store(use_->used_blocks, use_->used_blocks + 1);
    const std::uint64_t used = use_->used_bytes + bytes;
    store(use_->used_bytes, used);
    if (used > use_->peak_used_bytes) [[unlikely]] {
      store(use_->peak_used_bytes, used);
    }
  }
  void count_release(std::uint64_t bytes) noexcept {
    store(use_->used_blocks, use_->used_blocks - 1);
    store(use_->used_bytes, use_->used_bytes - bytes);
  }
  tenure_account_use& use() noexcept { return *use_; }
  bool is_part() const noexcept { return whole_ != nullptr; }
  static void store(std::uint64_t& to, std::uint64_t value) noexcept { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }

  // What it holds. Throws std::bad_alloc at the limit.
  void hold(std::uint64_t bytes, std::uint64_t blocks = 1);
  void let_go(std::uint64_t bytes, std::uint64_t blocks = 1) noexcept;

 private:
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  tenure_account_use* use_;
  tenure_account* account_;
  memory_resource* whole_;
  const char* kind_;
  // In place of the account where there is none.
  tenure_account_use own_use_{};
  std::uint64_t own_held_bytes_ = 0;
  std::uint64_t own_peak_held_bytes_ = 0;
  std::uint64_t own_limit_bytes_ = TENURE_NO_LIMIT;
  std::uint64_t own_refusals_ = 0;
  char name_[64];
};

// What templates over resources ask for.
template <class Resource>
concept resource = std::derived_from<Resource, std::pmr::memory_resource> &&
    requires(Resource& of, const Resource& seen, const void* block, memory_resource::live_visitor visit, void* context,
             account_limits limits) {
  { seen.name() } -> std::convertible_to<const char*>;
  { seen.account() } -> std::same_as<tenure_account*>;
  { seen.statistics() } -> std::same_as<resource_statistics>;
  { seen.owns(block) } -> std::same_as<bool>;
  { of.trim() } -> std::same_as<std::size_t>;
  {seen.visit_live(visit, context)};
  {of.set_limits(limits)};
};

}  // namespace tenure
