// tenure::buddy: blocks of powers of two, halves and quarters of a range that may be any address space.
//
//   0 ─────────────── 64 MiB        tree, apart from the range: for each node the largest free block below it
//   [ 32            ][16   ][8][8]          6
//                                        5     4      32 MiB free on the left; 16 taken, 8 and 8 on the right
//
// A range that is given is never touched: all that is known of it lies in a table of one byte a node and one a smallest
// block. So it may be shared memory, a device's, or pages that are not mapped. A block is aligned to its size, within
// the range. Freed halves become a whole again at once.
//
//     tenure::buddy gpu({.name = "gpu buffers", .begin = device_base, .bytes = 1 << 30, .smallest_bytes = 4096});
//     void* vertices = gpu.allocate(3 << 20, 4096);   // 4 MiB
//     gpu.deallocate(vertices, 3 << 20, 4096);
//
// When: large blocks of a range that is given. When not: small objects (up to half of each block may be unused).
//
// A release of what is no block in use, or with a size of another block, ends in a message, always: the table knows.
// With checks on it has the sites of allocation and of the first release as well, and in a range of its own a write
// into the first 4 KiB of a block after its release is told when the memory is handed out again, or at the end. In a
// range that is given, and that may be written to, watch_released() does the same.
//
// One thread at a time. Errors: std::bad_alloc when no block is free; std::invalid_argument for a range that does not
// fit. Cost: some 5 ns for each level of the tree, each way (docs/library/buddy.md); 3 bytes a smallest block.
// Source: Knowlton, 1965; the tree of largest free blocks instead of lists in the blocks themselves.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <tenure/memory_resource.hpp>

namespace tenure {

namespace resources {
class block_records;
}

struct buddy_options {
  std::string_view name = "buddy";
  void* begin = nullptr;              // aligned to smallest_bytes; null: a range of its own from the upstream
  std::size_t bytes = 0;              // a multiple of smallest_bytes, no power of two needed
  std::size_t smallest_bytes = 4096;  // a power of two
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  // Blocks go to the lowest address that will do, and not to where they leave large ones whole: for a range whose end
  // costs more than its beginning.
  bool fills_from_begin = false;
  memory_resource* part_of = nullptr;             // a resource that counts it, in place of an account
  std::pmr::memory_resource* upstream = nullptr;  // for a range of its own; null: operator new
};

class TENURE_API buddy final : public memory_resource {
 public:
  explicit buddy(const buddy_options& options);
  ~buddy() override;

  std::size_t largest_free_bytes() const noexcept;
  // The block's size, for the start of a block in use; otherwise 0.
  std::size_t block_bytes(const void* block) const noexcept;

  // With checks on, of a block that has just been released: it is filled, and must be as it is until it is handed out.
  void watch_released(void* block) noexcept;
  // What released blocks there held is gone, and no trace of late writes.
  void forget_released(const void* begin, std::size_t bytes) noexcept;

  bool owns(const void* block) const noexcept override;
  // Nothing to give back: the range is the caller's, or goes with the resource.
  std::size_t trim() noexcept override { return 0; }
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  unsigned order_for(std::size_t bytes, std::size_t alignment) const noexcept;
  void mend_above(std::size_t node, unsigned order) noexcept;
  std::size_t block_bytes_of(unsigned order) const noexcept;
  std::size_t leaf_of(std::size_t node, unsigned order) const noexcept;

  std::uintptr_t begin_;
  std::size_t bytes_;
  bool fills_from_begin_;
  unsigned smallest_shift_;
  unsigned top_order_;  // of the root: it spans 1 << top_order_ smallest blocks
  // Orders count from 1 for a smallest block; 0 is none.
  std::vector<std::uint8_t> largest_free_;  // by node; 1 is the root, 2n and 2n+1 the halves of n
  std::vector<std::uint8_t> used_order_;    // by smallest block: of the block in use that begins there
  std::pmr::memory_resource* upstream_ = nullptr;
  std::unique_ptr<resources::block_records> records_;  // with checks on
};

}  // namespace tenure
