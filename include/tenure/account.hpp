// tenure::account and tenure::shrinker: a name on memory, with limits, and a way to get it back.
//
// An account says who holds memory. What its owner takes it charges, what it gives back it releases; an account may
// stand below another one, which holds the sum. The figures are exact, `tenure run` shows them without any work in the
// program, and a hard limit is a promise: held bytes are never beyond it.
//
//     tenure::account server("server", "application");
//     tenure::account images("decoded images", "cache", &server);
//     images.set_limits({.soft_bytes = 200 << 20, .hard_bytes = 256 << 20});
//     tenure::shrinker evict(images, 0, [&](const tenure_pressure& why) { return cache.evict(why.wanted_bytes); });
//     tenure::charge held(images, bytes);      // throws std::bad_alloc at the limit
//
// At a limit the shrinkers of the account and of those below it are asked, least priority first, on the thread that met
// it, until enough has come back. They must not need a lock that this thread holds.
//
// Thread-safe, apart from construction and destruction. Cost: a compare-and-swap for each account from this one up.
// Source: the hierarchical memory accounts of databases (Velox, ScyllaDB), with the limit checked where memory is taken
// and not by those who volunteer; shrinkers as in the Linux kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include <tenure/tenure.h>

namespace tenure {

struct account_limits {
  std::uint64_t soft_bytes = TENURE_NO_LIMIT;
  std::uint64_t hard_bytes = TENURE_NO_LIMIT;
};

using account_statistics = tenure_account_stats;

class account {
 public:
  // Where the ledger is full (2048 accounts are open) the account works and is in no figure: is_counted() says so.
  explicit account(const char* name, const char* kind = "application", const account* parent = nullptr)
      : handle_(tenure_account_create(name, kind, parent == nullptr ? nullptr : parent->handle_)) {}
  account(const account&) = delete;
  account& operator=(const account&) = delete;
  account(account&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  account& operator=(account&&) = delete;
  // Accounts below it and shrinkers must be gone; otherwise it stays open, as a figure in the report.
  ~account() { tenure_account_destroy(handle_); }

  bool is_counted() const noexcept { return handle_ != nullptr; }
  tenure_account* handle() const noexcept { return handle_; }

  // False at a hard limit, when shrinkers did not give enough; nothing has been charged then.
  [[nodiscard]] bool try_charge(std::uint64_t bytes, std::uint64_t blocks = 1) noexcept {
    return tenure_account_charge(handle_, bytes, blocks) != 0;
  }
  void release(std::uint64_t bytes, std::uint64_t blocks = 1) noexcept {
    tenure_account_release(handle_, bytes, blocks);
  }
  void set_limits(account_limits limits) noexcept {
    tenure_account_set_limits(handle_, limits.soft_bytes, limits.hard_bytes);
  }
  account_statistics statistics() const noexcept {
    account_statistics figures{};
    figures.struct_size = sizeof figures;
    figures.soft_limit_bytes = figures.hard_limit_bytes = TENURE_NO_LIMIT;
    tenure_account_statistics(handle_, &figures);
    return figures;
  }

 private:
  tenure_account* handle_;
};

// Bytes held for as long as this lives.
class charge {
 public:
  charge(account& of, std::uint64_t bytes, std::uint64_t blocks = 1) : of_(&of), bytes_(bytes), blocks_(blocks) {
    if (!of.try_charge(bytes, blocks)) throw std::bad_alloc();
  }
  charge(charge&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), bytes_(other.bytes_), blocks_(other.blocks_) {}
  charge(const charge&) = delete;
  charge& operator=(const charge&) = delete;
  charge& operator=(charge&&) = delete;
  ~charge() {
    if (of_ != nullptr) of_->release(bytes_, blocks_);
  }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  account* of_;
  std::uint64_t bytes_;
  std::uint64_t blocks_;
};

// A function that can give memory back, for as long as this lives. It takes a `const tenure_pressure&` and returns the
// bytes that it released; it must not throw. The destructor waits until it has returned on every thread.
template <class Function>
class shrinker {
  static_assert(std::is_invocable_r_v<std::uint64_t, Function&, const tenure_pressure&>);

 public:
  // Throws std::bad_alloc when 256 are registered.
  shrinker(account& of, std::int32_t priority, Function function) : function_(std::move(function)) {
    handle_ = tenure_shrinker_register(of.handle(), priority, call, this);
    if (handle_ == 0) throw std::bad_alloc();
  }
  shrinker(const shrinker&) = delete;
  shrinker& operator=(const shrinker&) = delete;
  ~shrinker() { tenure_shrinker_unregister(handle_); }

 private:
  static std::uint64_t call(void* context, const tenure_pressure* why) {
    return static_cast<shrinker*>(context)->function_(*why);
  }

  Function function_;
  tenure_shrinker handle_;
};

}  // namespace tenure
