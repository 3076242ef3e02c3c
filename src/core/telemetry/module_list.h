// Which modules the reader has been told of.
//
// A stack is only worth what the reader can make of its addresses, so the file behind each address is told before the
// stack is. Each module that a sample's stack touches is also looked up afresh, once a sample, because dlclose and
// dlopen may have put another file in the same place: then the rules of the unwinder are stale too, and the caller is
// told to walk again. Nobody has to say so: what the loader knows of the module and the build id where it lies in
// memory are compared each time, which takes no system call.
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

  // How many were told so far; the next one told has this number. Read without the lock it may be a little old.
  std::uint32_t told_count() const noexcept { return __atomic_load_n(&told_count_, __ATOMIC_RELAXED); }

  // In the child of fork, whose reader has been told nothing.
  void forget_told() noexcept;

  void check() const noexcept;

 private:
  struct entry {
    std::uint64_t begin, end;
    std::uint64_t unwind_header;
    const void* loader_entry;
    std::uint64_t build_id;  // where its first sixteen bytes lie; 0: none in the image's first page
    std::uint64_t identity;  // of the file's content, by what is quick to read (identity_of)
    std::uint64_t verified;  // number of the announce() that last looked it up
    bool told;
  };
  static constexpr std::size_t capacity = 1024;

  std::size_t position_of(std::uint64_t address) const noexcept;  // first entry that ends behind it
  bool verify(std::uint64_t address, std::uint64_t time_ns) noexcept;
  static std::uint64_t identity_of(const loaded_module& module, std::uint64_t build_id) noexcept;
  bool replace(const loaded_module& module) noexcept;

  entry entries_[capacity] = {};  // by address, disjoint
  std::size_t count_ = 0;
  std::uint64_t round_ = 0;
  std::uint32_t told_count_ = 0;  // atomic
};

}  // namespace tenure::telemetry
