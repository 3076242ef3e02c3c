#include <tenure/adaptor/aligned_resource_adaptor.hpp>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "core/base/bits.h"

namespace tenure {

using core::align_up;
using core::is_power_of_two;

aligned_resource_adaptor::aligned_resource_adaptor(const aligned_options& options)
    : resource_adaptor(options.name, "aligned adaptor", options.parent, options.upstream),
      alignment_(options.alignment),
      from_bytes_(options.from_bytes),
      upstream_alignment_(options.upstream_alignment) {
  if (!is_power_of_two(alignment_) || !is_power_of_two(upstream_alignment_)) {
    throw std::invalid_argument("tenure::aligned_resource_adaptor: an alignment is a power of two");
  }
}

// What is taken from the upstream follows from the request alone, so that a release finds the same.
aligned_resource_adaptor::shape aligned_resource_adaptor::shape_of(std::size_t bytes, std::size_t alignment) const {
  if (bytes > PTRDIFF_MAX / 2 || alignment > PTRDIFF_MAX / 4 || !is_power_of_two(alignment)) throw std::bad_alloc();
  if (bytes >= from_bytes_) {
    alignment = std::max(alignment, alignment_);
    bytes = align_up(bytes, alignment_);
  }
  if (alignment <= upstream_alignment_) return {bytes, alignment, bytes};
  return {bytes, alignment, bytes + (alignment - upstream_alignment_) + sizeof(void*)};
}

void* aligned_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  const shape of = shape_of(bytes, alignment);
  if (of.upstream_bytes == of.bytes) return take_from_upstream(of.bytes, of.alignment);
  auto* begin = static_cast<std::byte*>(take_from_upstream(of.upstream_bytes, upstream_alignment_));
  auto* block = reinterpret_cast<std::byte*>(align_up(reinterpret_cast<std::uintptr_t>(begin), of.alignment));
  std::memcpy(block + of.bytes, &begin, sizeof begin);
  return block;
}

void aligned_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const shape of = shape_of(bytes, alignment);
  if (of.upstream_bytes == of.bytes) return give_to_upstream(block, of.bytes, of.alignment);
  void* begin;
  std::memcpy(&begin, static_cast<std::byte*>(block) + of.bytes, sizeof begin);
  give_to_upstream(begin, of.upstream_bytes, upstream_alignment_);
}

}  // namespace tenure
