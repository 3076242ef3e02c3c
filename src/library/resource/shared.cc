#include <tenure/shared.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "core/base/check.h"
#include "library/resource/checks.h"
#include "library/resource/shared_segment.h"

namespace tenure {
namespace {

using resources::shared_block;
using resources::shared_blocks;
using resources::shared_segment;
using hold_lock = shared_segment::hold_lock;

constexpr const char* no_block = "release of what is no block in use, or no longer";

std::unique_ptr<shared_segment> make_segment(const shared_options& options, const char* name) {
  resources::segment_layout layout;
  if (const char* const wrong = resources::layout_of(options.bytes, options.smallest_bytes, layout)) {
    throw std::invalid_argument(std::string("tenure::shared: ") + wrong);
  }
  resources::owned_file file = resources::make_segment_file(name, options.segment, layout.segment_bytes);
  try {
    return shared_segment::make(std::move(file), layout, name);
  } catch (...) {
    if (options.segment != nullptr) ::shm_unlink(options.segment);
    throw;
  }
}

// A child of fork() has a place of its own from its first call on.
void join(shared_segment& segment) {
  if (segment.has_joined()) return;
  const std::lock_guard one_at_a_time(resources::joining_mutex());
  if (!segment.has_joined()) segment.join_as_participant();
}

shared_block find(shared_segment& segment, const void* block) noexcept {
  const std::size_t offset = segment.offset_of(block);
  return offset == shared_blocks::none ? shared_block{0, 0, 0} : segment.blocks().at(offset);
}

void forget_record(shared_segment& segment, const shared_block& block, const void* address) noexcept {
  if (!segment.records || block.slot != segment.slot() || segment.records->find(address) == nullptr) return;
  [[maybe_unused]] const bool is_told = segment.records->remove(address, segment.layout().block_bytes(block.order), 1);
}

}  // namespace

shared::shared(const shared_options& options) : memory_resource(options.name, "shared", options.parent) {
  segment_ = make_segment(options, name());
  if (resources::wants_checks(options.checks)) {
    segment_->records = std::make_unique<resources::block_records>(kind(), name());
  }
  segment_->owner = this;
  resources::enter_segment(*segment_);
}

shared::shared(std::unique_ptr<shared_segment> segment, const shared_attach_options& options)
    : memory_resource(options.name.empty() ? segment->maker_name() : std::string(options.name), "shared",
                      options.parent),
      segment_(std::move(segment)) {
  if (resources::wants_checks(options.checks)) {
    segment_->records = std::make_unique<resources::block_records>(kind(), name());
  }
  segment_->owner = this;
  resources::enter_segment(*segment_);
}

shared shared::attach(int descriptor, const shared_attach_options& options) {
  return {shared_segment::join(resources::duplicate_segment_file(descriptor)), options};
}

shared shared::open(const char* segment, const shared_attach_options& options) {
  if (segment == nullptr) throw std::invalid_argument("tenure::shared: the name of a segment to open");
  return {shared_segment::join(resources::open_segment_file(segment)), options};
}

bool shared::remove(const char* segment) noexcept { return segment != nullptr && ::shm_unlink(segment) == 0; }

shared::~shared() {
  resources::remove_segment(*segment_);
  if (segment_->records && segment_->has_joined()) segment_->records->report_left();
  segment_->leave();
}

int shared::descriptor() const noexcept { return segment_->file(); }
void shared::send_to(int unix_socket) const { resources::send_descriptor(unix_socket, descriptor()); }
int shared::receive_from(int unix_socket) { return resources::receive_descriptor(unix_socket); }

// With the lock: what others have released or taken over of this process's blocks is no longer its own. What is held is
// written before the account is told, so that a child forked by another thread in between gives nothing back twice.
void shared::settle() noexcept {
  const resources::segment_slot& mine = segment_->blocks().slot(segment_->slot());
  const std::uint64_t bytes = std::min(mine.used_bytes, segment_->held_bytes);
  const std::uint64_t blocks = std::min(mine.used_blocks, segment_->held_blocks);
  const std::uint64_t bytes_gone = segment_->held_bytes - bytes;
  const std::uint64_t blocks_gone = segment_->held_blocks - blocks;
  if (bytes_gone != 0 || blocks_gone != 0) {
    segment_->held_bytes = bytes;
    segment_->held_blocks = blocks;
    let_go(bytes_gone, blocks_gone);
  }
  store(use().used_bytes, bytes);
  store(use().used_blocks, blocks);
}

void shared::own(std::uint64_t bytes) noexcept {
  segment_->held_bytes += bytes;
  segment_->held_blocks += 1;
  count_allocation(bytes);
  settle();
}

void* shared::allocate_for(unsigned slot, unsigned order, const char*& damage) {
  const std::size_t block_bytes = segment_->layout().block_bytes(order);
  const hold_lock held(*segment_);
  if (segment_->is_damaged()) {
    damage = "another process has found its blocks damaged";
    return nullptr;
  }
  const std::size_t offset = segment_->blocks().take(order, slot);
  if (offset == shared_blocks::none) return nullptr;
  if (offset == shared_blocks::damaged) {
    __atomic_store_n(&segment_->header().is_damaged, 1u, __ATOMIC_RELAXED);
    damage = "its blocks are damaged";
    return nullptr;
  }
  void* const block = segment_->data() + offset;
  if (slot != 0) {
    try {
      if (segment_->records) segment_->records->add(block, block_bytes, 1);
    } catch (const std::bad_alloc&) {
      segment_->blocks().give(segment_->blocks().at(offset));
      return nullptr;
    }
    own(block_bytes);
  }
  return block;
}

void* shared::allocate_or_throw(bool is_kept, std::size_t bytes, std::size_t alignment) {
  const unsigned order = segment_->layout().order_for(bytes, alignment);
  if (order == 0) throw std::bad_alloc();
  join(*segment_);
  const std::size_t block_bytes = segment_->layout().block_bytes(order);
  if (!is_kept) hold(block_bytes);  // which may ask shrinkers, so without the lock
  const char* damage = nullptr;
  void* const block = allocate_for(is_kept ? 0 : segment_->slot(), order, damage);
  if (block != nullptr) return block;
  if (!is_kept) let_go(block_bytes);
  if (damage == nullptr) throw std::bad_alloc();
  throw std::runtime_error(std::string("tenure::shared: segment \"") + name() + "\": " + damage);
}

void* shared::do_allocate(std::size_t bytes, std::size_t alignment) {
  return allocate_or_throw(false, bytes, alignment);
}
void* shared::allocate_kept(std::size_t bytes, std::size_t alignment) {
  return allocate_or_throw(true, bytes, alignment);
}

void shared::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const unsigned order = segment_->layout().order_for(bytes, alignment);
  join(*segment_);
  const char* wrong = nullptr;
  {
    const hold_lock held(*segment_);
    const shared_block found = find(*segment_, block);
    if (found.order != 0 && found.order == order) {
      forget_record(*segment_, found, block);
      segment_->blocks().give(found);
      settle();
    } else {
      wrong = found.order == 0 ? no_block : "release with a size that is not this block's";
    }
  }
  if (wrong != nullptr) report(wrong, block, segment_->layout().block_bytes(order));
}

// Where this process knows the block's sites the message has them.
void shared::report(const char* what, const void* block, std::size_t bytes) noexcept {
  if (segment_->records) {
    const hold_lock held(*segment_);
    if (!segment_->records->remove(block, bytes, 1)) return;
  }
  const resources::call_site here = resources::capture_site();
  resources::report_misuse(what, block, 0, kind(), name(), {{"released here", &here}});
}

void shared::keep(void* block) {
  join(*segment_);
  shared_block found{};
  {
    const hold_lock held(*segment_);
    found = find(*segment_, block);
    if (found.order != 0) {
      forget_record(*segment_, found, block);
      segment_->blocks().hand_over(found, 0);
      settle();
    }
  }
  if (found.order == 0) report_no_block("handing on of what is no block in use", block);
}

void shared::take_over(void* block) {
  join(*segment_);
  for (;;) {
    shared_block found{};
    {
      const hold_lock held(*segment_);
      found = find(*segment_, block);
    }
    if (found.order == 0) return report_no_block("taking over of what is no block in use", block);
    if (found.slot == segment_->slot()) return;
    const std::size_t block_bytes = segment_->layout().block_bytes(found.order);
    hold(block_bytes);
    const hold_lock held(*segment_);
    const shared_block now = find(*segment_, block);
    if (now.order == found.order && now.slot == found.slot) {
      segment_->blocks().hand_over(now, segment_->slot());
      own(block_bytes);
      return;
    }
    let_go(block_bytes);
  }
}

void shared::report_no_block(const char* what, const void* block) const noexcept {
  const resources::call_site here = resources::capture_site();
  resources::report_misuse(what, block, 0, kind(), name(), {{"here", &here}});
}

void shared::set_root(const void* object) {
  const std::size_t offset = object == nullptr ? 0 : segment_->offset_of(object);
  if (offset == shared_blocks::none) throw std::invalid_argument("tenure::shared: a root lies in the segment");
  const std::uint64_t stored = object == nullptr ? 0 : offset + segment_->layout().data_offset;
  __atomic_store_n(&segment_->header().root_offset, stored, __ATOMIC_RELEASE);
}

void* shared::root() const noexcept {
  const std::uint64_t offset = __atomic_load_n(&segment_->header().root_offset, __ATOMIC_ACQUIRE);
  const resources::segment_layout& layout = segment_->layout();
  return offset < layout.data_offset || offset >= layout.segment_bytes ? nullptr : segment_->begin() + offset;
}

std::vector<shared_participant> shared::participants() const {
  join(*segment_);
  std::vector<shared_participant> all;
  const hold_lock held(*segment_);
  for (unsigned number = 1; number < resources::segment_slots; ++number) {
    const resources::segment_slot& one = segment_->blocks().slot(number);
    if (one.process == 0 && one.used_blocks == 0) continue;
    all.push_back({number, one.process, segment_->is_alive(number), one.used_bytes, one.used_blocks});
  }
  return all;
}

std::vector<live_block> shared::blocks_of(const shared_participant& who) const {
  join(*segment_);
  std::vector<live_block> all;
  const hold_lock held(*segment_);
  segment_->blocks().for_each([&](const shared_block& one) {
    if (one.slot == who.number)
      all.push_back({segment_->data() + one.offset, segment_->layout().block_bytes(one.order)});
  });
  return all;
}

std::size_t shared::reclaim(const shared_participant& who) {
  join(*segment_);
  const hold_lock held(*segment_);
  if (who.number == 0 || who.number >= resources::segment_slots || segment_->is_alive(who.number)) {
    throw std::logic_error("tenure::shared: process " + std::to_string(who.process) +
                           " lives, and what it has is not to be reclaimed");
  }
  segment_->blocks().slot(who.number).process = 0;
  return segment_->give_all_of(who.number);
}

// Who lives is asked under the lock that is held until all are through.
std::size_t shared::reclaim_dead() {
  join(*segment_);
  std::size_t bytes = 0;
  const hold_lock held(*segment_);
  for (unsigned number = 1; number < resources::segment_slots; ++number) {
    resources::segment_slot& one = segment_->blocks().slot(number);
    if ((one.process == 0 && one.used_blocks == 0) || segment_->is_alive(number)) continue;
    one.process = 0;
    bytes += segment_->give_all_of(number);
  }
  return bytes;
}

shared_statistics shared::segment() const {
  join(*segment_);
  const hold_lock held(*segment_);
  shared_statistics sums{};
  sums.bytes = segment_->layout().data_bytes;
  sums.committed_bytes = segment_->committed_bytes();
  for (unsigned number = 0; number < resources::segment_slots; ++number) {
    const resources::segment_slot& one = segment_->blocks().slot(number);
    sums.used_bytes += one.used_bytes;
    sums.used_blocks += one.used_blocks;
    if (number == 0) sums.kept_bytes = one.used_bytes, sums.kept_blocks = one.used_blocks;
  }
  sums.recoveries = segment_->header().recoveries;
  return sums;
}

shared& shared::of(const void* segment_begin) {
  if (shared* const found = resources::find_segment(segment_begin)) return *found;
  throw std::logic_error("tenure::shared: this process has no segment at the address of an allocator");
}

const void* shared::begin() const noexcept { return segment_->begin(); }

bool shared::owns(const void* block) const noexcept { return segment_->offset_of(block) != shared_blocks::none; }

std::size_t shared::trim() noexcept {
  if (!segment_->has_joined()) return 0;
  const hold_lock held(*segment_);
  settle();
  return segment_->is_damaged() ? 0 : segment_->drop_free_chunks();
}

void shared::visit_live(live_visitor visit, void* context) const {
  if (!segment_->has_joined()) return;  // a child's, which has nothing
  shared_participant self{};
  self.number = segment_->slot();
  for (const live_block& one : blocks_of(self)) visit(context, one);
}

void shared::check() const {
  join(*segment_);
  const hold_lock held(*segment_);
  TENURE_CHECK(!segment_->is_damaged());
  const char* const fault = segment_->blocks().find_fault();
  TENURE_CHECK(fault == nullptr);
  const resources::segment_slot& mine = segment_->blocks().slot(segment_->slot());
  TENURE_CHECK(mine.used_bytes <= segment_->held_bytes && mine.used_blocks <= segment_->held_blocks);
}

}  // namespace tenure
