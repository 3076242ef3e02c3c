// tenure::fixed_pool: blocks of one size, taken and given back in any order.
//
//   slab   [free][used][free][used] ...     free blocks are chained through their first word, last in, first out
//   slab   [used][used][fresh.......]       fresh: never handed out yet, not touched
//
// A slab holds many blocks and comes from the upstream. Allocation pops a free block, a release pushes it: no search,
// no size class, no header. Larger requests than block_bytes are refused with std::bad_alloc, smaller ones get a whole
// block. trim() gives slabs back in which no block is used.
//
//     tenure::fixed_pool nodes({.name = "nodes", .block_bytes = 48});
//     std::pmr::list<int> numbers(&nodes);  // each node from the pool
//
// When: many objects of one size with lives of their own. When not: objects of one lifetime (arena); objects that want
// handles, iteration and constructors (object_pool).
//
// With checks on, a block of another resource, an interior pointer, a second release and a write into a free block end
// in a message with the sites of allocation and release; released blocks are reused last. Without them such a call is
// undefined, as in every std::pmr resource.
//
// One thread at a time. Errors: std::bad_alloc. Cost: about 1 ns a pair (docs/library/fixed_pool.md); 0 bytes a block
// beyond its size rounded up to its alignment; with checks on some 400 ns and 208 bytes a block.
// Source: the slab allocator (Bonwick, 1994); boost::pool.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <tenure/memory_resource.hpp>

namespace tenure {

struct fixed_pool_options {
  std::string_view name = "pool";
  std::size_t block_bytes = 64;
  std::size_t alignment = alignof(std::max_align_t);  // of every block
  std::size_t first_slab_blocks = 64;                 // each slab has twice the blocks of the one before, up to
  std::size_t largest_slab_bytes = 1 << 20;
  std::uint64_t limit_blocks = TENURE_NO_LIMIT;  // in use at once
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  memory_resource* part_of = nullptr;             // a resource that counts it, in place of an account
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API fixed_pool final : public memory_resource {
 public:
  // Throws std::invalid_argument for a block of no bytes or an alignment that is no power of two.
  explicit fixed_pool(const fixed_pool_options& options);
  // Blocks in use go with it. With checks on, a message says how many there were and where the first was allocated.
  ~fixed_pool() override;

  void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    // `ready_` is null where a slab is to be opened, and always with checks on.
    if (ready_ == nullptr || bytes > block_bytes_ || alignment > alignment_) [[unlikely]] {
      return allocate_slow(bytes, alignment);
    }
    free_block* taken = ready_;
    ready_ = taken->next;
    count_allocation(block_bytes_);
    return taken;
  }
  void deallocate(void* block, std::size_t = 0, std::size_t = alignof(std::max_align_t)) {
    if (has_checks_) [[unlikely]] {
      return deallocate_checked(block);
    }
    auto* freed = static_cast<free_block*>(block);
    freed->next = ready_;
    ready_ = freed;
    count_release(block_bytes_);
  }

  std::size_t block_bytes() const noexcept { return block_bytes_; }
  // Blocks that can be in use before another slab is asked for.
  std::size_t capacity_blocks() const noexcept;
  // Opens slabs until so many blocks can be in use.
  void reserve(std::size_t blocks);
  bool has_checks() const noexcept { return has_checks_; }

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  struct free_block {
    free_block* next;
  };
  struct slab {
    std::uintptr_t begin;
    std::size_t blocks;
    std::size_t fresh;  // blocks from here on were never handed out
    std::size_t bytes;
  };
  struct checked;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate(bytes, alignment); }
  void do_deallocate(void* block, std::size_t, std::size_t) override { deallocate(block); }
  void* allocate_slow(std::size_t bytes, std::size_t alignment);
  void* allocate_checked();
  void deallocate_checked(void* block);
  void report_left_blocks() const noexcept;
  void open_slab();
  void chain_fresh(slab& of) noexcept;
  const slab* find(const void* block) const noexcept;
  std::size_t number_of(const slab& of, const void* block) const noexcept;
  std::vector<std::vector<bool>> find_used() const;

  free_block* ready_ = nullptr;
  std::size_t block_bytes_;
  std::size_t alignment_;
  bool has_checks_;
  std::vector<slab> slabs_;  // by address
  std::size_t fresh_slab_ = 0;
  std::size_t next_slab_blocks_;
  std::size_t largest_slab_bytes_;
  std::uint64_t limit_blocks_;
  std::pmr::memory_resource* upstream_;
  std::unique_ptr<checked> checked_;
};

}  // namespace tenure
