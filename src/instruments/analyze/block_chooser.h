// Which of the blocks that a process named, at one moment, are spoken of. Where they are chosen by what is known of
// them, those of which nothing is known are left out.
#pragma once

#include <cstdint>

#include "instruments/analyze/selection.h"
#include "instruments/collect/leak_scan.h"

namespace tenure::analyze {

class block_chooser {
 public:
  block_chooser(const selection& selected, const process_profile& of, frame_resolver& frames)
      : selected_(selected), start_ns_(of.record.start_ns), chooser_(selected, of, frames) {}
  bool takes(const collect::scanned_block& block) {
    if (!chooser_.takes_process()) return false;
    if (!selected_.chooses_blocks()) return true;
    if (block.stack == no_index) return false;
    const std::uint64_t age_ns = block.time_ns > start_ns_ ? block.time_ns - start_ns_ : 0;
    return age_ns >= selected_.begin_ns && age_ns < selected_.end_ns &&
           chooser_.takes(block.stack, block.thread, block.known_bytes());
  }

 private:
  const selection& selected_;
  std::uint64_t start_ns_;
  selector chooser_;
};

}  // namespace tenure::analyze
