// What an option `upstream` means.
#pragma once

#include <memory_resource>

namespace tenure::resources {

inline std::pmr::memory_resource* or_operator_new(std::pmr::memory_resource* upstream) noexcept {
  return upstream == nullptr ? std::pmr::new_delete_resource() : upstream;
}

}  // namespace tenure::resources
