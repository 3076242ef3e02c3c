// tenure::aligned_resource_adaptor: every block begins and ends at a multiple of an alignment.
//
//     tenure::aligned_resource_adaptor lines({.name = "per thread", .alignment = 64});
//     std::pmr::vector<std::atomic<int>> counters(n, &lines);   // no other block has part of its cache lines
//
// Sizes are rounded up too, so that two blocks never share a cache line, an OS page or a sector. Requests below
// `from_bytes` are passed on as they are.
//
// An upstream that refuses large alignments is served with `upstream_alignment`: beyond it a larger block is taken and
// the rest left unused, with one word behind the user's block that says where it began.
//
//   [unused][user's block, aligned ...............][begin]
//
// Live blocks are then those of the upstream. One thread at a time. Errors: std::bad_alloc; std::invalid_argument for
// an alignment that is no power of two. Cost: docs/library/adaptors.md.
// Source: rmm's aligned_resource_adaptor; the word behind instead of a table of addresses.
#pragma once

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct aligned_options {
  std::string_view name = "aligned";
  std::size_t alignment = 64;
  std::size_t from_bytes = 0;
  std::size_t upstream_alignment = PTRDIFF_MAX / 2 + 1;  // the largest that the upstream takes
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API aligned_resource_adaptor final : public resource_adaptor {
 public:
  explicit aligned_resource_adaptor(const aligned_options& options);

  std::size_t alignment() const noexcept { return alignment_; }

 private:
  struct shape {
    std::size_t bytes;
    std::size_t alignment;
    std::size_t upstream_bytes;
  };
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  shape shape_of(std::size_t bytes, std::size_t alignment) const;

  std::size_t alignment_;
  std::size_t from_bytes_;
  std::size_t upstream_alignment_;
};

}  // namespace tenure
