// What a connection pool is made of, without the type of connection.
//
//            lend ──▶ waiters, oldest first          keeper (a thread): what the clock asks for
//                        ▲                           workers (threads): what needs the server
//   empty ─▶ connecting ─▶ idle ─▶ offered ─▶ borrowed ─▶ closing ─▶ empty
//                          ▲ │ ▲                 │           ▲
//                          │ │ └─────────────────┘           │
//                       validating ──────────────────────────┘
//
// All of it is under one lock, which is held for some dozens of instructions at a time and never while a hook runs. A
// connection that comes back is handed to the oldest waiter under that lock, and a waiter leaves the queue under it:
// what was handed to one whose time is up is its own all the same, so that none is lost on the way. A waiter that
// connects or closes by itself keeps its place, and is handed nothing before it is back.
//
// Times are nanoseconds of the pool's clock, whatever its zero is. The clock throws nothing, and so nothing that is
// linked here, a waiter or a slot that is being opened, is left behind by an exception.
#pragma once

#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <tenure/connection_pool.hpp>

#include "library/resource/call_site.h"

namespace tenure::detail {

using nanoseconds = std::chrono::nanoseconds;
inline constexpr nanoseconds never = nanoseconds::max();
inline constexpr nanoseconds at_once = nanoseconds::min();

// For a time that is not negative, which may be as good as endless.
constexpr nanoseconds after(nanoseconds moment, nanoseconds time) noexcept {
  return moment > nanoseconds() && time >= never - moment ? never : moment + time;
}

// Offered: a waiter has it, and has not yet seen whether it is good.
enum class slot_state : std::uint8_t { empty, connecting, idle, offered, borrowed, validating, closing };

struct connection_slot {
  slot_state state = slot_state::empty;
  bool is_evicted = false;
  bool is_leak_told = false;
  void* connection = nullptr;
  std::uint64_t number = 0;
  nanoseconds expires = never;
  nanoseconds used{};             // when it was last taken back, or opened
  nanoseconds validated{};        // when it was last found good
  nanoseconds keepalive = never;  // after so much rest
  nanoseconds borrowed_at{};
  std::uint32_t thread = 0;
  call_site site;
};

class connection_core {
 public:
  using lock_type = std::unique_lock<std::mutex>;

  connection_core(const connection_pool_options& options, std::unique_ptr<connection_actions> actions);
  // Nothing may be open any more.
  ~connection_core();
  // The threads; they may run hooks before this returns.
  void start(std::size_t workers);
  connection_core(const connection_core&) = delete;
  connection_core& operator=(const connection_core&) = delete;

  connection_slot* lend(nanoseconds timeout, bool throws, const call_site& site);
  void take_back(connection_slot* slot, bool is_good) noexcept;

  void suspend();
  void resume();
  void soft_evict();
  std::size_t shutdown(nanoseconds grace);
  void maintain();
  // Ends the threads; what is to be closed is closed before, by whomever.
  void stop() noexcept;

  const char* name() const noexcept { return name_.c_str(); }
  tenure_account* account() const noexcept { return account_.handle(); }
  connection_pool_statistics statistics() const;
  std::vector<connection_borrower> who() const;
  void tell_borrower(const connection_borrower& of) const;
  // False, and no message, when by now all have come back.
  bool report_abandoned(const call_site& here) const;
  nanoseconds connection_timeout() const noexcept { return connection_timeout_; }
  void check() const;

 private:
  struct waiter {
    waiter* next = nullptr;
    std::uint64_t ticket = 0;  // of its place
    nanoseconds started{};
    nanoseconds seen{};  // when it last looked at the clock
    nanoseconds timeout{};
    nanoseconds suspended_before{};
    connection_slot* given = nullptr;
    bool is_busy = false;  // connects or closes
    std::condition_variable wake;
  };
  struct told_leak {
    std::uint64_t number;
    nanoseconds age;
    call_site site;
  };

  nanoseconds now() const noexcept;
  lock_type take_lock() const;
  void wait(lock_type& lock, std::condition_variable& on, nanoseconds until) const;

  // Waiters.
  connection_slot* find_for(lock_type& lock, waiter& me) noexcept;
  waiter* first_to_serve() const noexcept;
  void enter(waiter& me) noexcept;
  void leave(const waiter& me) noexcept;
  void serve_waiters() noexcept;
  void ask_for_connection() noexcept;
  void wake_waiters() noexcept;
  connection_slot* take_idle(nanoseconds moment) noexcept;
  nanoseconds suspended_until(nanoseconds moment) const noexcept;
  nanoseconds time_left(const waiter& me) const noexcept;
  bool is_good_to_lend(lock_type& lock, connection_slot* slot, waiter& me) noexcept;
  void stamp(connection_slot* slot, const waiter& me, const call_site& site) noexcept;
  std::string refusal(const lock_type& lock, nanoseconds waited) const;

  // Where a connection is. Under the lock.
  void put_idle(connection_slot* slot) noexcept;
  void retire(connection_slot* slot, std::uint64_t& reason) noexcept;
  bool is_over(const connection_slot* slot, nanoseconds moment) const noexcept;
  std::uint64_t& reason_of(const connection_slot* slot) noexcept;
  connection_slot* find_empty() noexcept;
  connection_slot* take_to_keep_alive() noexcept;
  bool is_keepalive_due(const connection_slot* slot, nanoseconds moment) const noexcept;
  nanoseconds next_keepalive(const connection_slot* slot) const noexcept;
  std::size_t count_of(slot_state state) const noexcept;
  bool wants_connection() const noexcept;
  nanoseconds shorten(nanoseconds full, double part) noexcept;

  // What needs the server: the lock is let go meanwhile. False when there was nothing to do. By a waiter or by nobody.
  bool connect_one(lock_type& lock, nanoseconds timeout, waiter* by) noexcept;
  void* try_connect(nanoseconds timeout, std::string& failure) noexcept;
  void note_connected(connection_slot* slot, void* opened, nanoseconds started) noexcept;
  void note_not_connected(connection_slot* slot, std::string why) noexcept;
  bool close_one(lock_type& lock, waiter* by) noexcept;
  void close_without_threads(lock_type& lock) noexcept;
  bool validate_one(lock_type& lock) noexcept;
  bool validate(void* connection, nanoseconds timeout) noexcept;

  // What the clock asks for.
  nanoseconds tend(std::vector<told_leak>& leaks);
  nanoseconds tend_idle(nanoseconds moment);
  nanoseconds tend_borrowed(nanoseconds moment, std::vector<told_leak>& leaks);
  void tell(const std::vector<told_leak>& leaks) const noexcept;
  void tell_returned(const connection_slot& slot, nanoseconds age) const noexcept;
  void note_due(nanoseconds moment) noexcept;
  void keep();
  void work();

  const std::string name_;
  const std::unique_ptr<connection_actions> actions_;
  const std::size_t minimum_idle_;
  const nanoseconds connection_timeout_;
  const nanoseconds validation_timeout_;
  const nanoseconds validate_after_;
  const nanoseconds idle_timeout_;
  const nanoseconds max_lifetime_;
  const double lifetime_jitter_;
  const nanoseconds keepalive_time_;
  const nanoseconds leak_detection_threshold_;
  const std::uint64_t connection_bytes_;
  const std::uint64_t own_bytes_;  // of this and of its slots
  const std::function<nanoseconds()> clock_;
  const bool has_threads_;
  const std::size_t most_validating_;  // at a time, to keep them alive: one thread stays free for those who wait
  mutable tenure::account account_;
  tenure_account_use own_use_{};
  tenure_account_use* use_;

  mutable std::mutex mutex_;
  std::condition_variable keeper_wakes_;
  std::condition_variable workers_wake_;
  std::condition_variable emptied_;
  std::vector<connection_slot> slots_;  // maximum_pool_size of them
  std::vector<connection_slot*> idle_;  // by `used`: the last is lent first
  std::vector<connection_slot*> to_close_;
  waiter* first_waiter_ = nullptr;
  waiter* last_waiter_ = nullptr;
  std::size_t waiters_ = 0;
  std::uint64_t tickets_ = 0;

  // Somebody gave up before anything was opened for it.
  bool is_one_wanted_ = false;
  bool is_suspended_ = false;
  bool is_shut_down_ = false;
  bool is_stopped_ = false;
  nanoseconds suspended_since_{};
  nanoseconds suspended_total_{};
  nanoseconds backoff_{};
  nanoseconds connect_again_ = at_once;
  nanoseconds keeper_until_ = never;
  std::string last_failure_;
  std::size_t open_ = 0;  // slots that are not empty
  std::size_t connecting_ = 0;
  std::size_t validating_ = 0;  // to keep them alive
  std::minstd_rand dice_;
  connection_pool_statistics figures_;  // gauges are counted when asked for
  std::vector<std::thread> threads_;
};

}  // namespace tenure::detail
