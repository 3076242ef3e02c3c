// Who in this process has handed a block out: for messages about a block that came to the wrong one.
//
// Whatever keeps records of its blocks with checks on is in one list: resources, pools, arenas. So the message about a
// release to the wrong one names the right one, whatever kinds the two are of, and where the block was allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "library/resource/call_site.h"

namespace tenure::resources {

struct owned_block {
  std::uintptr_t begin;
  std::size_t bytes;
  const char* kind;
  const char* name;
  call_site allocated;
};

// In the list from its construction to its end; the last member of its keeper, so that the records are whole meanwhile.
class block_owner {
 public:
  // The block in use of `keeper` that covers the address. Another thread may be changing what it looks at; for a
  // message on the way to the end that is good enough.
  using find_function = std::optional<owned_block> (*)(const void* keeper, const void* block) noexcept;

  block_owner(const void* keeper, find_function look);
  ~block_owner();
  block_owner(const block_owner&) = delete;
  block_owner& operator=(const block_owner&) = delete;

  // Of all but those of `besides`; one that begins at the address before one that covers it.
  static std::optional<owned_block> find(const void* block, const void* besides) noexcept;

 private:
  const void* keeper_;
  find_function find_;
};

// The message about a block that is none of `keeper`'s: with its owner and both sites where somebody has handed it out,
// with `unknown` otherwise. `act` is what was done with it: "release".
[[gnu::cold]] void report_stranger(const char* act, const void* block, const void* keeper, const char* unknown,
                                   const char* kind, const char* name, const call_site& here) noexcept;

}  // namespace tenure::resources
