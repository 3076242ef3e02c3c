// The file mapped at an address, found without a lock.
//
// glibc keeps its loaded objects in a structure that readers search without waiting (_dl_find_object, 2.35), which is
// safe in signal handlers and while the loader works; dl_iterate_phdr would take the loader's lock and could deadlock
// inside an allocation made by dlopen.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/byte_range.h"

namespace tenure::telemetry {

struct loaded_module {
  std::uint64_t begin = 0;  // mapped range
  std::uint64_t end = 0;
  std::uint64_t bias = 0;              // address - bias is the address in the file's own program headers
  std::uint64_t unwind_header = 0;     // .eh_frame_hdr; 0: none
  const char* name = nullptr;          // as the loader knows it; "" for the program itself
  const void* loader_entry = nullptr;  // identity while it stays loaded
};

// False when no loaded object is mapped at `address`.
bool find_module(std::uint64_t address, loaded_module* found) noexcept;

// The readable segment of the module that holds `address`; empty when there is none.
byte_range segment_of(const loaded_module& module, std::uint64_t address) noexcept;

// Where the module's GNU build id lies in memory; empty when it has none.
byte_range build_id_of(const loaded_module& module) noexcept;

}  // namespace tenure::telemetry
