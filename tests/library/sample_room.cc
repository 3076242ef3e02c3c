#include "library/sample_room.h"

#include <tenure/tenure.h>

#include "core/base/bits.h"
#include "core/base/check.h"

namespace tenure::testing {
namespace {

constexpr std::size_t largest_bytes = 1024 * 1024;

tenure_heap* handle(void* heap) { return static_cast<tenure_heap*>(heap); }

}  // namespace

int sample_is_active() { return tenure_is_active(); }

std::uint64_t sample_live_bytes() {
  static tenure_statistics figures;
  figures.struct_size = sizeof figures;
  TENURE_CHECK(tenure_statistics_get(&figures) == 1);
  return figures.live_bytes;
}

const void* sample_address_of_version() { return reinterpret_cast<const void*>(&tenure_version); }

// Not declared in the header: stays within the library.
int sample_hidden() { return 1; }

sample_resource::sample_resource() : heap_(tenure_heap_create("sample")) { TENURE_CHECK(heap_ != nullptr); }
sample_resource::~sample_resource() { tenure_heap_destroy(handle(heap_)); }

std::uint64_t sample_resource::live_bytes() const {
  tenure_heap_stats figures{};
  figures.struct_size = sizeof figures;
  TENURE_CHECK(tenure_heap_statistics(handle(heap_), &figures) == 1);
  return figures.live_bytes;
}

void* sample_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > largest_bytes) throw sample_error("larger than 1 MiB");
  void* block = tenure_heap_allocate(handle(heap_), bytes, alignment);
  TENURE_CHECK(core::is_aligned(reinterpret_cast<std::uintptr_t>(block), alignment));
  return block;
}

void sample_resource::do_deallocate(void* block, std::size_t, std::size_t) { tenure_heap_free(handle(heap_), block); }

bool sample_resource::do_is_equal(const std::pmr::memory_resource& other) const noexcept { return this == &other; }

}  // namespace tenure::testing
