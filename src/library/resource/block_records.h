// Records of blocks in use and of those released last, for whoever looks for misuse of his blocks.
//
//   used      address ──▶ bytes, alignment, where it was allocated
//   released  oldest first, at most so many: where it was allocated, where it was released, and how much of it is
//             watched: filled with one byte, which must be there still when the memory is handed out again
//
// All records of the process are known to one another (block_owner.h), so that a message about a block that came to the
// wrong resource names the right one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>

#include "library/resource/block_owner.h"
#include "library/resource/call_site.h"

namespace tenure::resources {

class block_records {
 public:
  // `kind` and `name` outlive the records.
  block_records(const char* kind, const char* name) : kind_(kind), name_(name) {}
  block_records(const block_records&) = delete;
  block_records& operator=(const block_records&) = delete;

  struct used_block {
    std::size_t bytes;
    std::size_t alignment;
    call_site allocated;
  };

  // The bytes of the record that was at this address, 0 for none: such a block was given up with others at once, as by
  // an arena's reset. Throws std::bad_alloc without memory for the record.
  std::size_t add(const void* block, std::size_t bytes, std::size_t alignment);
  // False, after a message, for what cannot be released like this.
  [[nodiscard]] bool remove(const void* block, std::size_t bytes, std::size_t alignment) noexcept;
  // Of the block that was released last: as much of its beginning as is watched is filled with `pattern` (or is
  // already, where the caller has wiped it), and a write into it is told by the next add() there, or by
  // find_late_writes(). The memory stays there for as long, or forget_watched() is called. No more than
  // `most_watched_bytes` of a block.
  void watch(void* block, std::size_t bytes, unsigned char pattern) noexcept;
  void forget_watched(std::uintptr_t begin, std::size_t bytes) noexcept;
  void find_late_writes() noexcept;
  static constexpr std::size_t most_watched_bytes = 4096;
  static constexpr unsigned char usual_pattern = 0xdf;

  // The block in use that covers the address, or null.
  const used_block* find(const void* address) const noexcept;

  std::size_t size() const noexcept { return used_.size(); }
  template <class Function>
  void for_each(Function function) const {
    for (const auto& [address, of] : used_) function(reinterpret_cast<const void*>(address), of);
  }
  // In a child of fork(): the parent's blocks are the parent's. Nothing is looked at, since another thread may have
  // been changing it at that moment, so its memory is lost to the child.
  void forget_after_fork() noexcept;
  // What is left, as a message that names the first. Says nothing when nothing is.
  void report_left() const noexcept;

 private:
  struct released_block {
    std::uintptr_t address;
    std::size_t bytes;
    call_site allocated;
    call_site released;
    std::size_t watched_bytes = 0;
    unsigned char pattern = 0;
  };
  static constexpr std::size_t remembered = 1024;

  void look_at(released_block& one) const noexcept;
  void report_unknown(const void* block, const call_site& here) const noexcept;
  std::map<std::uintptr_t, used_block>::const_iterator covering(std::uintptr_t address) const noexcept;
  static std::optional<owned_block> find_owned(const void* records, const void* block) noexcept;

  const char* kind_;
  const char* name_;
  std::map<std::uintptr_t, used_block> used_;
  std::list<released_block> released_;
  std::size_t watched_ = 0;  // of them
  block_owner known_{this, find_owned};
};

}  // namespace tenure::resources
