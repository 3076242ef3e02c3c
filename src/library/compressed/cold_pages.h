// The pages of a compressed resource: where each is, who brings it back, who takes it away.
//
//   state      in the file  mapped   a touch                       next turn without a touch
//   empty      no           no       page of zeros, hot
//   hot        yes          yes      nobody notices                idle: its mapping is taken away
//   idle       yes          no       mapped again, hot             stored; empty when it is all zeros; or raw
//   raw        yes          yes      nobody notices                hot again after eight turns, to be tried again
//   stored     no           no       decompressed, hot
//
// The memory is a file without a name, mapped twice: `user`, which the program has and the kernel tells of, and `own`,
// through which an idle page is read. While nothing maps it for the user, nobody can write to it: who tries waits for
// the thread here, and that waits for the mutex. So what is compressed is what was there, without stopping anybody.
//
// Nothing here allocates or calls a shrinker after construction: a thread that waits for a page may hold any lock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <tenure/compressed.hpp>

#include "library/compressed/cold_store.h"
#include "library/compressed/fault_channel.h"

namespace tenure::resources {

class cold_pages {
 public:
  static constexpr std::size_t least_resident_pages = 16;

  explicit cold_pages(const compressed_options& options);
  ~cold_pages();
  cold_pages(const cold_pages&) = delete;
  cold_pages& operator=(const cold_pages&) = delete;

  std::uintptr_t begin() const noexcept { return user_; }
  std::size_t bytes() const noexcept { return states_.size() * page_bytes_; }
  std::size_t page_bytes() const noexcept { return page_bytes_; }
  bool serves_system_calls() const noexcept { return channel_.serves_system_calls(); }

  // The range is empty again; the memory that it took.
  std::size_t drop(std::uintptr_t begin, std::size_t bytes) noexcept;
  // One turn.
  void turn() noexcept;
  std::size_t taken_bytes() const;
  compressed_statistics statistics() const;
  bool is_sound() const;

 private:
  enum class state : std::uint8_t { empty, hot, idle, raw, stored };
  struct page {
    state now = state::empty;
    bool is_queued = false;  // among those that turns look at
    std::uint8_t rest = 0;   // turns for which a raw page is left alone
    cold_store::piece piece{};
  };

  std::size_t own_address(std::size_t number) const noexcept { return own_ + number * page_bytes_; }
  std::uintptr_t user_address(std::size_t number) const noexcept { return user_ + number * page_bytes_; }
  void serve();
  void serve_fault(std::uintptr_t address) noexcept;
  bool bring(std::size_t number) noexcept;
  void become_resident(std::size_t number) noexcept;
  void make_room() noexcept;
  bool look_at_next() noexcept;
  void take_mapping(std::size_t number) noexcept;
  bool compress(std::size_t number) noexcept;
  void punch(std::size_t number, std::size_t count) noexcept;
  void enqueue(std::size_t number) noexcept;
  void turn_part(std::size_t& left) noexcept;
  int wait_ms(std::chrono::steady_clock::time_point next_turn) const noexcept;
  void unmap() noexcept;

  const std::size_t page_bytes_;
  const std::size_t most_resident_pages_;
  const std::chrono::milliseconds cold_after_;
  fault_channel channel_;
  int file_ = -1;
  int stop_ = -1;
  std::uintptr_t user_ = 0;
  std::uintptr_t own_ = 0;

  mutable std::mutex mutex_;  // of all below
  std::vector<page> states_;
  std::vector<std::uint32_t> queue_;  // a ring: hot, idle and raw pages, and some that are no longer
  std::size_t queue_first_ = 0;
  std::size_t queued_ = 0;
  cold_store store_;
  std::size_t resident_pages_ = 0;  // hot and idle
  std::size_t raw_pages_ = 0;
  std::size_t stored_pages_ = 0;
  compressed_statistics figures_;
  std::vector<char> scratch_;
  std::thread thread_;
};

}  // namespace tenure::resources
