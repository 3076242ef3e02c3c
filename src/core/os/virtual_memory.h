// Virtual memory: the system calls of the page heap, and the place where tests make the n-th of them fail.
//
// Every function leaves errno as it was, returns false or null when the kernel refuses, and is safe in a signal
// handler.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::os {

std::size_t page_bytes() noexcept;  // OS page

// Private anonymous memory, readable and writable, anywhere; Tenure's own (own_memory.h). Null when refused.
void* map_anywhere(std::size_t bytes) noexcept;
// The same at exactly `address`, if nothing is mapped there yet. False when something is, or when refused.
bool map_at(void* address, std::size_t bytes) noexcept;
// Address space that reads as zeroes and is not charged to anyone; make_writable() turns parts of it into memory.
void* map_reserved_zeroes(std::size_t bytes) noexcept;
bool make_writable(void* address, std::size_t bytes) noexcept;
void unmap(void* address, std::size_t bytes) noexcept;
// Whether something is mapped at the OS page of `address`.
bool is_occupied(void* address) noexcept;

// Fresh memory in place of what is mapped there: as release(), and the kernel also forgets where the pages were moved
// from.
bool map_over(void* address, std::size_t bytes) noexcept;
// The pages are given back at once and read as zeroes when touched again.
bool release(void* address, std::size_t bytes) noexcept;
// Faults the pages in with one call instead of one fault each; a hint, failure is harmless.
bool populate(void* address, std::size_t bytes) noexcept;
// Huge pages built now (kernel 6.1) from what is there; a hint.
bool collapse(void* address, std::size_t bytes) noexcept;
// Whether the first touch of 2 MiB of the range may make all of it resident, as one huge page; a hint. Ranges with
// different answers are different mappings to the kernel.
void let_huge_pages_in(void* address, std::size_t bytes, bool may_come) noexcept;
// To whom the kernel gives huge pages at a touch: nobody, those who asked for them, everybody; or it cannot be told.
enum class huge_page_policy : std::uint8_t { unknown, never, on_request, always };
// Opens a file of /sys, without the C library's functions.
huge_page_policy kernel_huge_page_policy() noexcept;
// How much of the range is resident, in percent; 0 when that cannot be told. At most 2 MiB.
std::size_t resident_percent(void* address, std::size_t bytes) noexcept;
// Moves the pages of [from, from + bytes) to `to`; the mapping there becomes `to_bytes` long, in place of what was
// mapped, and reads as zeroes behind what was moved. [from, from + bytes) is mapped afresh.
struct move_outcome {
  bool moved;        // false: the range lies in several mappings, or the kernel refused; its content is where it was
  bool from_mapped;  // false: nothing is mapped at `from` any more
  bool to_mapped;    // false: nothing is mapped at `to` any more
};
move_outcome move_pages(void* from, std::size_t bytes, void* to, std::size_t to_bytes) noexcept;

// Least of RLIMIT_AS and what the architecture gives user space.
std::uint64_t address_space_limit_bytes() noexcept;

// Tests: the call numbered `nth` from now (1 is the next) and each one after it fail as ENOMEM would; 0 switches it
// off.
void fail_from_nth_call(std::uint64_t nth) noexcept;
std::uint64_t refused_calls() noexcept;

}  // namespace tenure::os
