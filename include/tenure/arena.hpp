// tenure::arena: objects that all go away at once.
//
//   chunk 0             chunk 1                      chunk 2
//   [objects........]   [objects... ^cursor      ]   [kept from before    ]
//
// Allocation moves a cursor; a single release does nothing. What was allocated goes at reset(), at rewind() to a mark,
// or at the end of a scope, newest first: destructors are called for the objects that were made by create() and have
// one, and for no others. Chunks double in size. reset() keeps as much memory as the last rounds needed (a high-water
// mark that decays by an eighth a round, at most keep_bytes), so that a loop allocates nothing once warm.
//
//     tenure::arena memory({.name = "request"});
//     for (;;) {
//       tenure::arena::scope request(memory);
//       auto* header = memory.create<parsed_header>(read());
//       std::pmr::vector<field> fields(&memory);
//       ...
//     }  // destructors, newest first; the memory stays for the next request
//
// When: many objects of one lifetime, a request, a frame, a parse. When not: a container that grows for long in it
// leaves each of its former blocks behind until the reset.
//
// With checks on, each object's call site is kept, and a range that was reset or rewound is sealed: its addresses fault
// and are not used again until seal_bytes of others have been sealed. A fault there ends in a message that names the
// object, where it was allocated and where it was reset. find_escapes() says beforehand who still points into an arena.
//
// One thread at a time. Errors: std::bad_alloc, and std::invalid_argument for a mark of another arena. Cost: about
// 1 ns an object (docs/library/arena.md); with checks on some 300 ns and two OS pages for a few objects.
// Source: obstacks; LLVM's BumpPtrAllocator; marks as in game engines' stack allocators.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tenure/memory_resource.hpp>

namespace tenure {

struct arena_options {
  std::string_view name = "arena";
  std::size_t first_chunk_bytes = 4096;
  std::size_t largest_chunk_bytes = 1 << 20;
  std::size_t keep_bytes = 16 << 20;  // the most that reset() keeps
  std::size_t seal_bytes = 1 << 30;   // with checks: address space that is not used again yet
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  memory_resource* part_of = nullptr;             // a resource that counts it, in place of an account
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new; not asked with checks on, which map
};

class TENURE_API arena final : public memory_resource {
 public:
  explicit arena(const arena_options& options = {});
  ~arena() override;

  void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    const std::uintptr_t begin = (cursor_ + (alignment - 1)) & ~(static_cast<std::uintptr_t>(alignment) - 1);
    // `end_` is 0 where each allocation has to be looked at: before the first chunk, and with checks on.
    if (begin > end_ || end_ - begin < bytes) [[unlikely]] {
      return allocate_slow(bytes, alignment);
    }
    cursor_ = begin + bytes;
    publish();
    return reinterpret_cast<void*>(begin);
  }
  // Nothing: the memory goes with all the rest.
  void deallocate(void*, std::size_t, std::size_t = alignof(std::max_align_t)) noexcept {}

  // Makes an object. Its destructor is remembered, and called, only when it does something.
  template <class Object, class... Arguments>
  Object* create(Arguments&&... arguments) {
    if constexpr (std::is_trivially_destructible_v<Object>) {
      return ::new (allocate(sizeof(Object), alignof(Object))) Object(std::forward<Arguments>(arguments)...);
    } else {
      auto* record = static_cast<destructor*>(allocate(sizeof(destructor), alignof(destructor)));
      auto* made = ::new (allocate(sizeof(Object), alignof(Object))) Object(std::forward<Arguments>(arguments)...);
      destructors_ = ::new (record)
          destructor{destructors_, [](void* object) noexcept { static_cast<Object*>(object)->~Object(); }, made};
      return made;
    }
  }
  // Room for so many objects, not yet made.
  template <class Object>
  std::span<Object> allocate_array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<Object>, "nobody would call their destructors");
    if (count > PTRDIFF_MAX / sizeof(Object)) throw std::bad_array_new_length();
    return {static_cast<Object*>(allocate(count * sizeof(Object), alignof(Object))), count};
  }

  // A place to go back to. Valid until a rewind to an earlier one, reset(), release() or merge().
  class mark {
    friend class arena;
    const arena* of_ = nullptr;
    std::size_t chunk_ = 0;
    std::uintptr_t cursor_ = 0;
    std::uint64_t used_bytes_ = 0;
    std::uint64_t count_ = 0;
    std::uint64_t round_ = 0;
    void* destructors_ = nullptr;
  };
  mark set_mark() const noexcept;
  void rewind(const mark& to);

  // Goes back to where it began. Scopes nest as blocks do.
  class scope {
   public:
    explicit scope(arena& of) : of_(of), begin_(of.set_mark()) {}
    ~scope() { of_.rewind(begin_); }
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

   private:
    arena& of_;
    mark begin_;
  };

  // Everything goes; some memory stays for the next round.
  void reset();
  // Everything goes, and the memory as well.
  void release() noexcept;
  // Takes over all objects of `other`, which is empty afterwards, without moving a byte. Both need equal upstreams.
  void merge(arena& other);

  std::size_t kept_bytes() const noexcept;  // chunks without an object
  bool has_checks() const noexcept { return has_checks_; }

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;

  // Somebody who points into an arena.
  struct escape {
    const void* at;         // where the pointer is
    const void* points_to;  // what it holds
    const char* place;      // "stack", "heap block", or the name that was given
    unsigned thread = 0;    // of another thread's stack, or its registers: the kernel's number of that thread
  };
  struct place {
    const char* name;
    const void* begin;
    std::size_t bytes;
  };
  // Words on the stacks of all threads and in the registers of the others, in live blocks of Tenure's heaps (all of the
  // program's where malloc is Tenure's), and in `places`, that are addresses of used memory of this arena.
  // Conservative: a number may look like an address, and a word on a stack may be dead. Stops at `limit`. Cost: a look
  // at every word of the heap. The other threads stand still while their stacks are looked at, and waiting system calls
  // of theirs may return EINTR; they are left out where that cannot be (tenure_walk_stacks()).
  std::vector<escape> find_escapes(std::span<const place> places = {}, std::size_t limit = 100) const;
  // The same as a message, with the call sites of the objects where checks are on. The number found.
  std::size_t report_escapes(std::span<const place> places = {}) const;

  // Whether all that can be known of it agrees; aborts otherwise.
  void check() const;

 private:
  struct destructor {
    destructor* previous;
    void (*run)(void* object) noexcept;
    void* object;
  };
  struct chunk {
    std::uintptr_t begin;
    std::size_t bytes;
    std::uintptr_t used_end;  // of the chunks before the current one
  };
  struct checked;  // what is kept with checks on

  void publish() noexcept {
    store(published_->used_bytes, cursor_ - base_);
    store(published_->used_blocks, ++count_);
  }
  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate(bytes, alignment); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}

  void* allocate_slow(std::size_t bytes, std::size_t alignment);
  void* allocate_checked(std::size_t bytes, std::size_t alignment);
  void next_chunk(std::size_t bytes, std::size_t alignment);
  void enter(std::size_t index) noexcept;
  void leave_current() noexcept;
  void go_nowhere() noexcept;
  chunk take_chunk(std::size_t bytes);
  void give_back(const chunk& given) noexcept;
  void run_destructors(const void* until) noexcept;
  void go_back(const mark& to);
  void settle_use() noexcept;
  void drop_chunks_beyond(std::size_t kept_limit) noexcept;
  const chunk* find(std::uintptr_t address) const noexcept;
  std::uintptr_t used_end_of(std::size_t index) const noexcept;

  // Without a chunk the cursor stands behind the end, so that even an allocation of nothing finds no room.
  static constexpr std::uintptr_t nowhere = 1;
  std::uintptr_t cursor_ = nowhere;
  std::uintptr_t end_ = 0;
  std::uintptr_t base_ = nowhere;  // cursor_ - base_ is what is used, over all chunks
  std::uint64_t count_ = 0;
  tenure_account_use* published_;
  tenure_account_use part_use_{};  // in place of the whole's, which the whole counts itself
  destructor* destructors_ = nullptr;
  std::vector<chunk> chunks_;
  std::size_t current_ = 0;  // index; chunks_.size() when there is none
  std::size_t next_chunk_bytes_;
  std::size_t high_water_bytes_ = 0;
  std::uint64_t settled_count_ = 0;  // how many of count_ stand in `allocations` already
  std::uint64_t round_ = 0;          // of resets: marks of an earlier round are refused
  bool has_checks_;
  std::size_t largest_chunk_bytes_;
  std::size_t keep_bytes_;
  std::pmr::memory_resource* upstream_;
  std::unique_ptr<checked> checked_;
};

}  // namespace tenure
