#include "library/gc/semispace.h"

#include "library/gc/roots.h"

namespace tenure::gc {

namespace {

// A place in the blocks that came: the block's number in its list and a cell in it.
struct position {
  std::size_t block = 0;
  std::uint32_t cell = 0;
};
struct space {
  bool has_any = false;
  position fill;  // where the next copy goes
  position scan;  // up to where slots are followed
};

class copying {
 public:
  explicit copying(relocation& by) noexcept : by_(by) {
    for (block_list& list : by.heap().lists) list.guard.acquire();
  }
  ~copying() {
    for (block_list& list : by_.heap().lists) list.guard.release();
  }
  copying(const copying&) = delete;
  copying& operator=(const copying&) = delete;

  // True when it was copied.
  bool copy(const cell_place& at) noexcept {
    if (is_full_ || !by_.is_movable(at)) return false;
    cell_place to;
    // After the first that has no room none is copied: the slots of copies are final once they have been looked at.
    is_full_ = !next_cell(at.header->list, to) || !by_.move(at, to);
    if (!is_full_) ++spaces_[at.header->list].fill.cell;
    return !is_full_;
  }
  void copy_target(void* target) noexcept {
    if (!by_.all().holds(target)) return;
    const cell_place at = by_.all().place(target);
    if (at.header->heap_number == by_.heap().number) copy(at);
  }
  void copy_targets_of(const cell_place& at) noexcept {
    const auto each = [&](char* slot) { copy_target(read_slot(slot)); };
    for_each_slot_of(at, each, [&](char* pair) {
      each(pair);
      each(pair + sizeof(void*));
    });
  }

  // Copies what the copies lead to, until all have been looked through.
  void scan() noexcept {
    for (bool any = true; any;) {
      any = false;
      for (std::size_t list = 0; list < detail::list_count; ++list) any = scan_space(list) || any;
    }
  }

 private:
  bool next_cell(std::size_t list, cell_place& found) noexcept {
    space& in = spaces_[list];
    const std::vector<std::uint32_t>& blocks = by_.heap().lists[list].blocks;
    if (!in.has_any || in.fill.cell == by_.all().header(blocks[in.fill.block]).cell_count) {
      if (by_.add_block(list) == window::npos) return false;
      in.fill = {blocks.size() - 1, 0};
      if (!in.has_any) in.scan = in.fill;
      in.has_any = true;
    }
    const std::uint32_t block = blocks[in.fill.block];
    found =
        by_.all().place(by_.all().address_of(block) + std::size_t{in.fill.cell} * by_.all().header(block).cell_bytes);
    return true;
  }

  // True when there was a copy that had not been looked through.
  bool scan_space(std::size_t list) noexcept {
    space& in = spaces_[list];
    if (!in.has_any) return false;
    bool any = false;
    const std::vector<std::uint32_t>& blocks = by_.heap().lists[list].blocks;
    for (;;) {
      const std::uint32_t block = blocks[in.scan.block];
      const block_header& header = by_.all().header(block);
      if (in.scan.block == in.fill.block && in.scan.cell == in.fill.cell) return any;
      if (in.scan.cell == header.cell_count) {
        in.scan = {in.scan.block + 1, 0};
        continue;
      }
      any = true;
      const cell_place at =
          by_.all().place(by_.all().address_of(block) + std::size_t{in.scan.cell++} * header.cell_bytes);
      if (is_traced(header.kind)) scan_object(at);
    }
  }

  void scan_object(const cell_place& at) noexcept {
    copy_targets_of(at);
    by_.follow_slots(at);
  }

  relocation& by_;
  bool is_full_ = false;
  space spaces_[detail::list_count];
};

}  // namespace

void copy_all(relocation& by) {
  copying copies(by);
  for_each_root_slot(false, [&](detail::root_slot&, void* target) { copies.copy_target(target); });
  // What stays leads to what does not, as roots do.
  for_each_object(by.heap(), has_slots_or_pairs, [&](const cell_place& at) {
    if (is_pinned(at) || at.header->state.load(std::memory_order_relaxed) == block_state::large) {
      copies.copy_targets_of(at);
    }
  });
  copies.scan();
  // Of types that may not be moved, and what nothing else has led to.
  for_each_object(by.heap(), is_any, [&](const cell_place& at) {
    if (copies.copy(at)) copies.scan();
  });
  by.entered_are_followed();
}

}  // namespace tenure::gc
