// The writer's half of the event ring: many threads, no lock, no waiting. wire/event.h has the rules and the reasons;
// wire/ring_reader.h is the other half.
//
//   reserve   head moves by compare-and-swap; the caller owns the bytes [head, head + bytes)
//   publish   the record's first word is stored last, with release order
//
// The ring's pages belong to a file on a tmpfs that may be full. A first touch would then end the program with SIGBUS,
// so pages are asked for in steps, ahead of the first lap, by a call that can fail (`prepare`); when it does, events
// are dropped and counted as if the ring were full.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/event.h"

namespace tenure::telemetry {

class ring_writer {
 public:
  // Makes [begin, begin + bytes) safe to write; false when there is no memory for it.
  using prepare_function = bool (*)(std::byte* begin, std::size_t bytes) noexcept;

  constexpr ring_writer() noexcept = default;
  ring_writer(const ring_writer&) = delete;
  ring_writer& operator=(const ring_writer&) = delete;

  // `records` is aligned to 8, `capacity_bytes` a multiple of 8. Null `prepare`: the memory is safe as it is. Not
  // while other threads write.
  void attach(wire::ring_header* header, std::byte* records, std::size_t capacity_bytes,
              prepare_function prepare) noexcept;
  void detach() noexcept;
  bool attached() const noexcept { return __atomic_load_n(&header_, __ATOMIC_ACQUIRE) != nullptr; }

  // Room for one record of `bytes` (header included, a multiple of 8); null when there is none or no ring. The caller
  // writes everything behind the first eight bytes and then calls publish().
  std::byte* reserve(std::size_t bytes) noexcept;
  void publish(std::byte* record, wire::event_kind kind, std::size_t bytes) noexcept;

  // An event that could not be written; `weight_bytes` is what it would have stood for.
  void count_dropped(std::uint64_t weight_bytes) noexcept;

  void check() const noexcept;

 private:
  bool prepare_up_to(std::uint64_t end) noexcept;

  wire::ring_header* header_ = nullptr;
  std::byte* records_ = nullptr;
  std::uint64_t capacity_ = 0;
  std::uint64_t prepared_ = 0;  // atomic: places below it are safe to write
  prepare_function prepare_ = nullptr;
};

// The ring of this process's region.
ring_writer& process_ring() noexcept;

}  // namespace tenure::telemetry
