// The sampled blocks that are alive, by address.
//
// An open-addressing table in memory of its own; a block that goes leaves a mark, and when marks and samples fill half
// of the table it is rebuilt. Used under the lock of the samples (record.cc). Every change takes effect by one store
// (an entry's address last, a new table's pointer last), so that the child of a fork that happened in the middle of one
// finds a whole table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/stack_store.h"
#include "core/telemetry/telemetry.h"

namespace tenure::telemetry {

struct live_entry {
  std::uint64_t address;
  std::uint64_t sample_id;
  std::uint64_t time_ns;
  std::uint64_t requested_bytes;
  std::uint64_t usable_bytes;
  std::uint64_t interval_bytes;
  const stored_stack* stack;  // null when the store was full
  std::uint32_t thread_id;
  std::uint16_t truncated;
  std::uint8_t entry;  // wire::allocation_entry
  std::uint8_t told;   // whether the reader has been told of it
};
static_assert(sizeof(live_entry) == 64);

live_sample view_of(const live_entry& entry) noexcept;

class live_samples {
 public:
  static constexpr std::size_t most_entries = std::size_t{1} << 22;

  // False when there is no memory for it. The address is not in the table.
  bool insert(const live_entry& entry) noexcept;
  // Null when there is none; valid until the next change.
  live_entry* find(std::uint64_t address) noexcept;
  void remove(live_entry* entry) noexcept;
  // After some were removed: the samples of what a burst left should not lie in a table for all of it.
  void shrink() noexcept;

  // Counts the table afresh, in the child of fork.
  void recount() noexcept;

  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::size_t i = 0; i < capacity(); ++i) {
      if (table_->entries()[i].address > removed) visit(table_->entries()[i]);
    }
  }

  std::size_t count() const noexcept { return count_; }
  std::size_t mapped_bytes() const noexcept;
  void check() const noexcept;

 private:
  static constexpr std::uint64_t removed = 1;  // an address that no block has

  struct table {
    std::size_t capacity;  // a power of two
    std::uint64_t reserved[7];
    live_entry* entries() noexcept { return reinterpret_cast<live_entry*>(this + 1); }
  };

  std::size_t capacity() const noexcept { return table_ == nullptr ? 0 : table_->capacity; }
  static std::size_t bytes_for(std::size_t capacity) noexcept { return sizeof(table) + capacity * sizeof(live_entry); }
  static live_entry* vacancy(table* in, std::uint64_t address) noexcept;
  bool rebuild() noexcept;

  table* table_ = nullptr;
  std::size_t count_ = 0;
  std::size_t used_ = 0;  // with the marks of removed ones
};

}  // namespace tenure::telemetry
