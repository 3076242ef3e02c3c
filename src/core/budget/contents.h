// Contents: what lies in an account, by type and call site, as its owner has sampled it.
//
// The records stand behind those of the ledger's table (wire/account.h), go where it goes, and are changed under its
// lock; only the figures of one are lowered without. They are as true as they can be at each moment: nothing is left to
// be written when the program ends.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/budget/ledger.h"

namespace tenure::budget {

// Of which objects a sample is one. `type` and `frames` are cut to what a record has room for.
struct content {
  const char* type;
  std::size_t type_bytes;
  const std::uint64_t* frames;
  std::uint32_t frame_count;
};

// What the objects take and how many they are, as a sample says.
struct content_share {
  std::uint64_t bytes;
  std::uint64_t object_thousandths;
};

// The number of the record that has it now, from 1; 0, with the refusal counted, when there is none to be had.
std::uint32_t add_content(const account* of, const content& what, const content_share& share) noexcept;
// The sample is gone. Takes no lock.
void remove_content(std::uint32_t number, const content_share& share) noexcept;

// With the table's lock held.
void forget_contents_of(std::uint32_t account_index) noexcept;
void check_contents() noexcept;

// The frames of each record that is in use: visit(context, frames, count). Takes no lock; may see one that changes.
void visit_content_frames(void (*visit)(void* context, const std::uint64_t* frames, std::uint32_t count) noexcept,
                          void* context) noexcept;

}  // namespace tenure::budget
