// The program's side of its region file: creates it, maps it, fills its header, closes it. wire/region.h has the
// layout.
//
//   <session>/<pid>.<generation>.region   generation counts up where the name is taken: exec keeps the pid
//
// Everything is done by raw system calls into the mapping itself; nothing allocates. A region that cannot be made
// leaves the caller with none, and with the reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/event.h"
#include "wire/region.h"

namespace tenure::telemetry {

// Whose the counters and accounts are: the heap keeps them in the region from the start, or, where somebody attaches to
// a process that runs, they stay where they are and the region gets copies.
enum class region_use { home, copies };

class region {
 public:
  constexpr region() noexcept = default;
  region(const region&) = delete;
  region& operator=(const region&) = delete;

  // Creates and maps <folder>/<pid>.<generation>.region and fills all but the magic, which open_for_readers() stores.
  // False when it could not be had; errno then says why, and nothing stays behind.
  bool create(const char* folder, wire::origin origin, region_use use) noexcept;
  void open_for_readers() noexcept;

  // Takes the mapping away; the file stays.
  void unmap() noexcept;
  // The same while other threads may be about to look at the control page: they find one that wants nothing, and the
  // next region with copies comes to lie at the same place.
  void leave() noexcept;

  // The snapshots at exit and, last, life::exited.
  void write_last_words() noexcept;
  // life::left.
  void write_left() noexcept;

  bool mapped() const noexcept { return __atomic_load_n(&base_, __ATOMIC_RELAXED) != nullptr; }
  wire::region_header& header() const noexcept;
  wire::control_page& control() const noexcept;
  wire::heap_statistics& statistics() const noexcept;
  wire::ring_header& ring() const noexcept;
  std::byte* account_copies() const noexcept { return base_ + wire::accounts_offset_bytes; }
  std::byte* ring_records() const noexcept { return base_ + wire::ring_records_offset_bytes; }

  void check() const noexcept;

 private:
  void fill_header(wire::origin origin) noexcept;

  std::byte* base_ = nullptr;  // atomic
  std::size_t mapped_bytes_ = 0;
  std::byte* left_ = nullptr;  // where the last one with copies was
};

// Asks for the pages of [begin, begin + bytes) by a call that can fail, where a touch would end in SIGBUS.
bool populate_shared(std::byte* begin, std::size_t bytes) noexcept;

inline constexpr std::size_t region_path_capacity_bytes = 4096;

// A fresh file with the region's name and another extension in place of "region"; negative, with errno, when there is
// no region or the file cannot be made. Its name is put together in `path`, which is the caller's alone meanwhile and
// no local: stacks may be small.
int create_beside_region(const char* extension, char (&path)[region_path_capacity_bytes]) noexcept;

// What the session wants of the processes that start in it: false when it says nothing that can be understood.
bool read_wishes(const char* folder, wire::session_wishes* wishes) noexcept;

// The folder that TENURE_SESSION names; null when it names none. Works before the C library knows its environment.
const char* session_folder() noexcept;

}  // namespace tenure::telemetry
