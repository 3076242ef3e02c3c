// Event decoder: ring records into a process_record, with everything checked that a hostile or torn record could hold.
//
// One decoder a process image. It keeps the map of modules as it stands, the samples that are live, and the tables that
// intern stacks and locations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "instruments/collect/recording.h"

namespace tenure::collect {

class event_decoder {
 public:
  explicit event_decoder(process_record& into) : record_(into) {}

  // One event as ring_reader::drain() gives it: header included, aligned to 8. What makes no sense is counted in
  // refused_events and otherwise ignored.
  void decode(std::span<const std::byte> bytes);

  std::uint64_t decoded_events() const { return decoded_events_; }

  // For stacks that come another way (tape_stream.h). Where `address` lay when that many modules had been told, as the
  // number of a location; and the stack of these locations, innermost first.
  std::uint32_t locate(std::uint64_t address, std::uint32_t modules_told);
  std::uint32_t stack_index_of(std::span<const std::uint32_t> locations, stack_end end);
  std::uint32_t thread_index(std::uint32_t thread_id);
  // The stack of these addresses, as the modules stand; `end` is the number of a stack_end.
  std::uint32_t stack_index(std::span<const std::uint64_t> frames, std::uint32_t end);

 private:
  struct stack_key {
    std::vector<std::uint64_t> frames;
    std::uint32_t end;
    bool operator==(const stack_key&) const = default;
  };
  struct stack_key_hash {
    std::size_t operator()(const stack_key& key) const noexcept;
  };
  struct location_hash {
    std::size_t operator()(const location& one) const noexcept;
  };

  bool decode_allocation(std::span<const std::byte> bytes);
  bool decode_free(std::span<const std::byte> bytes);
  bool decode_module(std::span<const std::byte> bytes);
  bool decode_thread(std::span<const std::byte> bytes);

  std::uint32_t location_index(std::uint64_t address);
  std::uint32_t intern(const location& one);

  process_record& record_;
  std::uint64_t decoded_events_ = 0;
  std::map<std::uint64_t, std::uint32_t> module_by_begin_;  // what is mapped now
  std::unordered_map<std::uint64_t, std::uint32_t> live_;   // sample id -> index in record_.samples
  std::unordered_map<std::uint32_t, std::uint32_t> thread_by_id_;
  std::unordered_map<stack_key, std::uint32_t, stack_key_hash> raw_stacks_;  // valid for the modules as they stand
  std::unordered_map<stack_key, std::uint32_t, stack_key_hash> stacks_;      // by location indices
  std::unordered_map<location, std::uint32_t, location_hash> location_by_value_;
};

}  // namespace tenure::collect
