// tenure::lazy: blocks that cost memory only where they have been touched.
//
//   reserved   [ no access ][ block, 1 TiB ................................. ][ no access ]
//   resident                    [4K]      [4K][4K]              [4K]
//
// A block is address space. A page of it comes, as zeros, when something is written to it first, and goes with
// discard() or with the block. So an array may be as large as its indices can be, and takes what of it is used; what is
// resident can be asked for page by page.
//
//     tenure::lazy memory({.name = "by id", .limit_bytes = std::size_t{1} << 42});
//     auto* of_id = static_cast<record*>(memory.allocate(sizeof(record) << 32));   // indices of 32 bits
//     of_id[4'000'000'000] = ...;                                                  // one page
//     memory.discard(&of_id[0], sizeof(record) * 1'000'000);                       // zeros again
//
// A block of at most `whole_bytes` is charged as a whole when it is taken, so the limit holds for it whatever is
// touched. A larger one is charged with what of it is resident, as it was found at the last look: look(), commit(),
// discard() and the release look. No limit stops a program from touching: where that matters it commits first.
// commit() charges a range, makes it resident, and throws at the limit.
//
// When: sparse tables, arrays that may grow far in place, large buffers that are seldom filled. When not: small blocks,
// which take an OS page each; memory that is used densely, for which huge pages are quicker; dense random writes, since
// each first touch is a fault.
//
// A release of what is no block in use, or with another size, ends in a message, always; with checks on with both
// sites. An access after the release, or beside a block in what is not used, faults. A child of fork() has a copy.
//
// One thread at a time, apart from the blocks' content; discard() of what another thread writes loses what it writes.
// Errors: std::bad_alloc; std::invalid_argument for options that cannot be, std::system_error where address space is
// refused. Cost: docs/library/lazy.md. Source: mmap(2), madvise(2); ioctl PAGEMAP_SCAN where the kernel has it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include <tenure/memory_resource.hpp>

namespace tenure {

namespace resources {
class block_records;
}

struct lazy_options {
  std::string_view name = "lazy";
  std::size_t limit_bytes = std::size_t{1} << 36;  // address space of all blocks together
  std::size_t whole_bytes = 64 << 10;              // up to here a block is charged as a whole
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

class TENURE_API lazy final : public memory_resource {
 public:
  explicit lazy(const lazy_options& options = {});
  ~lazy() override;

  // What of all blocks, or of one, is resident now; the account follows. Where the hard limit refuses what is found,
  // the account stays at the limit. Asks the kernel for each resident page.
  std::size_t look();
  std::size_t resident_bytes() const;
  std::size_t resident_bytes(const void* block) const;
  // The resident ranges of a block, in order.
  void visit_resident(const void* block, live_visitor visit, void* context) const;
  template <std::invocable<const live_block&> Function>
  void for_each_resident(const void* block, Function function) const {
    visit_resident(
        block, [](void* with, const live_block& one) { (*static_cast<Function*>(with))(one); }, &function);
  }

  // Of a block's range: charged and resident when it returns. Throws std::bad_alloc, and nothing has changed then.
  void commit(void* begin, std::size_t bytes);
  // The OS pages that lie in the range as a whole are zeros from here on and cost nothing; the bytes that went.
  // None where the program has locked them and the kernel is older than 5.18.
  std::size_t discard(void* begin, std::size_t bytes);

  std::uint64_t reserved_bytes() const noexcept { return reserved_bytes_; }  // address space of the blocks

  bool owns(const void* block) const noexcept override;
  // Nothing is kept that nobody uses. Looks, as far as the limit lets it, and gives back 0.
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  struct taken {
    std::size_t bytes;
    std::size_t charged_bytes;
  };
  using blocks = std::map<std::uintptr_t, taken>;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  std::size_t rounded(std::size_t bytes) const noexcept;
  std::uintptr_t take_range(std::size_t bytes, std::size_t alignment);
  void give_range(std::uintptr_t begin, std::size_t bytes) noexcept;
  void add_free(std::uintptr_t begin, std::size_t bytes);
  void erase_free(std::uintptr_t begin, std::size_t bytes) noexcept;
  blocks::iterator block_around(const void* begin, std::size_t bytes, const char* what);
  bool is_whole(std::size_t bytes) const noexcept { return bytes <= whole_bytes_; }
  bool charge_as_found(taken& block, std::size_t resident) noexcept;

  std::size_t page_bytes_;
  std::size_t limit_bytes_;
  std::size_t whole_bytes_;
  std::uintptr_t begin_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  blocks used_;
  std::map<std::uintptr_t, std::size_t> free_;                      // by address
  std::set<std::pair<std::size_t, std::uintptr_t>> free_by_bytes_;  // the same
  std::unique_ptr<resources::block_records> records_;               // with checks on
};

}  // namespace tenure
