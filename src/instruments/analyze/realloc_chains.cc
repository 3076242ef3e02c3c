#include "instruments/analyze/realloc_chains.h"

namespace tenure::analyze {
namespace {

// Of the heap that was recorded: its greatest size class, and the most that a block of these bytes can hold. Classes
// lie at most a quarter apart, the least ones 16 bytes.
constexpr std::uint64_t largest_small_bytes = 65536;

std::uint64_t most_usable_bytes(std::uint64_t bytes) { return std::max(bytes + bytes / 4, bytes + 16); }

}  // namespace

void realloc_chains::allocate(std::uint32_t slot, std::uint32_t thread, std::uint64_t bytes, bool is_realloc,
                              std::uint32_t owner) {
  thread_state& of = at(thread);
  settle(of);
  if (slot >= blocks_.size()) blocks_.resize(slot + 1);
  blocks_[slot] = {++serial_, 0};
  if (is_realloc) of.open = open_realloc{slot, owner, serial_, bytes, of.freed};
  of.freed.reset();
}

void realloc_chains::free(std::uint32_t slot, std::uint32_t thread, std::uint64_t bytes) {
  thread_state& of = at(thread);
  if (slot >= blocks_.size()) blocks_.resize(slot + 1);
  if (of.open && of.open->serial == blocks_[slot].serial) settle(of);
  take_free(of, {blocks_[slot], bytes, true, false});
}

void realloc_chains::free_unknown(std::uint32_t thread) { take_free(at(thread), {{}, 0, false, false}); }

bool realloc_chains::could_stay(std::uint64_t old_bytes, std::uint64_t bytes) {
  return old_bytes > largest_small_bytes ? bytes > largest_small_bytes : bytes <= most_usable_bytes(old_bytes);
}

bool realloc_chains::could_move(std::uint64_t old_bytes, std::uint64_t bytes) {
  const bool becomes_small = old_bytes > largest_small_bytes && bytes <= largest_small_bytes;
  return becomes_small || bytes > old_bytes || 2 * bytes < most_usable_bytes(old_bytes);
}

void realloc_chains::take_free(thread_state& of, const old_block& freed) {
  if (!of.open) {
    of.freed = freed;
    return;
  }
  const open_realloc one = *of.open;
  const bool could_be_before = one.before && (!one.before->is_known || could_stay(one.before->bytes, one.bytes));
  const bool could_be_this = !freed.is_known || could_move(freed.bytes, one.bytes);
  if (could_be_this && !could_be_before) {
    of.open.reset();
    of.freed.reset();
    return link(one, freed, true);
  }
  // Where neither could be, what we think of the sizes is wrong, and nothing follows from it.
  const bool is_settled = could_be_before && !could_be_this;
  if (is_settled) {
    settle(of);
  } else {
    of.open.reset();
    if (realloc_figures* const figures = figures_of(one)) ++figures->uncertain;
  }
  of.freed = freed;
  of.freed->is_doubtful = !is_settled;
}

void realloc_chains::settle(thread_state& of) {
  if (!of.open) return;
  const open_realloc one = *of.open;
  of.open.reset();
  if (one.before && !one.before->is_doubtful) return link(one, *one.before, false);
  if (realloc_figures* const figures = figures_of(one)) ++(one.before ? figures->uncertain : figures->unmatched);
}

void realloc_chains::link(const open_realloc& one, const old_block& old, bool is_moved) {
  const std::uint64_t resizes = old.what.resizes + 1;
  // Another thread may have freed it meanwhile, and its slot serve again.
  if (blocks_[one.slot].serial == one.serial) blocks_[one.slot].resizes = resizes;
  realloc_figures* const figures = figures_of(one);
  if (figures == nullptr) return;
  if (!old.is_known) {
    ++figures->unmatched;
    return;
  }
  ++(is_moved ? figures->moved : figures->in_place);
  if (one.bytes < old.bytes) ++figures->shrinks;
  if (is_moved) figures->moved_bytes += std::min(one.bytes, old.bytes);
  if (resizes == 1) ++figures->chains;
  figures->longest = std::max(figures->longest, resizes);
}

realloc_figures* realloc_chains::figures_of(const open_realloc& one) {
  if (one.owner == no_index) return nullptr;
  if (one.owner >= figures_.size()) figures_.resize(one.owner + 1);
  return &figures_[one.owner];
}

realloc_chains::thread_state& realloc_chains::at(std::uint32_t thread) {
  if (thread >= threads_.size()) threads_.resize(thread + 1);
  return threads_[thread];
}

void realloc_chains::finish() {
  for (thread_state& one : threads_) settle(one);
  for (realloc_figures& one : figures_) one.calls = one.in_place + one.moved + one.uncertain + one.unmatched;
}

}  // namespace tenure::analyze
