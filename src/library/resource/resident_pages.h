// Which OS pages of private memory are resident. Where the kernel can say so by ranges (PAGEMAP_SCAN, Linux 6.7) holes
// of any size cost nothing, and a page that has only been read, which is the kernel's one page of zeros, is none;
// otherwise by mincore(2), a byte a page, for which such a page is one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::resources {

using range_visitor = void (*)(void* context, std::uintptr_t begin, std::size_t bytes);

// Ranges in order; neighbours may be told as two. Null visitor: only the sum is wanted.
std::size_t visit_resident(std::uintptr_t begin, std::size_t bytes, range_visitor visit, void* context) noexcept;

// The second way alone, for its test.
std::size_t visit_resident_by_mincore(std::uintptr_t begin, std::size_t bytes, range_visitor visit,
                                      void* context) noexcept;

}  // namespace tenure::resources
