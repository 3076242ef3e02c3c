// What huge_page and numa have in common: regions from the system, aligned to 2 MiB, with a buddy in each. Blocks go
// where they break the least: of the regions with room into the one with the least, so that large ranges stay whole
// and regions become empty, which trim() gives back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <tenure/buddy.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure::detail {

struct region_layout {
  std::size_t region_bytes;    // a larger block gets a region of its own
  std::size_t smallest_bytes;  // of a block
  resource_checks checks;
};

class TENURE_API region_resource : public memory_resource {
 public:
  static constexpr std::size_t alignment_bytes = std::size_t{2} << 20;

  bool owns(const void* block) const noexcept final;
  // Gives regions back in which no block is used.
  std::size_t trim() noexcept final;
  void visit_live(live_visitor visit, void* context) const final;
  void check() const;

 protected:
  // Throws std::invalid_argument, which begins with "tenure::" and the kind, where the layout's sizes are no powers of
  // two, a region is below 2 MiB or a smallest block above it.
  region_resource(std::string_view name, const char* kind, const region_layout& layout, const tenure::account* parent);
  // Blocks in use go with it.
  ~region_resource() override;

  // The address of that much memory at a multiple of 2 MiB, which munmap() gives back. Throws std::bad_alloc.
  virtual std::uintptr_t map_region(std::size_t bytes) const = 0;
  // Of the system's, untouched, charged to nobody until it is touched.
  static std::uintptr_t map_aligned(std::size_t bytes);

  struct region {
    std::uintptr_t begin;
    std::size_t bytes;
    std::unique_ptr<buddy> blocks;
  };
  const region* find(const void* block) const noexcept;
  const std::vector<region>& regions() const noexcept { return regions_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) final;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) final;
  region& open_region(std::size_t bytes);

  region_layout layout_;
  std::vector<region> regions_;
};

}  // namespace tenure::detail
