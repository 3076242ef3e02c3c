// tenure::secure: memory for secrets.
//
//   region   [guard page][secret][secret][free] ... [guard page]     locked, not dumped, wiped in children of fork()
//   secret   [canary, length][user's bytes ........][canary]         wiped when it is given back
//
// A secret does not reach the swap (its pages are locked), a core dump or a child process; it is overwritten when it is
// given back, and so are regions before they go. A child of fork() finds zeros: it must not allocate, what it releases
// or ends is passed over in silence. A read or write that runs off a region faults on its guard pages; a
// write that runs off a secret at either end is found when the secret is given back, and ends in a message. Many
// secrets share a region, so one costs nanoseconds and some dozens of bytes instead of four system calls and four
// pages.
//
//     tenure::secure keys({.name = "session keys"});
//     std::pmr::vector<unsigned char> key(32, &keys);
//
// Where the system's limit for locked memory (RLIMIT_MEMLOCK) is reached a request is refused, unless `must_lock` is
// off: then locked_bytes() says how much of what is held is locked.
//
// When: keys, tokens, passwords. When not: against an attacker who reads this process's memory, from whom nothing is
// hidden.
//
// A release of what is no secret in use, or with another size, ends in a message, always; with checks on with both
// sites. One thread at a time. Errors: std::bad_alloc, for alignments beyond 16 too. Cost: docs/library/secure.md.
// Source: libsodium's sodium_malloc, which has a region for each secret; mlock(2), madvise(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <tenure/memory_resource.hpp>
#include <tenure/slab.hpp>

namespace tenure {

namespace resources {
class block_records;
class locked_regions;
}  // namespace resources

struct secure_options {
  std::string_view name = "secrets";
  std::size_t region_bytes = 64 << 10;  // without its guard pages; a multiple of an OS page
  bool must_lock = true;
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

class TENURE_API secure final : public memory_resource {
 public:
  explicit secure(const secure_options& options = {});
  // Secrets in use are wiped and go with it.
  ~secure() override;

  std::size_t locked_bytes() const noexcept;

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;

  std::uint64_t canary_;
  int process_;  // whose secrets they are: a child's copies are empty
  std::unique_ptr<resources::locked_regions> regions_;
  std::unique_ptr<slab> blocks_;
  std::unique_ptr<resources::block_records> records_;  // with checks on
};

}  // namespace tenure
