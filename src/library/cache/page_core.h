// What a page pool is made of, without the policy's type.
//
//   pin ──▶ table ──▶ slot: a pin more          no lock; the hit goes to the log, and from there to the policy
//            │ missing
//            ▼
//           lock ──▶ load ──▶ reclaim: a frame that is free ─ not made yet ─ ready ─ the policy's next ─ prefetched
//
//   known to the policy ──given up──▶ aside ──no pins──▶ ready ──clean──▶ gone
//            ▲                          │          ▲        │ dirty
//            └──────asked for again─────┘          └─written┘
//
// A slot comes first and the frame after it, so that the policy chooses as it does in the simulation: it is told of the
// newcomer and gives up another. There are more slots than frames, for those on their way. What it gives up may be
// pinned or dirty and stays for the while, aside; so frames never depend on what the policy counts, but on what has
// been made.
//
// The lock is held for no read, no write and no call of a hook. What somebody waits for is told to all by one
// condition: such waits are rare and as long as a read.
#pragma once

#include <sys/types.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <tenure/cache/lock.hpp>
#include <tenure/cache/read_log.hpp>

#include "library/cache/page_slot.h"
#include "library/cache/page_table.h"
#include "library/resource/call_site.h"

namespace tenure::detail {

using nanoseconds = std::chrono::nanoseconds;

struct page_request {
  std::uint64_t key;
  page_access how;
  bool is_new;  // zeros, and no read
  nanoseconds wait;
  std::uint64_t caller;
};

class page_core {
 public:
  page_core(const page_pool_options& options, page_order_maker make_order);
  ~page_core();
  page_core(const page_core&) = delete;
  page_core& operator=(const page_core&) = delete;

  std::uint32_t add(std::shared_ptr<page_file> file);
  void remove(std::uint32_t file);
  std::uint64_t key_of(page_id page) const {
    if (page.number > last_page_ || page.file >= most_files) [[unlikely]]
      refuse_page(page);
    return (std::uint64_t{page.file} + 1) << page_slot::number_bits | page.number;
  }

  page_slot* pin(const page_request& want);
  // Null where it is not here, or in other hands.
  page_slot* try_pin(const page_request& want);
  void unpin(page_slot& slot) noexcept;

  std::size_t prefetch(std::uint64_t key, std::size_t count);
  page_flush flush(nanoseconds wait);
  void sync();
  void set_limit(std::size_t pages);
  std::uint64_t trim(std::uint64_t bytes);
  // Ends the thread.
  void stop() noexcept;

  // Holders, with checks on.
  bool has_checks() const noexcept { return has_checks_; }
  std::uint64_t note_pinned(const page_slot& slot, page_access how);
  void note_unpinned(std::uint64_t ticket) noexcept;
  call_site site_of(const page_slot& slot, std::uint64_t ticket) const;

  const char* name() const noexcept { return name_.c_str(); }
  tenure_account* account() const noexcept { return account_.handle(); }
  std::size_t page_bytes() const noexcept { return page_bytes_; }
  nanoseconds wait() const noexcept { return wait_; }
  std::string_view policy_name() const noexcept { return order_->name(); }
  page_pool_statistics statistics() const;
  std::vector<page_holder> holders() const;
  void tell_holder(const page_holder& of) const;
  void visit_resident(void (*visit)(void* context, page_id page), void* context) const;
  bool report_left(const call_site& here) const;
  void report_unwritten(const std::string& why) const;
  std::string text_of(page_id page) const;
  void check() const;

 private:
  using lock_type = std::unique_lock<cache_lock>;

  // The time that one pin may take, counted from its first wait.
  struct patience {
    nanoseconds wait;
    nanoseconds until = nanoseconds::min();
  };
  // One search for a frame, and what could not go during it: that comes back to the policy at its end.
  struct attempt {
    explicit attempt(page_core& of) noexcept : core(of) {}
    ~attempt() { core.end_attempt(*this); }
    attempt(const attempt&) = delete;
    attempt& operator=(const attempt&) = delete;

    page_core& core;
    slot_ring refused;
    unsigned failures = 0;
    bool may_write = true;
    page_slot* newcomer = nullptr;
    bool is_newcomer_out = false;  // of the policy
    std::exception_ptr error;
  };
  enum class outcome { written, vetoed, failed, skipped };
  struct write_result {
    outcome what;
    std::exception_ptr error;
  };
  struct planned_write {
    std::uint64_t key = 0;
    std::uint64_t order = 0;
    page_slot* slot = nullptr;  // where it has begun
    bool is_planned = false;
  };
  struct file_entry {
    std::shared_ptr<page_file> file;
    std::uint64_t gone_unsynced = 0;  // pages that were written and have left since the last sync
    std::uint64_t failed_syncs = 0;
  };
  struct noted_holder {
    std::uint64_t key;
    page_access how;
    std::uint32_t thread;
    call_site site;
  };
  struct worker {
    const pid_t process;
    std::condition_variable_any wakes;
    std::thread thread;
    worker* left_before = nullptr;
  };
  static constexpr std::uint32_t most_files = 0xfffe;
  static constexpr unsigned most_failures = 8;  // writes in one search
  static constexpr std::uint64_t quiet_hits_each = 8, quiet_hits_least = 4096;

  [[noreturn]] void refuse_page(page_id page) const;
  lock_type take_lock() const;
  nanoseconds now() const noexcept;
  // False when the time is over.
  bool wait_for_change(lock_type& lock, patience& of);
  void tell_waiters() noexcept {
    ++changes_;
    if (waiting_count_ != 0) changed_.notify_all();
  }
  page_slot* find(std::uint64_t identity) const noexcept { return table_.find(identity, slots_.get()); }
  std::uint32_t number_of(const page_slot& slot) const noexcept {
    return static_cast<std::uint32_t>(&slot - slots_.get());
  }
  static bool try_take(page_slot& slot, page_access how) noexcept;
  static bool try_close(page_slot& slot) noexcept;

  page_slot* pin_here(const page_request& want);
  // Pins of what is not here, or not free. Under the lock, which they may let go.
  page_slot* pin_slow(const page_request& want);
  page_slot* load(lock_type& lock, const page_request& want, patience& of);
  void join(lock_type& lock, page_slot& slot, const page_request& want, patience& until);
  void read(const page_slot& slot);
  void unpin_slow(page_slot& slot, std::uint64_t minus) noexcept;
  void settle(page_slot& slot, bool is_wanted = false) noexcept;
  page_slot* begin(std::uint64_t key, std::uint64_t identity);
  void open(page_slot& slot, std::uint64_t bits) noexcept;
  void abandon(page_slot& slot, std::exception_ptr error) noexcept;
  void finish_load(page_slot& slot, std::exception_ptr error) noexcept;

  // The policy.
  void drain();
  void try_drain();
  bool put_in_order(page_slot& slot) noexcept;
  void make_way();
  void admit(page_slot& slot);
  void readmit(page_slot& slot) noexcept;
  void leave_aside(page_slot& slot) noexcept;
  void put_aside(page_slot& slot) noexcept;
  void take_fresh(page_slot& slot);
  static void take_given_up(void* core, std::uint32_t number);
  bool evict_one(attempt& by);

  // Frames.
  std::byte* take_frame(lock_type& lock, page_slot& newcomer, patience& of);
  std::byte* make_frame(lock_type& lock);
  void free_frame(std::byte* frame) noexcept;
  std::byte* reclaim(lock_type& lock, attempt& by);
  std::byte* give_up(lock_type& lock, page_slot& slot, attempt& by);
  std::byte* detach(page_slot& slot) noexcept;
  void end_attempt(attempt& by) noexcept;
  std::uint64_t shed(lock_type& lock, std::uint64_t bytes, bool may_write);
  static std::uint64_t shrink(void* core, const tenure_pressure* why);

  // Writing.
  bool begin_write(page_slot& slot, bool is_shared) noexcept;
  bool end_write(page_slot& slot, outcome what, bool is_wanted = false) noexcept;
  void check_no_hook() const;
  std::optional<std::uint64_t> ask_hook(const page_slot& slot) const;
  void write(const page_slot& slot);
  write_result write_one(page_slot& slot) noexcept;
  std::vector<planned_write> dirty_pages(std::uint32_t of_file) const;
  page_flush flush(nanoseconds wait, std::uint32_t of_file);
  bool begin_writes(std::span<planned_write> plan, std::vector<planned_write>& busy) noexcept;
  void end_planned(planned_write& of, outcome what, page_flush& so_far) noexcept;
  void ask_hook_for_all(std::span<planned_write> plan, page_flush& so_far, std::exception_ptr& error) noexcept;
  static void sort_planned(std::span<planned_write> plan) noexcept;
  void plan_in_order(std::vector<planned_write>& plan, std::vector<planned_write>& busy, page_flush& so_far,
                     std::exception_ptr& error) noexcept;
  bool write_planned(std::vector<planned_write>& plan, std::vector<planned_write>& busy, bool may_put_off,
                     page_flush& so_far, std::exception_ptr& error) noexcept;
  bool wait_for_writers(const std::vector<planned_write>& busy, patience& until);
  void sync_file(std::uint32_t file, std::uint64_t round);
  void sync_unsynced(std::uint32_t file);
  bool has_unsynced(std::uint32_t file) const noexcept;
  bool try_close_all(std::uint32_t file, std::uint64_t& in_use) noexcept;
  void note_file_change(std::uint32_t file, std::uint64_t round, bool is_synced) noexcept;
  static constexpr std::uint32_t all_files = ~std::uint32_t{0};
  std::shared_ptr<page_file> file_of(std::uint32_t number) const;
  bool has_file(std::uint64_t key) const noexcept;
  void check_file(std::uint64_t key) const;

  // Prefetching.
  void work();
  void leave_worker_of_parent() noexcept;
  void prefetch_one(lock_type& lock, std::uint64_t key);
  std::byte* frame_to_prefetch(lock_type& lock);

  // Messages.
  [[noreturn]] void throw_exhausted(lock_type& lock, std::uint64_t key, nanoseconds waited);
  [[noreturn]] void throw_busy(lock_type& lock, const page_slot& slot, nanoseconds waited);
  std::vector<page_holder> holders_of(std::uint64_t key) const;
  std::string text_of_holders(const std::vector<page_holder>& all) const;

  const std::string name_;
  const std::size_t page_bytes_;
  const std::uint64_t last_page_;  // the last that ends where a file may
  const std::size_t most_pages_;
  const std::size_t prefetch_pages_;
  const nanoseconds wait_;
  const bool has_checks_;
  const bool has_thread_;
  const page_pool_options::write_hook before_write_;
  const std::function<nanoseconds()> clock_;
  std::pmr::memory_resource* const upstream_;
  const std::uint32_t slot_count_;
  page_table table_;
  std::unique_ptr<page_slot[]> slots_;
  std::unique_ptr<page_order> order_;
  std::uint64_t own_bytes_ = 0;
  mutable tenure::account account_;
  tenure_account_use own_use_{};
  tenure_account_use* use_;
  tenure_shrinker shrinker_ = 0;

  read_log log_;

  alignas(64) mutable cache_lock lock_;
  mutable std::condition_variable_any changed_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::byte*> free_frames_;
  std::size_t limit_;
  std::size_t frames_ = 0;
  slot_ring ready_;
  slot_ring prefetched_;
  std::size_t aside_count_ = 0;
  std::size_t prefetched_count_ = 0;  // those being read included
  std::size_t writing_count_ = 0;
  std::uint64_t writes_ended_ = 0;  // whatever they came to
  std::size_t waiting_count_ = 0;   // threads
  std::uint64_t changes_ = 0;       // that were told to them
  std::vector<file_entry> files_;
  std::uint64_t sync_round_ = 1;
  page_pool_statistics figures_;  // what is counted under the lock

  cache_lock flush_lock_;  // one flush at a time
  cache_lock sync_lock_;   // and one sync: of two, the system may tell one alone that pages were lost

  std::deque<std::uint64_t> wanted_;  // to be prefetched
  bool ends_ = false;
  std::unique_ptr<worker> worker_;

  mutable std::mutex holders_lock_;
  std::unordered_map<std::uint64_t, noted_holder> holders_;
  std::uint64_t tickets_ = 0;
};

}  // namespace tenure::detail
