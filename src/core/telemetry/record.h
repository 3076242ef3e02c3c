// The records' part in the life of the process.
#pragma once

#include <cstdint>

namespace tenure::telemetry {

// Tells the file that is mapped at `address`, unless its reader knows it. How many modules have been told by then.
std::uint32_t announce_module_of(std::uint64_t address) noexcept;

// Does what was put aside, before the end.
void settle_records() noexcept;

// In the child of fork: what lives is the child's too, and its reader has been told nothing. It is told with the
// child's first sample or at its end, so that a child that only calls exec costs nothing. The thread that forked goes
// on as the child's, with another id: its blocks are that one's from now on.
void inherit_records(std::uint32_t forking_thread) noexcept;

// Somebody comes to read who has been told nothing: what lives is told, once `open` has made the ring. False, and
// nothing is done, in a signal handler that has interrupted this room.
bool begin_telling(void (*open)() noexcept) noexcept;
// Nobody reads any more; `close` takes the ring away while no thread writes to it. False as above.
bool end_telling(void (*close)() noexcept) noexcept;

// Whether tables and lists are whole; ends the program where they are not.
void check_records() noexcept;

}  // namespace tenure::telemetry
