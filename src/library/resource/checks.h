// What resources with checks on share: whether they are on, and memory that can be sealed.
#pragma once

#include <cstddef>

#include <tenure/memory_resource.hpp>

namespace tenure::resources {

bool wants_checks(resource_checks wish) noexcept;

std::size_t os_page_bytes() noexcept;

// Private memory from the system. Throws std::bad_alloc.
void* map_checked(std::size_t bytes);
void unmap_checked(void* memory, std::size_t bytes) noexcept;
// Its pages go back and every access faults.
void seal_pages(void* memory, std::size_t bytes) noexcept;

}  // namespace tenure::resources
