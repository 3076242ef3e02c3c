// Own slots: the numbers by which whoever reads a recording keeps its living blocks, in place of the file's slots.
//
//   file's slot   0   1   2   3   4   5  ...  5'999'999          where reading begins at a checkpoint
//                 0   -   -   1   -   -       2                  own slot
//
// Of millions of blocks that lived at once some few may be left, all over the slots that there were: arrays by the
// file's slots would be as long as on the day of the peak. From the beginning on both are the same.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "instruments/record/event_block.h"
#include "instruments/record/slot_table.h"

namespace tenure::record {

class own_slots {
 public:
  explicit own_slots(slot_table::order order) : of_file_(order), own_(slot_table::order::never) {}

  // Of the next block.
  std::uint32_t take() { return set(of_file_.take(), own_.take()); }
  // From the file's to that of the block that goes. False when it is of no block.
  bool give(std::uint32_t& slot) {
    if (!of_file_.give(slot)) return false;
    slot = own_of_[slot];
    return own_.give(slot);
  }
  // Will be asked for soon; of the file.
  void expect(std::uint32_t slot) const {
    if (slot < own_of_.size()) __builtin_prefetch(&own_of_[slot]);
  }
  // A block that is alive where reading begins, before anything else is asked; from the file's to its own.
  void take_alive(std::uint32_t& slot) { slot = set(slot, own_.take()); }
  // Behind the last of these: what the file had then.
  void set_file(slot_table of_file) { of_file_ = std::move(of_file); }

 private:
  std::uint32_t set(std::uint32_t of_file, std::uint32_t own) {
    if (of_file >= own_of_.size()) own_of_.resize(of_file + std::size_t{1});
    return own_of_[of_file] = own;
  }

  slot_table of_file_;
  slot_table own_;
  std::vector<std::uint32_t> own_of_;  // by the file's slot
};

}  // namespace tenure::record
