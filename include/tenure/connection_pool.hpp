// tenure::connection_pool<C>: connections to a server, opened once and lent many times.
//
//     tenure::connection_pool<PGconn*> orders(
//         {.connect = [](auto timeout) { return connect_to("orders", timeout); },
//          .validate = [](PGconn*& one, auto timeout) { return answers(one, timeout); },
//          .close = [](PGconn*& one) { PQfinish(one); }},
//         {.name = "orders", .maximum_pool_size = 20, .leak_detection_threshold = std::chrono::seconds(10)});
//     auto one = orders.acquire();                  // waits its turn; throws connection_unavailable
//     if (!query(*one, "SELECT 1")) one.discard();  // broken: it is closed and not lent again
//
//   bounded     at no moment are more than maximum_pool_size connections open, those being opened and closed included
//   fair        who waits longest gets the next connection, and nobody passes those who wait; a pool without threads
//               passes who is opening one for itself meanwhile, and it keeps its place
//   punctual    threads of the pool's own connect, close and keep alive: acquire() returns at its timeout whatever the
//               server does, as long as `validate` keeps to the time that it is given; that is never less than 250 ms,
//               by which a validation may go beyond the timeout
//
// Names, defaults and meanings of the options are HikariCP's. A connection that has reached its lifetime goes when it
// is idle or comes back, each a little earlier than the next; the one that was used last is lent first, so that those
// which nobody needs grow old. What is lent is validated before, unless it was in use or validated within
// `validate_after`. A failed connect is tried again after 100 ms, each time twice as long, up to 5 s.
//
// who() tells every borrower with thread, age and stack, always; a connection that is out for longer than
// leak_detection_threshold is told on standard error with the stack of its borrower, and again when it comes back.
//
// When: connections that are dear to open, or of which the server allows few. When not: one thread with one connection.
//
// Thread-safe, apart from construction and destruction. Hooks run with no lock held, on several threads at once for
// different connections; connect throws what kept it from connecting, the other two throw nothing that counts: validate
// is false then. A pool is of no use in a child of fork(). Handles must be gone before the pool: otherwise a message
// names the pool, the borrower's site and this one, and the process ends (option abort_on_misuse).
// Errors: std::invalid_argument for options that cannot be; connection_unavailable; std::bad_alloc at construction.
// Cost: docs/library/connection_pool.md. Nothing is allocated to lend a connection or to take it back.
// Source: HikariCP.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/call_site.hpp>
#include <tenure/duration_histogram.hpp>

namespace tenure {

// What the pool asks of a connection. The times are what is left to do it in.
template <class C>
struct connection_hooks {
  std::function<C(std::chrono::nanoseconds timeout)> connect{};
  std::function<bool(C&, std::chrono::nanoseconds timeout)> validate{};  // without it every connection is good
  std::function<void(C&)> close{};                                       // before C is destroyed
};

// A time of zero switches off what it is for, apart from validate_after.
struct connection_pool_options {
  using duration = std::chrono::nanoseconds;
  static constexpr std::size_t as_maximum = ~std::size_t{0};

  std::string_view name = "connections";
  std::size_t maximum_pool_size = 10;
  std::size_t minimum_idle = as_maximum;                     // kept open besides those in use
  duration connection_timeout = std::chrono::seconds(30);    // of acquire(), and for connect; from 250 ms
  duration validation_timeout = std::chrono::seconds(5);     // from 250 ms
  duration validate_after = std::chrono::milliseconds(500);  // since it was used or validated; 0: always
  duration idle_timeout = std::chrono::minutes(10);          // beyond minimum_idle; from 10 s
  duration max_lifetime = std::chrono::minutes(30);          // from 30 s
  double lifetime_jitter = 0.025;                            // the part of its life by which one may go earlier
  duration keepalive_time{};                                 // an idle one is validated each time; from 30 s
  duration leak_detection_threshold{};                       // from 2 s
  // Threads that connect, close and keep alive, besides one for the times. 0: none at all, then acquire() connects,
  // whoever gives a connection back closes, and maintain() is to be called for the rest.
  std::size_t threads = 2;
  std::uint64_t connection_bytes = 0;  // of a connection, as it is known; charged to the account while it is open
  const tenure::account* parent = nullptr;
  // For tests; without it, the steady clock. Whoever waits looks at it each millisecond. It throws nothing.
  std::function<duration()> clock{};
};

// No connection within the timeout, or none any more.
class connection_unavailable : public std::runtime_error {
 public:
  connection_unavailable(const std::string& what, bool is_shut_down)
      : std::runtime_error(what), is_shut_down_(is_shut_down) {}
  bool is_shut_down() const noexcept { return is_shut_down_; }

 private:
  bool is_shut_down_;
};

// Of one moment.
struct connection_pool_statistics {
  // Connections: open = borrowed + idle + validating + closing, and those that are being opened count against the
  // maximum.
  std::size_t open = 0;
  std::size_t borrowed = 0;
  std::size_t idle = 0;
  std::size_t validating = 0;
  std::size_t closing = 0;
  std::size_t connecting = 0;
  std::size_t waiting = 0;  // threads
  std::size_t leaked = 0;   // of those borrowed, out for longer than the threshold
  std::size_t peak_open = 0;
  // From the beginning.
  std::uint64_t created = 0;
  std::uint64_t closed = 0;
  std::uint64_t acquisitions = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t validation_failures = 0;  // connections that were closed because of it, as those below
  std::uint64_t discarded = 0;
  std::uint64_t expired = 0;   // by max_lifetime
  std::uint64_t unneeded = 0;  // by idle_timeout
  std::uint64_t evicted = 0;   // by soft_evict()
  std::uint64_t leaks = 0;
  duration_histogram wait;      // from acquire() to the connection
  duration_histogram use;       // from there to its return
  duration_histogram creation;  // of those that were opened
};

struct connection_borrower {
  std::uint64_t connection;  // the how manieth that the pool opened
  std::uint32_t thread;      // its id in the system
  std::string thread_name;   // empty when the thread is gone
  std::chrono::nanoseconds age;
  call_site site;
  bool is_leaked;
};

namespace detail {

class connection_core;
struct connection_slot;

// The hooks without the type of connection.
class connection_actions {
 public:
  virtual ~connection_actions() = default;
  virtual void* connect(std::chrono::nanoseconds timeout) = 0;
  virtual bool can_validate() const noexcept = 0;
  virtual bool validate(void* connection, std::chrono::nanoseconds timeout) = 0;
  virtual void close(void* connection) noexcept = 0;
};

template <class C>
class typed_connection_actions final : public connection_actions {
 public:
  explicit typed_connection_actions(connection_hooks<C> hooks) : hooks_(std::move(hooks)) {
    if (!hooks_.connect) throw std::invalid_argument("tenure::connection_pool: a pool needs a connect hook");
  }
  void* connect(std::chrono::nanoseconds timeout) override {
    // The memory before the connection, which then is made there: nothing can fail once it is open.
    return new C(hooks_.connect(timeout));  // NOLINT(cppcoreguidelines-owning-memory)
  }
  bool can_validate() const noexcept override { return static_cast<bool>(hooks_.validate); }
  bool validate(void* connection, std::chrono::nanoseconds timeout) override {
    return hooks_.validate(*static_cast<C*>(connection), timeout);
  }
  void close(void* connection) noexcept override {
    const std::unique_ptr<C> last(static_cast<C*>(connection));
    if (!hooks_.close) return;
    try {
      hooks_.close(*last);
    } catch (...) {  // NOLINT(bugprone-empty-catch): it goes whatever its last word is
    }
  }

 private:
  connection_hooks<C> hooks_;
};

}  // namespace detail

// What does not depend on the type of connection.
class TENURE_API connection_pool_base {
 public:
  using duration = std::chrono::nanoseconds;

  connection_pool_base(const connection_pool_base&) = delete;
  connection_pool_base& operator=(const connection_pool_base&) = delete;

  const char* name() const noexcept;
  // Held blocks are the open connections, used ones those that are borrowed.
  tenure_account* account() const noexcept;
  connection_pool_statistics statistics() const;

  // The longest first.
  std::vector<connection_borrower> who() const;
  // The same as messages on standard error. The number of borrowers.
  std::size_t report_borrowers() const;

  // From here on acquire() waits, and the time that it waits for this does not count against its timeout. Nothing is
  // opened.
  void suspend();
  void resume();
  // Every connection that is open now goes: idle ones at once, the others when they come back.
  void soft_evict();
  // Ends waits and idle connections, and waits for those that are borrowed. How many have not come back.
  std::size_t shutdown(duration grace = duration::zero());
  // What is due by now: lifetimes, idle times, keep-alives, leaks; without threads also connections that are to be
  // opened or closed.
  void maintain();

  // Aborts when a connection is in two places or in none.
  void check() const;

 protected:
  connection_pool_base(const connection_pool_options& options, std::unique_ptr<detail::connection_actions> actions);
  ~connection_pool_base();

  struct lent {
    detail::connection_slot* slot = nullptr;
    void* connection = nullptr;
  };
  // A timeout below zero: the option's. Null at the timeout where it does not throw.
  lent lend(duration timeout, bool throws);
  static void take_back(detail::connection_core* core, detail::connection_slot* slot, bool is_good) noexcept;

  detail::connection_core* core_;
};

template <class C>
class connection_pool : public connection_pool_base {
 public:
  explicit connection_pool(connection_hooks<C> hooks, const connection_pool_options& options = {})
      : connection_pool_base(options, std::make_unique<detail::typed_connection_actions<C>>(std::move(hooks))) {}

  // A connection, until it goes out of scope.
  class handle {
   public:
    handle() = default;
    handle(handle&& other) noexcept
        : core_(other.core_), slot_(other.slot_), connection_(std::exchange(other.connection_, nullptr)) {}
    handle& operator=(handle&& other) noexcept {
      if (this != &other) {
        reset();
        core_ = other.core_;
        slot_ = other.slot_;
        connection_ = std::exchange(other.connection_, nullptr);
      }
      return *this;
    }
    ~handle() { reset(); }

    C* get() const noexcept { return connection_; }
    C& operator*() const noexcept { return *connection_; }
    C* operator->() const noexcept { return connection_; }
    explicit operator bool() const noexcept { return connection_ != nullptr; }

    void reset() noexcept { give(true); }
    // It is broken, or in a state that nobody else should find.
    void discard() noexcept { give(false); }

   private:
    friend class connection_pool;
    handle(detail::connection_core* core, const lent& of) noexcept
        : core_(core), slot_(of.slot), connection_(static_cast<C*>(of.connection)) {}
    void give(bool is_good) noexcept {
      if (std::exchange(connection_, nullptr) != nullptr) take_back(core_, slot_, is_good);
    }

    detail::connection_core* core_ = nullptr;
    detail::connection_slot* slot_ = nullptr;
    C* connection_ = nullptr;
  };

  [[nodiscard]] handle acquire() { return handle(core_, lend(duration(-1), true)); }
  [[nodiscard]] handle acquire(duration timeout) { return handle(core_, lend(std::max(timeout, duration()), true)); }
  // Empty where acquire() would throw. What it would have waited for is opened all the same, by a thread or maintain().
  [[nodiscard]] handle try_acquire(duration timeout = duration::zero()) {
    return handle(core_, lend(std::max(timeout, duration()), false));
  }
};

}  // namespace tenure
