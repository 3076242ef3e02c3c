#include <tenure/frame_ring.hpp>

#include <algorithm>
#include <stdexcept>

#include "core/base/check.h"

namespace tenure {
namespace {

constexpr std::size_t most_frames = 64;

}  // namespace

frame_ring::frame_ring(const frame_ring_options& options)
    : memory_resource(options.name, "frame_ring", options.parent) {
  if (options.frames == 0 || options.frames > most_frames) {
    throw std::invalid_argument("tenure::frame_ring: from 1 to 64 frames");
  }
  frames_.resize(options.frames);
  for (one_frame& one : frames_) {
    one.memory = std::make_unique<arena>(arena_options{.name = name(),
                                                       .first_chunk_bytes = options.first_chunk_bytes,
                                                       .largest_chunk_bytes = options.largest_chunk_bytes,
                                                       .keep_bytes = options.keep_bytes,
                                                       .checks = options.checks,
                                                       .part_of = this,
                                                       .upstream = options.upstream});
  }
  current_ = frames_[0].memory.get();
}

frame_ring::~frame_ring() {
  for (std::size_t i = 1; i <= frames_.size(); ++i) frames_[(frame_ + i) % frames_.size()].memory->release();
}

void frame_ring::retire(one_frame& old) {
  old.memory->reset();
  store(use().used_bytes, use().used_bytes - old.used_bytes);
  store(use().used_blocks, use().used_blocks - old.used_blocks);
  old.used_bytes = old.used_blocks = 0;
}

void frame_ring::advance() {
  one_frame& last = frames_[frame_ % frames_.size()];
  last.used_bytes = use().used_bytes - bytes_before_;
  last.used_blocks = use().used_blocks - blocks_before_;
  one_frame& next = frames_[(frame_ + 1) % frames_.size()];
  retire(next);
  ++frame_;
  current_ = next.memory.get();
  bytes_before_ = use().used_bytes;
  blocks_before_ = use().used_blocks;
}

std::uint64_t frame_ring::frame_of(const void* block) const noexcept {
  for (std::uint64_t age = 0; age < frames_.size() && age <= frame_; ++age) {
    if (frames_[(frame_ - age) % frames_.size()].memory->owns(block)) return frame_ - age;
  }
  return UINT64_MAX;
}

bool frame_ring::owns(const void* block) const noexcept {
  return std::any_of(frames_.begin(), frames_.end(), [&](const one_frame& one) { return one.memory->owns(block); });
}

std::size_t frame_ring::trim() noexcept {
  std::size_t freed = 0;
  for (const one_frame& one : frames_) freed += one.memory->trim();
  return freed;
}

void frame_ring::visit_live(live_visitor visit, void* context) const {
  for (const one_frame& one : frames_) one.memory->visit_live(visit, context);
}

void frame_ring::check() const {
  std::uint64_t held = 0, used = 0, counted = 0;
  for (const one_frame& one : frames_) {
    one.memory->check();
    held += one.memory->statistics().held_bytes;
    one.memory->for_each_live([&](const live_block& range) { used += range.bytes; });
    counted += one.used_bytes;
  }
  const resource_statistics now = statistics();
  TENURE_CHECK(held == now.held_bytes);
  TENURE_CHECK(now.used_bytes <= used);  // without what lies between blocks for their alignment
  TENURE_CHECK(counted == bytes_before_);
}

}  // namespace tenure
