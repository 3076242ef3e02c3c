#include "library/gc/samples.h"

#include <cmath>
#include <memory>
#include <new>

#include <tenure/tenure.h>

#include "library/gc/cycle.h"
#include "library/gc/sides.h"

namespace tenure::gc {

void sample_clock::draw(std::size_t interval_bytes) noexcept {
  if (random_ == 0) random_ = monotonic_ns() ^ reinterpret_cast<std::uintptr_t>(this) * 0x9e3779b97f4a7c15u;
  if (random_ == 0) random_ = 1;
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const double uniform = (static_cast<double>(random_ >> 11) + 0.5) / static_cast<double>(std::uint64_t{1} << 53);
  drawn_of_ = interval_bytes;
  left_bytes_ = static_cast<std::size_t>(-std::log(uniform) * static_cast<double>(interval_bytes));
}

std::size_t sample_clock::most_cells(std::size_t interval_bytes, std::size_t cell_bytes) noexcept {
  if (interval_bytes == 0) return ~std::size_t{0};
  if (drawn_of_ != interval_bytes) draw(interval_bytes);
  return left_bytes_ < cell_bytes ? 1 : left_bytes_ / cell_bytes;
}

bool sample_clock::pass(std::size_t interval_bytes, std::size_t taken_bytes) noexcept {
  if (interval_bytes == 0) return false;
  if (drawn_of_ != interval_bytes) draw(interval_bytes);
  if (left_bytes_ >= taken_bytes) {
    left_bytes_ -= taken_bytes;
    return false;
  }
  draw(interval_bytes);
  return true;
}

namespace {

struct ender {
  void operator()(const detail::sample* ended) const noexcept { end_sample(ended); }
};

std::unique_ptr<detail::sample, ender> make_sample(heap_state& heap, const detail::type_descriptor& type,
                                                   std::size_t bytes) {
  const double chance = -std::expm1(-static_cast<double>(bytes) / static_cast<double>(heap.sample_bytes));
  std::unique_ptr<detail::sample, ender> made(new detail::sample{});
  made->stack.frame_count = tenure_stack_capture(made->stack.frames, site_frames);
  made->stands_for_bytes = static_cast<std::size_t>(static_cast<double>(bytes) / chance);
  made->stands_for_thousandths = static_cast<std::uint64_t>(1000 / chance);
  made->content =
      tenure_account_add_content(heap.account.handle(), type.name.data(), type.name.size(), made->stack.frames,
                                 made->stack.frame_count, made->stands_for_bytes, made->stands_for_thousandths);
  return made;
}

}  // namespace

void end_sample(const detail::sample* ended) noexcept {
  tenure_account_remove_content(ended->content, ended->stands_for_bytes, ended->stands_for_thousandths);
  delete ended;
}

void take_sample(heap_state& heap, const detail::type_descriptor& type, char* cell, std::size_t bytes) noexcept {
  try {
    auto made = make_sample(heap, type, bytes);
    const cell_place at = window::get().place(cell);
    const holding guard(side_lock(at));
    try {
      side_word& side = make_side(at);
      TENURE_DCHECK(side.sampled.find(at.bit) == nullptr);
      side.sampled.add(at.bit, made.get());
      made.release();
    } catch (const std::bad_alloc&) {
      keep_side(at.block, at.index / 64);
    }
  } catch (const std::bad_alloc&) {
    return;
  }
}

}  // namespace tenure::gc
