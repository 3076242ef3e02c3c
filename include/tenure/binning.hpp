// tenure::binning: requests go to one resource or another, by their size.
//
//   up to 64 B      ──▶ a fixed_pool of 64
//   up to 1 KiB     ──▶ a slab
//   the rest        ──▶ operator new
//
//     tenure::fixed_pool nodes({.name = "nodes", .block_bytes = 64});
//     tenure::slab texts({.name = "texts"});
//     tenure::binning memory({.name = "documents", .bins = {{64, &nodes}, {1024, &texts}}});
//     std::pmr::map<std::pmr::string, document> documents(&memory);
//
// The first bin that takes the size and the alignment of a request serves it, and gets the block back: size and
// alignment alone decide, so nothing is remembered of a block. owns(), visit_live() and trim() are the answers of those
// bins and of the rest that are resources of Tenure's.
//
// When: sizes that are known to differ in how long they live or how many there are. When not: for size classes, which
// slab has.
//
// With checks on each block is recorded: a second release, one with another size, and one of what is not its own end in
// a message with both sites. Without them such a release goes to the wrong bin.
//
// One thread at a time. Errors: those of the bins; std::invalid_argument for bins that do not ascend. Cost: an
// adaptor's, docs/library/binning.md. Source: rmm's binning_memory_resource.
#pragma once

#include <memory>
#include <vector>

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

namespace resources {
class block_records;
}

struct bin {
  std::size_t largest_bytes;
  std::pmr::memory_resource* serves;
  std::size_t largest_alignment = alignof(std::max_align_t);
};

struct binning_options {
  std::string_view name = "binning";
  std::vector<bin> bins = {};  // by ascending size
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // for the rest; null: operator new
};

class TENURE_API binning final : public resource_adaptor {
 public:
  explicit binning(const binning_options& options);
  // With checks on a message says how many blocks were in use.
  ~binning() override;

  // Who serves such a request.
  std::pmr::memory_resource& route(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) const noexcept;

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;

  std::vector<bin> bins_;
  std::vector<memory_resource*> seen_;                 // each resource of Tenure's once, the rest among them
  std::unique_ptr<resources::block_records> records_;  // with checks on
};

}  // namespace tenure
