// Which modules the reader has been told of.
//
// A stack is only worth what the reader can make of its addresses, so the file behind each address is told before the
// stack is. Each module that a sample's stack touches is also looked up afresh, once a sample, because dlclose and
// dlopen may have put another file in the same place: then the rules of the unwinder are stale too, and the caller is
// told to walk again. What the loader says of it is compared each time; its build id, which takes reading the file's
// headers, only when something was unloaded since (forget_rules).
//
// Used under the lock of the samples (record.cc).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/module.h"

namespace tenure::telemetry {

class module_list {
 public:
  // Tells the modules of `frames` that the reader does not know. True when a module known before was found replaced.
  bool announce(const std::uint64_t* frames, std::size_t frame_count, std::uint64_t time_ns) noexcept;

  // In the child of fork, whose reader has been told nothing.
  void forget_told() noexcept;

  void check() const noexcept;

 private:
  // The first eight bytes of a build id tell two files apart that were mapped at one place.
  struct entry {
    std::uint64_t begin, end;
    std::uint64_t unwind_header;
    const void* loader_entry;
    std::uint64_t identity;
    std::uint32_t generation;  // of the rules, when the build id was read
    std::uint64_t verified;    // number of the announce() that last looked it up
    bool told;
  };
  static constexpr std::size_t capacity = 1024;

  std::size_t position_of(std::uint64_t address) const noexcept;  // first entry that ends behind it
  bool verify(std::uint64_t address, std::uint64_t time_ns) noexcept;
  bool replace(const loaded_module& module, std::uint64_t identity) noexcept;

  entry entries_[capacity] = {};  // by address, disjoint
  std::size_t count_ = 0;
  std::uint64_t round_ = 0;
};

}  // namespace tenure::telemetry
