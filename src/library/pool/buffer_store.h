// What a buffer pool is made of: buffers that are kept, in shards, and the headers of all.
//
//   shard    class 512 B   newest ⇄ … ⇄ oldest      a lock for each shard; threads are spread over them, and look into
//            class 1 KiB   newest ⇄ … ⇄ oldest      the others when theirs has none
//            …                                    and a buffer comes back to the one it was taken from
//   headers  [64 headers][64] …                     under a lock of their own; a header outlives the buffers it
//   describes
//
// Kept bytes are reserved from one sum for all shards, in portions, so that a buffer that comes and goes changes
// nothing that other threads write. Decay: a class remembers the fewest buffers that it had since the last round: so
// many were not needed, and the oldest of them go. What trim() and pressure take meanwhile counts as of those.
//
// A buffer on its way back is counted as used until the last access to the store, which is that under the shard's lock:
// who sees no buffer in use may end the store.
#pragma once

#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <tenure/buffer_pool.hpp>

#include "library/resource/call_site.h"
#include "library/resource/step_mutex.h"

namespace tenure::detail {

class buffer_store {
 public:
  explicit buffer_store(const buffer_pool_options& options);
  ~buffer_store();
  buffer_store(const buffer_store&) = delete;
  buffer_store& operator=(const buffer_store&) = delete;

  buffer_header* take(std::size_t bytes, std::uint64_t caller);
  void give(buffer_header* buffer) noexcept;

  const char* name() const noexcept { return name_.c_str(); }
  tenure_account* account() const noexcept { return account_.handle(); }
  void set_limits(account_limits limits) noexcept { account_.set_limits(limits); }
  buffer_pool_statistics statistics() const noexcept;
  std::vector<pinned_buffers> pinned() const;
  void visit_live(memory_resource::live_visitor visit, void* context) const;
  std::uint64_t decay() noexcept;
  std::uint64_t trim() noexcept;
  void check() const;

  // False once the last thread that brings a buffer back has done with the store.
  bool is_in_use() const noexcept { return statistics().used_buffers != 0; }
  void end_thread() noexcept;
  void note_sliced(const buffer_header* of) noexcept;
  // With the buffer's sites, and where this is.
  [[gnu::cold]] void report(const char* what, const buffer_header* about, const char* here_is) const noexcept;
  // False where nobody has a buffer.
  bool report_left(const call_site& here) const noexcept;

 private:
  static constexpr std::size_t shard_count = 8;
  static constexpr std::size_t class_count = 31;
  static constexpr std::uint8_t no_class = 0xff;  // from the upstream each time

  struct header_chunk {
    std::array<buffer_header, 64> headers;
    header_chunk* next = nullptr;
  };
  struct kept_class {
    buffer_header* newest = nullptr;
    buffer_header* oldest = nullptr;
    std::atomic<std::uint32_t> count{0};
    std::uint32_t fewest = 0;  // since the last round
  };
  struct alignas(64) shard {
    mutable resources::step_mutex lock;
    std::array<kept_class, class_count> classes;
    std::uint64_t allowance_bytes = 0;  // reserved and not kept
    std::uint64_t kept_bytes = 0;
    // What is counted here as taken comes back here, on whatever thread: no sum of these is below 0.
    std::uint64_t used_buffers = 0, used_bytes = 0;
    std::uint64_t takes = 0, made = 0, dropped = 0, decayed = 0;
    // Of these, what the account has not been told.
    std::uint64_t untold_buffers = 0, untold_bytes = 0, untold_takes = 0;
    std::uint32_t untold_calls = 0;
  };
  struct sites {
    call_site taken, sliced, returned;
  };
  // Of a buffer in use, as it was at one moment.
  struct seen_buffer {
    const buffer_header* header;
    std::uint64_t holds;
    const std::byte* bytes;
    std::uint64_t size;
    std::uint8_t unit_shift;
    bool is_leased;
    std::uint64_t taken_at, sliced_at;
  };

  void start_thread(std::chrono::nanoseconds each);
  shard& mine() noexcept;
  std::uint8_t class_of(std::size_t bytes) const noexcept;
  buffer_header* pop(shard& from, std::uint8_t number) noexcept;
  bool keep(shard& in, buffer_header* buffer) noexcept;
  static void unlink(kept_class& from, buffer_header* buffer) noexcept;
  bool reserve(shard& in, std::uint64_t bytes) noexcept;
  void unreserve(shard& in, std::uint64_t bytes) noexcept;
  void count_take(shard& in, buffer_header* buffer, bool is_made) noexcept;
  void count_return(shard& in, std::uint64_t bytes) noexcept;
  void tell_account(shard& of) noexcept;
  using all_locks = std::array<std::unique_lock<resources::step_mutex>, shard_count>;
  all_locks lock_all() const;
  template <class HowMany>
  std::uint64_t drain(HowMany how_many) noexcept;

  buffer_header* make(std::size_t bytes, std::uint8_t number);
  void unmake(buffer_header* buffer) noexcept;
  buffer_header* take_header();
  void put_header(buffer_header* header) noexcept;
  std::vector<seen_buffer> in_use() const;
  static seen_buffer look_at(const buffer_header& header) noexcept;

  // With checks on.
  sites sites_of(const buffer_header* of) const;
  void note_taken(buffer_header* of) noexcept;
  void note_returned(buffer_header* of) noexcept;
  static void fill(buffer_header* of) noexcept;
  void find_late_write(const buffer_header* in) const noexcept;
  static std::uint64_t shrink(void* context, const tenure_pressure* why);

  const std::string name_;
  const std::size_t smallest_bytes_;
  const std::size_t largest_bytes_;
  const std::uint64_t keep_bytes_;
  const std::uint64_t portion_bytes_;
  const bool has_checks_;
  std::pmr::memory_resource* const upstream_;
  mutable tenure::account account_;
  tenure_account_use own_use_{};
  tenure_account_use* use_;
  tenure_shrinker shrinker_ = 0;

  std::array<shard, shard_count> shards_;
  alignas(64) std::atomic<std::uint64_t> reserved_bytes_{0};
  std::atomic<std::uint64_t> going_{0};  // neither kept any more nor given back yet

  alignas(64) mutable resources::step_mutex headers_lock_;
  header_chunk* chunks_ = nullptr;
  std::size_t chunk_count_ = 0;
  buffer_header* free_headers_ = nullptr;
  mutable resources::step_mutex sites_lock_;
  std::map<const buffer_header*, sites> sites_;

  std::mutex thread_lock_;
  std::condition_variable thread_wakes_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace tenure::detail
