// tenure::page_pool<Policy>: pages of files in a bounded number of frames, for tables that are larger than memory.
//
//   files   [page 0][page 1][page 2] ...        read with pread when they are missing, written back when they are dirty
//   frames  [page 7, 2 pins][page 0, dirty][page 2] ...        never more than limit_pages, whatever the load
//
//     tenure::page_pool<tenure::eviction::s3_fifo> pages({.name = "orders", .limit_pages = 10'000});
//     const std::uint32_t table = pages.add(
//         std::make_shared<tenure::disk_file>("orders.db", tenure::disk_file_options{.is_writable = true}));
//     {
//       tenure::pinned_page root = pages.pin({table, 0});          // stays where it is until the handle goes
//       const std::uint64_t next = child_of(root.bytes(), key);
//       tenure::writable_page leaf = pages.pin_to_write({table, next});   // alone; dirty from here on
//       change(leaf.bytes());
//     }
//     pages.checkpoint();                                            // all that is dirty is written, and synced
//
//   one frame    a page is in one frame or in none; pins of the same missing page do one read
//   pinned       what is pinned stays. Where every frame is, a pin waits for as long as it is told to, and then says by
//                whom they are pinned
//   write-ahead  before a dirty page is written, before_write() is called with it, and may write its log, or say that
//                the page is not to be written yet. Nobody changes the page between that word and the write
//   nothing lost a page whose write failed stays dirty and stays here, and the error is told
//   exact        a policy hears of hits in bulk, from a single thread in order and, while pages come and go,
//                completely: then the hits are those of eviction::simulation<Policy>. What is pinned or cannot be
//                written when its turn comes stays, and goes first as soon as it can, unless it is asked for again
//
// Prefetched pages have frames of their own, at most prefetch_pages, until they are asked for: they never take the
// place of more than so many others.
//
// When: what is read in pages and is larger than what it may take, B-trees, heap files, logs; with a write-ahead log of
// your own. When not: files that fit in memory or that are only read (mmap is quicker and costs nothing here); objects
// that are not pages (tenure::cache).
//
// Thread-safe, apart from construction and destruction; a single handle is for one thread at a time. pin() of a page
// that is here takes no lock. A page that many threads pin at once is bounded by one word, its count of pins. A writer
// waits until no reader has the page, and readers do not wait for writers that wait. before_write() and page_file are
// called with no lock held, and must not use the
// pool: what would wait for itself throws std::logic_error.
//
// fork(): the child may use and end its copy of the pool, if no thread was in a call at that moment and nothing is
// being prefetched. Both write what is dirty in their own copy to the same files.
//
// Misuse: handles must be gone before the pool; a word of release() is good for one adopt() or unpin(). Otherwise a
// message names the pool, the page and both places, and the process ends (option abort_on_misuse). Of a pin the address
// of the call is always known; with checks on, which takes a lock, every handle with its thread and its stack.
// Errors: page_unavailable; page_io_error; std::invalid_argument for options and pages that cannot be; std::bad_alloc.
// Cost: docs/library/page_pool.md. 128 bytes a frame, 16 to 32 in the table, and the policy's node.
// Source: Effelsberg and Haerder, Principles of database buffer management, 1984, for pins and the write-ahead hook.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/cache/page_order.hpp>
#include <tenure/call_site.hpp>
#include <tenure/eviction/s3_fifo.hpp>
#include <tenure/memory_resource.hpp>
#include <tenure/page_file.hpp>

namespace tenure {

struct page_id {
  std::uint32_t file = 0;    // what add() gave
  std::uint64_t number = 0;  // the page begins at number * page_bytes, in an int64_t; below 2^48
  friend bool operator==(const page_id&, const page_id&) = default;
};

struct page_pool_options {
  using duration = std::chrono::nanoseconds;
  // Before a dirty page is written. Nothing: not yet. Otherwise its place among those that are written together: lower
  // ones are written first, and none when a lower one failed. What it throws counts as a failure of the write.
  using write_hook = std::function<std::optional<std::uint64_t>(page_id, std::span<const std::byte>)>;

  std::string_view name = "pages";
  std::size_t page_bytes = 4096;             // a power of two, from 512 to 1 MiB
  std::size_t limit_pages = 1024;            // frames
  duration wait = std::chrono::seconds(10);  // of a pin, for a frame or for a page in other hands; not for reads
  std::size_t prefetch_pages = 0;            // 0: a sixteenth of the limit, and at least one
  bool has_thread = true;                    // that prefetches; without it prefetch() reads by itself
  write_hook before_write{};
  std::size_t policy_bytes = 0;  // set aside for what the policy remembers; 0: 4 KiB and 256 a frame
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // of frames; thread-safe; null: operator new
  std::int32_t shrink_priority = 0;               // among shrinkers, the one with the least is asked first
  std::function<duration()> clock{};              // for tests; without it, the steady clock
};

struct page_pool_statistics {
  // From the beginning.
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;  // pins that read, or created
  std::uint64_t joined = 0;  // times that a pin waited for another one's read
  std::uint64_t reads = 0;   // of pages, prefetched ones included
  std::uint64_t read_failures = 0;
  std::uint64_t writes = 0;
  std::uint64_t write_failures = 0;
  std::uint64_t vetoes = 0;  // by before_write()
  std::uint64_t evictions = 0;
  std::uint64_t exhaustions = 0;  // pins that got no frame
  std::uint64_t prefetches = 0;   // pages
  std::uint64_t prefetch_hits = 0;
  std::uint64_t prefetch_losses = 0;  // went before anybody asked for them
  // Of one moment.
  std::uint64_t resident_pages = 0;
  std::uint64_t pinned_pages = 0;
  std::uint64_t dirty_pages = 0;
  std::uint64_t unused_prefetched_pages = 0;
  std::uint64_t frames = 0;  // with or without a page
  std::uint64_t peak_frames = 0;
  std::uint64_t limit_pages = 0;
  std::uint64_t held_bytes = 0;  // frames, and the pool's own
  std::uint64_t policy_bytes = 0;

  double hit_ratio() const noexcept {
    return hits + misses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(hits + misses);
  }
};

// A handle, with checks on; without them, a page and where it was pinned last.
struct page_holder {
  page_id page;
  std::string file;
  std::uint64_t pins = 0;
  bool is_writer = false;
  std::uint32_t thread = 0;  // its id in the system; 0: not known
  call_site site;
};

// What flush() came to. Pages that were to be written are dirty still, and here, unless they are among the written.
struct page_flush {
  std::uint64_t written = 0;
  std::uint64_t vetoed = 0;
  std::uint64_t busy = 0;  // had a writer all the time
};

// No frame, or no way to the page, within the time.
class page_unavailable : public std::runtime_error {
 public:
  enum class cause { frames_are_pinned, page_is_in_use };
  page_unavailable(const std::string& what, cause why, page_id page, std::vector<page_holder> holders)
      : std::runtime_error(what), why_(why), page_(page), holders_(std::move(holders)) {}
  cause why() const noexcept { return why_; }
  page_id page() const noexcept { return page_; }
  const std::vector<page_holder>& holders() const noexcept { return holders_; }

 private:
  cause why_;
  page_id page_;
  std::vector<page_holder> holders_;
};

// A read, a write or a sync that failed. A page that ends within its bytes, or begins beyond the end of its file, is
// errc::result_out_of_range.
class page_io_error : public std::system_error {
 public:
  enum class operation { read, write, sync };
  page_io_error(std::error_code code, const std::string& what, operation of, page_id page)
      : std::system_error(code, what), of_(of), page_(page) {}
  operation of() const noexcept { return of_; }
  page_id page() const noexcept { return page_; }

 private:
  operation of_;
  page_id page_;
};

class page_pool_base;

namespace detail {

class page_core;
struct page_slot;
enum class page_access : std::uint8_t { read, write };

// A pin, or nothing.
class page_pin {
 public:
  page_pin() = default;
  page_pin(page_core* core, page_slot* slot, std::byte* data, std::uint64_t ticket) noexcept
      : core_(core), slot_(slot), data_(data), ticket_(ticket) {}
  page_pin(page_pin&& other) noexcept { swap(other); }
  page_pin& operator=(page_pin&& other) noexcept {
    page_pin taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~page_pin() {
    if (slot_ != nullptr) unpin();
  }

  std::byte* data() const noexcept { return data_; }
  TENURE_API page_id page() const noexcept;
  TENURE_API std::size_t size() const noexcept;
  TENURE_API void* release(page_access how) noexcept;
  TENURE_API static page_pin adopt(void* word, page_access how);

 private:
  TENURE_API void unpin() noexcept;
  void swap(page_pin& other) noexcept {
    std::swap(core_, other.core_);
    std::swap(slot_, other.slot_);
    std::swap(data_, other.data_);
    std::swap(ticket_, other.ticket_);
  }

  page_core* core_ = nullptr;
  page_slot* slot_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint64_t ticket_ = 0;  // in the list of holders; 0: not there
};

template <page_access access, class Byte>
class page_handle {
 public:
  static constexpr page_access kind = access;
  page_handle() = default;

  explicit operator bool() const noexcept { return pin_.data() != nullptr; }
  Byte* data() const noexcept { return pin_.data(); }
  std::span<Byte> bytes() const noexcept { return {pin_.data(), pin_.size()}; }
  page_id page() const noexcept { return pin_.page(); }
  void reset() noexcept { pin_ = page_pin(); }

  // The pin as a word, for C and for a kernel's user data; adopt() makes a handle of it again, unpin() of the pool ends
  // it. No word is given out twice, and none is an address.
  [[nodiscard]] void* release() noexcept { return pin_.release(access); }
  [[nodiscard]] static page_handle adopt(void* word) { return page_handle(page_pin::adopt(word, access)); }

 private:
  friend class tenure::page_pool_base;
  page_handle(page_core* core, page_slot* slot, std::byte* data, std::uint64_t ticket) noexcept
      : pin_(core, slot, data, ticket) {}
  explicit page_handle(page_pin pin) noexcept : pin_(std::move(pin)) {}
  page_pin pin_;
};

}  // namespace detail

// A page that stays where it is, and that nobody changes, for as long as this lives.
using pinned_page = detail::page_handle<detail::page_access::read, const std::byte>;
// The same for the only one who has the page. It is dirty from the beginning.
using writable_page = detail::page_handle<detail::page_access::write, std::byte>;

// What does not depend on the policy.
class TENURE_API page_pool_base {
 public:
  using duration = std::chrono::nanoseconds;

  page_pool_base(const page_pool_base&) = delete;
  page_pool_base& operator=(const page_pool_base&) = delete;

  // A file whose pages may be asked for from here on, by the number that comes back.
  std::uint32_t add(std::shared_ptr<page_file> file);
  // Writes its dirty pages, syncs what has been written and forgets it. Throws std::logic_error when one of its pages
  // is in use, and what checkpoint() throws; the file stays then.
  void remove(std::uint32_t file);

  [[nodiscard]] pinned_page pin(page_id page);
  [[nodiscard]] pinned_page pin(page_id page, duration wait);
  [[nodiscard]] writable_page pin_to_write(page_id page);
  [[nodiscard]] writable_page pin_to_write(page_id page, duration wait);
  // All zeros, and nothing is read: for a page that is new, at the end of its file, say.
  [[nodiscard]] writable_page create(page_id page);
  // Empty where the page is not here, or has a writer.
  [[nodiscard]] pinned_page try_pin(page_id page);
  // Ends the pin of a word that release() gave.
  void unpin(void* word) noexcept;

  // Reads pages that will be asked for. How many of them will be here: no more than prefetch_pages are under way or
  // unasked for, and the rest of the request is left.
  std::size_t prefetch(page_id first, std::size_t count);

  // Writes what is dirty by now, in the order that before_write() gives, and otherwise that of files and pages. Those
  // that have a writer, or are changed meanwhile, come later, in an order of their own. Throws the first page_io_error
  // when it has tried all that it may.
  page_flush flush();
  page_flush flush(duration wait);
  // And has the files sync. Where that fails, what was written since the last one is dirty again, as far as it is here.
  page_flush checkpoint();

  const char* name() const noexcept;
  // Held blocks are the frames, used ones those with a page.
  tenure_account* account() const noexcept;
  std::size_t page_bytes() const noexcept;
  page_pool_statistics statistics() const;
  std::string_view policy_name() const noexcept;
  // Who has what, and the same as messages on standard error; the number of pins.
  std::vector<page_holder> holders() const;
  std::uint64_t report_holders() const;
  // Every page that is here.
  void visit_resident(void (*visit)(void* context, page_id page), void* context) const;
  template <std::invocable<page_id> Function>
  void for_each_resident(Function function) const {
    visit_resident([](void* to, page_id page) { (*static_cast<Function*>(to))(page); }, &function);
  }

  // At most as many as the pool was made with. What no longer fits goes, pinned pages when they are let go,
  // dirty ones when they are written.
  void set_limit(std::size_t pages);
  // Gives up to so many bytes of frames back, dirty pages written before; those that cannot be stay. Bytes that did.
  std::uint64_t trim(std::uint64_t bytes = ~std::uint64_t{0});
  // Aborts when a page is in two places or in none.
  void check() const;

 protected:
  page_pool_base(const page_pool_options& options, detail::page_order_maker make_order);
  // Writes what is dirty; what could not be is told on standard error: flush() before, to know.
  ~page_pool_base();

 private:
  template <class Handle>
  Handle take(page_id page, bool is_new, duration wait, const void* caller);

  detail::page_core* core_;
};

template <eviction::policy Policy = eviction::s3_fifo>
class page_pool : public page_pool_base {
 public:
  // Throws std::invalid_argument.
  explicit page_pool(const page_pool_options& options = {})
      : page_pool_base(options, detail::make_page_order<Policy>) {}
};

}  // namespace tenure
