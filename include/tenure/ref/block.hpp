// The block that references share: counts, what to do at the end, and as a rule the object itself.
//
//   inline_block     [ counts | type | object ]                     make_rc: one allocation
//   resource_block   [ counts | type | resource | object ]          allocate_rc
//   pointer_block    [ counts | type | pointer | deleter ]          of an object that was there before
//
// An object that ends lets go of others, which end inside of its destructor, and so on: a list of a million nodes would
// be a million calls deep. Down to `deepest_end` calls that is what happens. Below, a block is put on a list of the
// thread, and the outermost end takes from it until it is empty; a chain holds one place in it. The price is a counter
// of the thread, up and down; objects without destructors do not pay it.
//
// Not promised to users of the library.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

#include <tenure/api.h>

namespace tenure::detail {

template <class From, class To>
concept pointer_converts = std::convertible_to<From*, To*>;

inline constexpr std::uint32_t deepest_end = 64;

struct deferred_ends;  // the list
struct end_state {
  std::uint32_t depth;
  deferred_ends* waiting;
};
extern TENURE_API constinit thread_local end_state ends __attribute__((tls_model("initial-exec")));

// False where there is no memory for the list: then the end is done at once, deep as it is.
TENURE_API bool defer_end(void* what, void (*end)(void*) noexcept) noexcept;
TENURE_API void run_deferred_ends() noexcept;

// Calls end(what), now or when the ends around it are through.
inline void end_nested(void* what, void (*end)(void*) noexcept) noexcept {
  end_state& mine = ends;
  if (mine.depth >= deepest_end && defer_end(what, end)) [[unlikely]] {
    return;
  }
  ++mine.depth;
  end(what);
  if (mine.depth == 1 && mine.waiting != nullptr) [[unlikely]] {
    run_deferred_ends();
  }
  --mine.depth;
}

template <class Counts>
struct counted_block;

template <class Counts>
struct block_type {
  void (*end)(counted_block<Counts>*) noexcept;  // of the object; null where there is nothing to do
  void (*free)(counted_block<Counts>*) noexcept;
};

template <class Counts>
struct counted_block {
  explicit counted_block(const block_type<Counts>* of) noexcept : type(of) {}
  counted_block(const counted_block&) = delete;
  counted_block& operator=(const counted_block&) = delete;

  Counts counts;
  const block_type<Counts>* type;

  void add_strong() noexcept { counts.add_strong(); }
  void release_strong() noexcept {
    if (counts.release_strong()) finish();
  }
  void release_weak() noexcept {
    if (counts.release_weak()) type->free(this);
  }

  // The last strong reference has gone. Out of line, so that what comes before is inlined.
  [[gnu::noinline]] void finish() noexcept {
    if (type->end == nullptr) return release_weak();
    end_nested(this, [](void* block) noexcept {
      auto* const self = static_cast<counted_block*>(block);
      self->type->end(self);
      self->release_weak();
    });
  }

 protected:
  ~counted_block() = default;
};

template <class T, class Counts>
struct inline_block final : counted_block<Counts> {
  using base = counted_block<Counts>;
  using object_type = std::remove_cv_t<T>;
  union {
    object_type object;
  };

  template <class... Arguments>
  explicit inline_block(Arguments&&... arguments) : base(&own_type), object(std::forward<Arguments>(arguments)...) {}
  ~inline_block() {}  // NOLINT(modernize-use-equals-default): the object has ended before

  static void end(base* of) noexcept { static_cast<inline_block*>(of)->object.~object_type(); }
  static void free(base* of) noexcept { delete static_cast<inline_block*>(of); }
  static constexpr block_type<Counts> own_type{std::is_trivially_destructible_v<T> ? nullptr : &end, &free};
};

template <class T, class Counts>
struct resource_block final : counted_block<Counts> {
  using base = counted_block<Counts>;
  using object_type = std::remove_cv_t<T>;
  std::pmr::memory_resource* resource;
  union {
    object_type object;
  };

  template <class... Arguments>
  static resource_block* make(std::pmr::memory_resource& resource, Arguments&&... arguments) {
    void* const memory = resource.allocate(sizeof(resource_block), alignof(resource_block));
    try {
      return ::new (memory) resource_block(resource, std::forward<Arguments>(arguments)...);
    } catch (...) {
      resource.deallocate(memory, sizeof(resource_block), alignof(resource_block));
      throw;
    }
  }
  ~resource_block() {}  // NOLINT(modernize-use-equals-default): the object has ended before

  static void end(base* of) noexcept { static_cast<resource_block*>(of)->object.~object_type(); }
  static void free(base* of) noexcept {
    auto* const self = static_cast<resource_block*>(of);
    std::pmr::memory_resource* const home = self->resource;
    self->~resource_block();
    home->deallocate(self, sizeof(resource_block), alignof(resource_block));
  }
  static constexpr block_type<Counts> own_type{std::is_trivially_destructible_v<T> ? nullptr : &end, &free};

 private:
  // What takes an allocator is given the resource as well, as a pmr container would.
  template <class... Arguments>
  explicit resource_block(std::pmr::memory_resource& from, Arguments&&... arguments)
      : base(&own_type),
        resource(&from),
        object(std::make_obj_using_allocator<object_type>(std::pmr::polymorphic_allocator<object_type>(&from),
                                                          std::forward<Arguments>(arguments)...)) {}
};

template <class Pointer, class Deleter, class Counts>
struct pointer_block final : counted_block<Counts> {
  using base = counted_block<Counts>;
  Pointer pointer;
  [[no_unique_address]] Deleter deleter;

  // Nothing is moved before there is memory for the block.
  pointer_block(Pointer of, Deleter&& with) : base(&own_type), pointer(of), deleter(std::move(with)) {}

  static void end(base* of) noexcept {
    auto* const self = static_cast<pointer_block*>(of);
    self->deleter(self->pointer);
  }
  static void free(base* of) noexcept { delete static_cast<pointer_block*>(of); }
  static constexpr block_type<Counts> own_type{&end, &free};
};

}  // namespace tenure::detail
