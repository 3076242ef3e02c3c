// Call sites for the messages of resources with checks on, and the one message in which misuse ends.
//
//   tenure: double release: block 0x7f.. of 64 bytes, pool "sessions", in process 4711
//     allocated
//       at 0x55.. in /bin/server+0x1234 (name)
//     released first
//       ...
//     released again
//       ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <tenure/call_site.hpp>

namespace tenure::resources {

using tenure::call_site;
using tenure::site_frames;

// Of the caller, without the frames of libtenure that lie between the program and here as far as they are known.
[[gnu::noinline]] call_site capture_site() noexcept;

struct told_site {
  const char* what;       // "allocated"
  const call_site* site;  // null: not known, and not told
};

// Writes the message to standard error and aborts; returns where the option abort_on_misuse is off. `bytes` 0: unknown.
[[gnu::cold, gnu::noinline]] void report_misuse(const char* what, const void* block, std::size_t bytes,
                                                const char* kind, const char* name,
                                                std::initializer_list<told_site> sites) noexcept;

// The same without an end: what the fault handler and the escape report say.
[[gnu::cold, gnu::noinline]] void write_message(const char* what, const void* block, std::size_t bytes,
                                                const char* kind, const char* name,
                                                std::initializer_list<told_site> sites) noexcept;

// The same about no single block.
[[gnu::cold, gnu::noinline]] void write_summary(const char* what, const char* kind, const char* name,
                                                std::initializer_list<told_site> sites) noexcept;

}  // namespace tenure::resources
