// tenure::compressed: blocks whose pages are compressed when nobody has touched them for a while.
//
//   page    touched ------> watched ------> compressed          an interval without a touch for each step
//              ^   a touch: no copy |           |
//              +--------------------+           |
//              +--------------------------------+   a touch: decompressed, some microseconds
//
// The program sees ordinary memory: a touch of a compressed page waits until it is back. Pages that compression makes
// no smaller stay as they are, pages of zeros take nothing. `most_resident_bytes` bounds the pages that could be
// compressed and are not, whatever the load: a new one is let in when an old one has gone.
//
//     tenure::compressed memory({.name = "sessions", .cold_after = std::chrono::seconds(30)});
//     tenure::arena of_session({.name = "session", .upstream = &memory});
//     memory.compression().ratio();
//
// It is a library of its own (tenure::compressed in CMake, liblz4) and needs userfaultfd. Where the process may use it
// for its own accesses alone (no root, vm.unprivileged_userfaultfd is 0, no right to /dev/userfaultfd), a system call
// that is given a compressed page as a buffer fails with EFAULT: serves_system_calls() says so, and touch() brings a
// range back before such a call.
//
// When: much data that is seldom needed and compresses well, without swap or zram. When not: hot data; what is random
// or compressed already; memory that devices write to (direct I/O, registered buffers), whose writes a page that is
// being compressed would lose; small blocks, which take an OS page each (put an arena or a slab on it).
//
// A block is charged whole when it is taken; look(), compress_cold() and trim() make the account what is really taken,
// the store of compressed pages included. A release of what is no block in use, or with another size, ends in a
// message, always; with checks on with both sites. A child of fork() has none of it: it must not touch blocks, and what
// it releases is passed over in silence.
//
// Blocks are touched by any threads at any time; the resource is for one thread at a time. Shrinkers must not be needed
// for a touch: none is called by one. Errors: std::bad_alloc; std::invalid_argument; std::system_error with what to do
// where userfaultfd is refused. Cost: docs/library/compressed.md; 16 bytes for each page of limit_bytes, a thread.
// Source: userfaultfd(2), minor faults on shared memory; second chance (Corbato, 1968).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_set>

#include <tenure/buddy.hpp>
#include <tenure/duration_histogram.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

namespace resources {
class cold_pages;
}

struct compressed_options {
  std::string_view name = "compressed";
  std::size_t limit_bytes = std::size_t{1} << 30;  // address space; a multiple of an OS page
  std::size_t most_resident_bytes = SIZE_MAX;      // at least 16 OS pages
  std::chrono::milliseconds cold_after{10'000};    // 0: only compress_cold() and the bound compress
  bool must_serve_system_calls = false;            // otherwise construction fails
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

struct compressed_statistics {
  std::uint64_t resident_bytes = 0;        // pages that could be compressed and are not
  std::uint64_t incompressible_bytes = 0;  // pages that stay as they are
  std::uint64_t compressed_bytes = 0;      // what compressed pages would take
  std::uint64_t store_bytes = 0;           // what they take
  std::uint64_t new_faults = 0;            // first touches
  std::uint64_t watched_faults = 0;        // touches of pages that were about to be compressed
  std::uint64_t compressed_faults = 0;     // touches that had to decompress
  std::uint64_t compressions = 0;
  std::uint64_t refused_compressions = 0;  // that made a page no smaller
  duration_histogram decompression;        // from the fault's arrival at the thread that serves it to its end

  double ratio() const noexcept {
    return store_bytes == 0 ? 0 : static_cast<double>(compressed_bytes) / static_cast<double>(store_bytes);
  }
};

class TENURE_API compressed final : public memory_resource {
 public:
  explicit compressed(const compressed_options& options = {});
  ~compressed() override;

  // One interval at once: compresses what nobody has touched since the last time, and watches the rest from now on.
  // The bytes that it has made free.
  std::size_t compress_cold();
  // The pages of the range are there when it returns; they may go again when they are cold.
  void touch(const void* begin, std::size_t bytes) const noexcept;
  // The account becomes what is taken now, as far as the limit lets it; that figure.
  std::size_t look();

  compressed_statistics compression() const;
  bool serves_system_calls() const noexcept;
  // Null where it can be used; otherwise why not and what to do.
  static const char* why_not() noexcept;

  bool owns(const void* block) const noexcept override;
  // Looks, and gives pages of the store back in which nothing is left.
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  bool is_in_child() const noexcept;
  void settle(std::uint64_t taken) noexcept;
  std::uint64_t charged_bytes() const noexcept { return seen_bytes_ + unseen_bytes_; }

  int process_;
  std::unique_ptr<resources::cold_pages> pages_;
  std::unique_ptr<buddy> blocks_;
  // What the account has: of blocks that a look has seen, what was taken then; of those that came later, all.
  std::uint64_t seen_bytes_ = 0;
  std::uint64_t unseen_bytes_ = 0;
  std::unordered_set<const void*> unseen_;
};

}  // namespace tenure
