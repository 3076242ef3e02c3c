// The heap's account with the process's budget: what its blocks take is charged to it, and its limit is the heap's.
//
// A charge may ask shrinkers, and the heap's own is one: it runs a cycle. So nothing is charged under a lock or in an
// operation. A block is taken from what was charged before; where there is none, the thread comes out of both, charges
// and tries again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include <tenure/account.hpp>

namespace tenure::gc {

class heap_account {
 public:
  heap_account(const std::string& name, const account* parent);
  // What it still holds goes with it.
  ~heap_account();
  heap_account(const heap_account&) = delete;
  heap_account& operator=(const heap_account&) = delete;

  // 0: none.
  void set_limit(std::size_t bytes) noexcept;
  // `shrink` is asked when this account, one above it or the process is short; until stop_shrinking() returns.
  void start_shrinking(tenure_shrink_function shrink, void* context) noexcept;
  void stop_shrinking() noexcept;

  // With no lock held and outside of operations. False: refused.
  bool charge(std::size_t bytes) noexcept;
  // Of what is charged, under whatever lock. False: there is not so much, and nothing was taken.
  bool take(std::size_t bytes) noexcept;
  // For a cycle, which may not ask anybody: there to be taken, and not charged. What is released next pays for it, as a
  // cycle that copies gives back at least as much as it took. False: the heap's own limit, with `in_blocks` held.
  bool borrow(std::size_t bytes, std::size_t in_blocks) noexcept;
  // Taken bytes are nobody's again.
  void release(std::size_t bytes) noexcept;

  void publish(std::size_t used_bytes, std::size_t used_objects, std::uint64_t allocations) noexcept;
  tenure_account* handle() const noexcept { return account_.handle(); }

 private:
  account account_;
  tenure_account_use own_use_{};
  tenure_account_use* use_;
  tenure_shrinker shrinker_ = 0;
  std::atomic<std::size_t> limit_bytes_{0};
  std::atomic<std::size_t> held_bytes_{0};
  std::atomic<std::size_t> untaken_bytes_{0};
  std::atomic<std::size_t> borrowed_bytes_{0};
};

}  // namespace tenure::gc
