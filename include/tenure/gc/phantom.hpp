// phantom<T> and phantom_queue<Note>: to be told that a managed object has gone, when it has gone.
//
//     tenure::gc::phantom_queue<int> closed;
//     tenure::gc::phantom<document> end(opened, closed, descriptor);
//     while (std::optional<int> descriptor = closed.take()) ::close(*descriptor);
//
// For what has to be given back when an object is no more and cannot be left to its destructor: because it belongs to a
// certain thread, or has to wait for the memory, or because the object has no destructor and shall have none. The
// phantom gives nobody the object; what has to be done is in the note.
//
// The contract, a sentence a line; tests/unit/gc/phantom_test.cc has a test for each:
//   1. The note is in the queue once the object is unreachable, its destructor has run and its memory is free.
//   2. Weak references to the object are null before that.
//   3. It comes once for each phantom, and an object may have several, on several queues.
//   4. A phantom that is destroyed before the object was found dead tells nothing.
//   5. A guardian that brings the object back puts its end off.
//   6. A queue that is destroyed is told nothing more, and its phantoms are only over.
//   7. A heap that is destroyed tells the end of all its objects.
//
// An object without a destructor is told of at the end of the cycle that found it dead, one with a destructor when the
// memory is taken back from the destructors' thread: after wait_for_destructors(), or at the next cycle.
//
// Thread-safety: a queue may be used by many threads, a phantom by one at a time. Throws std::bad_alloc. Cost: an
// allocation and a lock for each phantom; to the collector, what dies.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/watch.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

template <class T>
class phantom;

template <class Note>
class phantom_queue final {
 public:
  phantom_queue() : queue_(detail::make_watch_queue()) {}
  ~phantom_queue() { detail::close_watch_queue(queue_); }
  phantom_queue(const phantom_queue&) = delete;
  phantom_queue& operator=(const phantom_queue&) = delete;

  // The oldest note; none: nobody has gone since.
  std::optional<Note> take() { return opened(detail::take_watch(queue_)); }
  // The same, but returns when there is one.
  Note wait() { return *opened(detail::wait_for_watch(queue_)); }

 private:
  template <class T>
  friend class phantom;

  struct noted final : detail::watch {
    explicit noted(Note&& given) : watch(&end), note(std::move(given)) {}
    static void end(watch* ended) noexcept { delete static_cast<noted*>(ended); }
    Note note;
  };

  static std::optional<Note> opened(detail::watch* taken) {
    if (taken == nullptr) return std::nullopt;
    const std::unique_ptr<detail::watch, void (*)(detail::watch*)> held(taken, detail::release_watch);
    return std::optional<Note>(std::move(static_cast<noted*>(taken)->note));
  }

  detail::watch* add(void* target, Note&& note) {
    auto made = std::make_unique<noted>(std::move(note));
    made->target = target;
    made->holders.store(2, std::memory_order_relaxed);
    detail::add_watch(made.get(), queue_);
    return made.release();
  }

  detail::watch_queue* queue_;
};

template <class T>
class phantom final {
 public:
  constexpr phantom() noexcept = default;
  // `target` is not null.
  template <class Note>
  phantom(const local<T>& target, phantom_queue<Note>& queue, std::type_identity_t<Note> note)
      : watch_(queue.add(detail::untyped(target.get()), std::move(note))) {}
  phantom(phantom&& other) noexcept : watch_(std::exchange(other.watch_, nullptr)) {}
  ~phantom() {
    if (watch_ != nullptr) detail::cancel_watch(watch_);
  }
  phantom& operator=(phantom other) noexcept {
    std::swap(watch_, other.watch_);
    return *this;
  }

  // Whether the object has gone, or there never was one.
  bool is_over() const noexcept { return watch_ == nullptr || watch_->is_over.load(std::memory_order_acquire); }

 private:
  detail::watch* watch_ = nullptr;
};

}  // namespace tenure::gc

// What holds a phantom is not traced for it.
template <class T>
inline constexpr bool tenure::gc::is_leaf<tenure::gc::phantom<T>> = true;
template <class T>
inline constexpr tenure::gc::moving tenure::gc::moving_of<tenure::gc::phantom<T>> = tenure::gc::moving::allowed;
