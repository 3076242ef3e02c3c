// The records of spans (span.h).
//
//   chunk    [ record page | record page | ... ]     mapped apart from everything else
//   record page   [ -> its description | record | record | ... ]
//
// A heap that was large once has had a record for each of its many spans. So records are kept page by page, and a page
// in which none is in use goes back to the system when the decay comes by. It reads as zeroes then, which is an unused
// record: whoever still follows an old pointer from the page map finds nothing wrong.
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

// Three steps, so that the kernel works while the lock is free: takes the unused pages out (false: there are none worth
// the call), gives them back, and makes them known again as pages without memory. One thread at a time.
bool collect_unused_record_pages() noexcept;
void release_record_pages() noexcept;
void put_back_record_pages() noexcept;

// Of pages that are not released.
std::uint64_t span_record_bytes() noexcept;

void check_span_records() noexcept;

}  // namespace tenure::core
