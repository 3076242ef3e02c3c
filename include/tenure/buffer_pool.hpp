// tenure::buffer_pool: buffers for input and output, shared as slices, taken and given back without malloc.
//
//   lease    [bytes that one owner writes .......................]     take()
//   slices   [request line][headers     ]      [body            ]     each counts; the last one returns the buffer
//
//     tenure::buffer_pool network({.name = "network", .keep_bytes = 32 << 20});
//     tenure::buffer_lease into = network.take(16 << 10);
//     const auto got = recv(socket, into.data(), into.size(), 0);
//     tenure::buffer_slice message = std::move(into).share(got);   // the lease ends, the bytes stay
//     tenure::buffer_slice body = message.slice(head_bytes, got - head_bytes);
//     other_thread.send(body);                                      // outlives message, and this function
//
// A buffer is of a power of two bytes; larger ones than largest_bytes come from the upstream each time. What comes back
// is kept for the next, at most keep_bytes in all; what nobody needed for keep_for goes back to the upstream, at the
// latest after twice that time. A limit (set_limits()) bounds what is held, in use and kept; where it is met, what is
// kept goes first.
//
// A small slice keeps a large buffer: pinned() says how many bytes are held for nothing by slices alone, by the places
// where the buffer was taken and where it was last sliced. Of these the address of the call is always known; with
// checks on the stack.
//
// When: servers and whatever moves bytes between sockets, files and threads. When not: bytes that one function needs
// (arena); blocks of a fixed small size (fixed_pool).
//
// Thread-safe, apart from construction and destruction; a single handle is for one thread at a time. Nobody may write
// to what others have slices of. Nobody may have a buffer when the pool ends, but one may be on its way back on another
// thread: the end waits for it. Otherwise a message names the pool, where the first was taken and where the pool ended,
// and the process ends. With checks on a write into a buffer that has come back ends in a message, too.
// Errors: std::bad_alloc at the limit and without memory; std::out_of_range for a slice that is none.
// Cost: docs/library/buffer_pool.md. 128 bytes a buffer beside it. The account's held bytes are exact; what it shows as
// used is up to 64 buffers a shard behind, while statistics() is not.
// Source: Netty's ByteBuf and abseil's Cord for slices that count; jemalloc's decay.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/call_site.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

struct buffer_pool_options {
  std::string_view name = "buffers";
  std::size_t smallest_bytes = 512;  // powers of two, up to 1 GiB
  std::size_t largest_bytes = 1 << 20;
  std::uint64_t keep_bytes = 64 << 20;
  std::chrono::nanoseconds keep_for = std::chrono::seconds(10);  // 0, or a century: until trim(), the limit, the end
  bool has_thread = true;  // which gives back; without it maintain() is to be called each keep_for
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // thread-safe; null: operator new
};

struct buffer_pool_statistics {
  std::uint64_t used_buffers = 0;
  std::uint64_t used_bytes = 0;  // whole buffers
  std::uint64_t kept_bytes = 0;
  std::uint64_t held_bytes = 0;  // used, kept, and the pool's own
  std::uint64_t peak_held_bytes = 0;
  std::uint64_t takes = 0;
  std::uint64_t made = 0;     // takes for which the upstream was asked
  std::uint64_t dropped = 0;  // came back when enough was kept
  std::uint64_t decayed = 0;  // kept, and not needed
  std::uint64_t refusals = 0;
};

// Buffers that slices alone hold, of one place.
struct pinned_buffers {
  call_site taken;   // one frame, with checks off
  call_site sliced;  // where the last slice of it was made; copies of slices are not told
  std::uint64_t buffers = 0;
  std::uint64_t slices = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t named_bytes = 0;   // by slices, to a 4096th of the buffer; bytes that several name count for each
  std::uint64_t pinned_bytes = 0;  // held and not named
};

namespace detail {

class buffer_store;

// Of each buffer, apart from its bytes. Reused and never given back while the pool lives.
struct alignas(64) buffer_header {
  static constexpr unsigned reference_shift = 40;
  static constexpr std::uint64_t one_reference = std::uint64_t{1} << reference_shift;
  static constexpr std::uint64_t most_references = std::uint64_t{1} << 23;

  // References, and below them what slices name, in units of a 4096th of the buffer: one addition for both.
  std::atomic<std::uint64_t> holds{0};
  std::byte* bytes = nullptr;
  std::size_t size = 0;
  buffer_store* store = nullptr;
  std::uint8_t unit_shift = 0;
  std::uint8_t number = 0;  // of its class
  std::uint8_t shard = 0;   // that counted it as taken, and counts it back
  std::atomic<bool> is_leased{false};
  std::atomic<std::uint32_t> generation{0};
  buffer_header* newer = nullptr;
  buffer_header* older = nullptr;
  std::atomic<std::uint64_t> taken_at{0};
  std::atomic<std::uint64_t> sliced_at{0};
  std::uint64_t word = 0;  // that stands for its lease
  buffer_header* next_of_words = nullptr;

  std::uint64_t holds_of(std::size_t slice_bytes) const noexcept {
    return one_reference + ((slice_bytes + (std::size_t{1} << unit_shift) - 1) >> unit_shift);
  }
};

TENURE_API void note_sliced(buffer_header* of) noexcept;
TENURE_API void give_back(buffer_header* buffer) noexcept;
[[gnu::cold]] TENURE_API void report_too_many_references(const buffer_header* of) noexcept;
[[noreturn, gnu::cold]] TENURE_API void throw_out_of_range(const buffer_header* of, std::size_t offset,
                                                           std::size_t bytes, std::size_t size);

inline void hold(buffer_header* buffer, std::size_t bytes) noexcept {
  const std::uint64_t before = buffer->holds.fetch_add(buffer->holds_of(bytes), std::memory_order_relaxed);
  if (before >> buffer_header::reference_shift >= buffer_header::most_references) [[unlikely]] {
    report_too_many_references(buffer);
  }
}
inline void let_go(buffer_header* buffer, std::uint64_t holds) noexcept {
  const std::uint64_t before = buffer->holds.fetch_sub(holds, std::memory_order_acq_rel);
  if (before >> buffer_header::reference_shift == 1) give_back(buffer);
}

}  // namespace detail

// Bytes of a buffer that do not change any more. Empty, or a reference to the buffer.
class buffer_slice {
 public:
  buffer_slice() = default;
  buffer_slice(const buffer_slice& other) noexcept : buffer_(other.buffer_), data_(other.data_), size_(other.size_) {
    if (buffer_ != nullptr) detail::hold(buffer_, size_);
  }
  buffer_slice(buffer_slice&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  buffer_slice& operator=(buffer_slice other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~buffer_slice() {
    if (buffer_ != nullptr) detail::let_go(buffer_, buffer_->holds_of(size_));
  }
  void reset() noexcept { *this = buffer_slice(); }

  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::span<const std::byte> span() const noexcept { return {data_, size_}; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

  // A part of it, with a reference of its own. Throws std::out_of_range. This and its like are inlined in every build:
  // where they are called is the place of the slice.
  [[gnu::always_inline]] buffer_slice slice(std::size_t offset, std::size_t bytes) const {
    if (offset > size_ || bytes > size_ - offset) detail::throw_out_of_range(buffer_, offset, bytes, size_);
    if (buffer_ == nullptr) return {};
    detail::hold(buffer_, bytes);
    detail::note_sliced(buffer_);
    return {buffer_, data_ + offset, bytes};
  }
  // The first bytes, which are its own no longer. Throws std::out_of_range.
  [[gnu::always_inline]] buffer_slice split_front(std::size_t bytes) {
    buffer_slice front = slice(0, bytes);
    const std::uint64_t before = buffer_ == nullptr ? 0 : buffer_->holds_of(size_);
    data_ += bytes;
    size_ -= bytes;
    if (buffer_ != nullptr) buffer_->holds.fetch_sub(before - buffer_->holds_of(size_), std::memory_order_relaxed);
    return front;
  }

 private:
  friend class buffer_lease;
  buffer_slice(detail::buffer_header* buffer, const std::byte* data, std::size_t size) noexcept
      : buffer_(buffer), data_(data), size_(size) {}

  detail::buffer_header* buffer_ = nullptr;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A whole buffer, for the one who fills it.
class buffer_lease {
 public:
  buffer_lease() = default;
  buffer_lease(buffer_lease&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  buffer_lease& operator=(buffer_lease&& other) noexcept {
    if (this != &other) {
      reset();
      buffer_ = std::exchange(other.buffer_, nullptr);
    }
    return *this;
  }
  ~buffer_lease() { reset(); }
  // Slices of it go on.
  void reset() noexcept {
    if (buffer_ == nullptr) return;
    buffer_->is_leased.store(false, std::memory_order_relaxed);
    detail::let_go(std::exchange(buffer_, nullptr), detail::buffer_header::one_reference);
  }

  std::byte* data() const noexcept { return buffer_ == nullptr ? nullptr : buffer_->bytes; }
  // At least what was asked for: all of it is there to be used.
  std::size_t size() const noexcept { return buffer_ == nullptr ? 0 : buffer_->size; }
  std::span<std::byte> span() const noexcept { return {data(), size()}; }
  char* text() const noexcept { return reinterpret_cast<char*>(data()); }
  explicit operator bool() const noexcept { return buffer_ != nullptr; }

  // What is written already; the rest may still be. Throws std::out_of_range.
  [[gnu::always_inline]] buffer_slice slice(std::size_t offset, std::size_t bytes) const {
    if (offset > size() || bytes > size() - offset) detail::throw_out_of_range(buffer_, offset, bytes, size());
    if (buffer_ == nullptr) return {};
    detail::hold(buffer_, bytes);
    detail::note_sliced(buffer_);
    return {buffer_, buffer_->bytes + offset, bytes};
  }
  // The first bytes as a slice, in place of the lease. Throws std::out_of_range.
  [[gnu::always_inline]] buffer_slice share(std::size_t bytes) && {
    buffer_slice whole = slice(0, bytes);
    reset();
    return whole;
  }

  // The lease as a word, for a kernel's or a C library's user data; adopt() makes a lease of it again. No word is given
  // out twice, and none is an address: one that stands for nothing, was adopted before or never came from here ends in
  // a message.
  [[nodiscard]] TENURE_API void* release() noexcept;
  [[nodiscard]] TENURE_API static buffer_lease adopt(void* word);

 private:
  friend class buffer_pool;
  explicit buffer_lease(detail::buffer_header* buffer) noexcept : buffer_(buffer) {}
  detail::buffer_header* buffer_ = nullptr;
};

class TENURE_API buffer_pool {
 public:
  // Throws std::invalid_argument for sizes that are no powers of two, or not in order.
  explicit buffer_pool(const buffer_pool_options& options = {});
  ~buffer_pool();
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  // At least so many bytes. What is in them is what somebody left there.
  [[nodiscard]] buffer_lease take(std::size_t bytes);

  const char* name() const noexcept;
  tenure_account* account() const noexcept;
  void set_limits(account_limits limits) noexcept;
  buffer_pool_statistics statistics() const noexcept;

  // By place, most pinned bytes first. Buffers that have a lease are not among them.
  std::vector<pinned_buffers> pinned() const;
  // A message for each of the first ten on standard error. Pinned bytes of all.
  std::uint64_t report_pinned() const;

  // Every buffer in use.
  void visit_live(memory_resource::live_visitor visit, void* context) const;
  template <std::invocable<const live_block&> Function>
  void for_each_live(Function function) const {
    visit_live([](void* to, const live_block& block) { (*static_cast<Function*>(to))(block); }, &function);
  }

  // What was kept and not needed since the last call goes back. Bytes of it.
  std::uint64_t maintain() noexcept;
  // All that is kept.
  std::uint64_t trim() noexcept;
  // Aborts when a buffer is in two places or in none. No other thread may use the pool meanwhile.
  void check() const;

 private:
  detail::buffer_store* store_;
};

}  // namespace tenure
