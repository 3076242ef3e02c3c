// tenure::slab: blocks of any size in slabs of one size each.
//
//   16 B    [used][free][used] ...                 classes of 16, 32, 48 ... 128 bytes, then four to each doubling
//   32 B    [free][free] ...                       a class is a fixed_pool, made when its size is first asked for
//   ...
//   larger  one block of the upstream each
//
// A request is rounded up to its class, at most a fifth beyond 128 bytes; allocation and release are those of a
// fixed_pool, without a search and without a header. It is what std::pmr::unsynchronized_pool_resource is for, with a
// limit, a name, and memory that goes back: trim() returns slabs in which no block is used.
//
//     tenure::slab memory({.name = "documents"});
//     std::pmr::map<std::pmr::string, document> documents(&memory);
//
// When: containers of several node sizes and strings, with lives of their own. When not: one size (fixed_pool); one
// lifetime (arena); several threads, which need a synchronized_resource_adaptor, or the heap, which has a cache for
// each.
//
// With checks on misuse ends in messages as it does in a fixed_pool, and larger blocks have the same records.
//
// One thread at a time. Errors: std::bad_alloc. Cost: docs/library/slab.md.
// Source: the slab allocator (Bonwick, 1994); size classes as in tcmalloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include <tenure/fixed_pool.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

namespace resources {
class block_records;
}

struct slab_options {
  std::string_view name = "slab";
  std::size_t largest_bytes = 4096;  // beyond it each block is one of the upstream; at most 32 KiB
  std::size_t largest_slab_bytes = 256 << 10;
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  memory_resource* part_of = nullptr;  // a resource that counts it, in place of an account
  // Null: operator new. Asked for alignments up to 4096, whatever those of the requests are: a class's slabs are
  // aligned as its blocks can be.
  std::pmr::memory_resource* upstream = nullptr;
};

class TENURE_API slab final : public memory_resource {
 public:
  // Throws std::invalid_argument for classes beyond 32 KiB.
  explicit slab(const slab_options& options = {});
  // Blocks in use go with it. With checks on a message says how many there were.
  ~slab() override;

  void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    fixed_pool* const pool = bytes <= quick_bytes && alignment <= smallest_class ? quick_[quick_index(bytes)] : nullptr;
    if (pool == nullptr) [[unlikely]] {
      return allocate_slow(bytes, alignment);
    }
    return pool->allocate(bytes, alignment);  // which counts it here
  }
  // With the size and the alignment of the request.
  void deallocate(void* block, std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    fixed_pool* const pool = bytes <= quick_bytes && alignment <= smallest_class ? quick_[quick_index(bytes)] : nullptr;
    if (pool == nullptr) [[unlikely]] {
      return deallocate_slow(block, bytes, alignment);
    }
    pool->deallocate(block);
  }

  // What a request of so many bytes takes of a slab whose largest_bytes are no less.
  static std::size_t class_bytes(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) noexcept;
  bool has_checks() const noexcept { return has_checks_; }

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  static constexpr std::size_t smallest_class = 16;
  static constexpr std::size_t quick_bytes = 1024;
  static constexpr std::size_t class_count = 8 + 4 * 8;  // up to 32 KiB
  static constexpr std::size_t quick_index(std::size_t bytes) noexcept {
    return (bytes + smallest_class - 1) / smallest_class;
  }
  struct large_block {
    std::size_t bytes;
    std::size_t alignment;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate(bytes, alignment); }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    deallocate(block, bytes, alignment);
  }
  void* allocate_slow(std::size_t bytes, std::size_t alignment);
  void deallocate_slow(void* block, std::size_t bytes, std::size_t alignment);
  void* allocate_large(std::size_t bytes, std::size_t alignment);
  void deallocate_large(void* block, std::size_t bytes, std::size_t alignment);
  void report_not_large(void* block) const noexcept;
  std::size_t class_of(std::size_t bytes, std::size_t alignment) const noexcept;
  fixed_pool& open_class(std::size_t number);

  std::array<fixed_pool*, quick_bytes / smallest_class + 1> quick_{};  // by request
  std::size_t largest_class_;                                          // number
  bool has_checks_;
  std::size_t largest_slab_bytes_;
  std::pmr::memory_resource* upstream_;
  std::array<std::unique_ptr<fixed_pool>, class_count> classes_;
  std::map<std::uintptr_t, large_block> large_;
  std::unique_ptr<resources::block_records> large_records_;  // with checks on
};

}  // namespace tenure
