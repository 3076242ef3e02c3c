// The records of spans (span.h), and the bits that say which of a span's blocks are free where they do not fit into it.
//
// A record that went back to the system reads as zeroes, which is an unused one: whoever still follows an old pointer
// from the page map finds nothing wrong.
//
// Everything here is used under the page heap's lock, but for release().
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/span.h"

namespace tenure::core {

// As a new span; null when the system refuses.
span* allocate_span_record() noexcept;
void free_span_record(span* released) noexcept;

// Room for a bit for each of so many blocks, most_span_blocks at the most; not zeroed. Null when the system refuses.
std::uint64_t* allocate_block_bits(std::uint32_t blocks) noexcept;
void free_block_bits(std::uint64_t* bits, std::uint32_t blocks) noexcept;
// The records of bits that the span has.
void free_span_bits(span* of) noexcept;

// Three steps, so that the kernel works while the lock is free: takes the unused pages out (false: there are none worth
// the call), gives them back, and makes them known again as pages without memory. One thread at a time.
bool collect_unused_record_pages() noexcept;
void release_record_pages() noexcept;
void put_back_record_pages() noexcept;
bool record_pages_are_leaving() noexcept;  // between the first step and the third

// Of pages that are not released.
std::uint64_t span_record_bytes() noexcept;

void check_span_records() noexcept;

}  // namespace tenure::core
