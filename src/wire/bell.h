// Bells: how a process that nobody watches gets to know that somebody wants to.
//
// A program on Tenure that was started without a session maps one file of its user's when it starts, and from then on
// its slow paths read one word of it where they would read their own switch. It costs no thread, no descriptor and no
// file of the process's own; a fork inherits it.
//
//   /dev/shm/tenure-<uid>.bells.<region_version>
//   bell_count words of 8 bytes; the process's is the one at its pid % bell_count
//     63..32  pid that the command was told to attach to: the name of the folder
//     31..4   pid of the process that is rung
//      3..0   0
//
//   /dev/shm/tenure-<uid>.<attached pid>.attached
//   the session's folder (region.h), made and locked (flock) by the command that attaches. A lock that can be had means
//   that the command is gone.
//
// A process that finds its number on its bell opens a region in that folder and listens to the region's control page
// instead. One whose parent's bell rings when it starts rings its own, so that what an attached process starts is
// followed. Processes with the same place in the file see each other's bells, and go on.
//
// The file stays: it is empty but for the pages that were touched.
#pragma once

#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint32_t bell_count = 4096;
inline constexpr std::uint64_t bells_bytes = bell_count * sizeof(std::uint64_t);
inline constexpr unsigned bell_process_shift = 4;
inline constexpr unsigned bell_attached_shift = 32;

inline constexpr char bells_folder[] = "/dev/shm";
inline constexpr char bells_prefix[] = "tenure-";
inline constexpr char bells_infix[] = ".bells.";
inline constexpr char attached_suffix[] = ".attached";

constexpr std::uint32_t bell_place(std::uint32_t pid) noexcept { return pid % bell_count; }
constexpr std::uint64_t make_bell(std::uint32_t pid, std::uint32_t attached_pid) noexcept {
  return std::uint64_t{attached_pid} << bell_attached_shift | std::uint64_t{pid} << bell_process_shift;
}
constexpr std::uint32_t bell_process(std::uint64_t bell) noexcept {
  return static_cast<std::uint32_t>(bell) >> bell_process_shift;
}
constexpr std::uint32_t bell_attached(std::uint64_t bell) noexcept {
  return static_cast<std::uint32_t>(bell >> bell_attached_shift);
}

}  // namespace tenure::wire
