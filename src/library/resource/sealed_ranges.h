// Sealed ranges: memory of arenas that were reset with checks on. Every access faults, and the fault ends in a message.
//
//   arena ──seal()──▶ [range | range | range ...]  oldest first, at most so many bytes of address space
//                        │ name of the arena, where it was reset, the objects that lay there with their call sites
//   SIGSEGV ──▶ find the address ──▶ message with both sites and this one ──▶ the handler that was there before
//
// One table for the process, because a range outlives its arena: it is the pointer that outlived both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "library/resource/call_site.h"

namespace tenure::resources {

struct sited_object {
  std::uintptr_t address;
  std::size_t bytes;
  call_site site;
};

// Seals [begin, begin + bytes), whole OS pages of map_checked(), and unmaps the oldest ranges beyond `limit_bytes`.
// `kind`, a literal, and `owner` name whose they were; `objects` are those that lie in it. Without memory for the
// record the range is unmapped.
void seal_range(std::uintptr_t begin, std::size_t bytes, const char* kind, const char* owner, const call_site& reset_at,
                std::vector<sited_object> objects, std::size_t limit_bytes) noexcept;

// The handler for SIGSEGV that explains faults in sealed ranges; the one before it is called for all others. Once.
void explain_faults() noexcept;

}  // namespace tenure::resources
