#include "instruments/record/blocks_ahead.h"

#include <utility>

namespace tenure::record {

bool unpack_next(block_reader& from, unpacked_block& into) {
  into.begin_bytes = from.position();
  const auto one = from.next();
  if (!one) return false;
  into.what = *one;
  into.end_bytes = from.position();
  into.makes_sense = true;
  into.events.clear();
  into.payload.clear();
  if (one->payload.empty()) return true;
  if (one->kind == block_kind::events) {
    into.makes_sense = decode_events(one->payload, into.events);
    return true;
  }
  into.payload.assign(one->payload.begin(), one->payload.end());
  into.what.payload = into.payload;
  return true;
}

blocks_ahead::blocks_ahead(block_reader& from, std::function<void(std::uint64_t)> before)
    : from_(from), before_(std::move(before)), thread_([this] { run(); }) {}

blocks_ahead::~blocks_ahead() {
  {
    const std::lock_guard held(lock_);
    is_left_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void blocks_ahead::run() {
  for (bool is_more = true; is_more;) {
    unpacked_block* place = nullptr;
    {
      std::unique_lock held(lock_);
      changed_.wait(held, [this] { return has_room() || is_left_; });
      if (is_left_) return;
      place = &places_[filled_ % places_.size()];
    }
    std::exception_ptr thrown;
    try {
      before_(from_.position());
      is_more = unpack_next(from_, *place);
    } catch (...) {
      thrown = std::current_exception();
      is_more = false;
    }
    {
      const std::lock_guard held(lock_);
      if (is_more) ++filled_;
      is_over_ = !is_more;
      thrown_ = thrown;
    }
    changed_.notify_all();
  }
}

unpacked_block* blocks_ahead::next() {
  std::unique_lock held(lock_);
  if (std::exchange(is_read_, false)) {
    ++taken_;
    changed_.notify_all();
  }
  changed_.wait(held, [this] { return filled_ != taken_ || is_over_; });
  if (filled_ == taken_) {
    if (thrown_) std::rethrow_exception(thrown_);
    return nullptr;
  }
  is_read_ = true;
  return &places_[taken_ % places_.size()];
}

}  // namespace tenure::record
