// Gates: limits that the figures of a recording have to keep, for builds that fail when memory gets worse.
//
//   gate      measure   name       limit              kept when
//             held      (none)     64 MiB             all together held at most so much at the peak
//             left      parse_*    +5% +64 KiB        each function that fits left at most 5 % and 64 KiB more than it
//                                                     did in the baseline
//
// Growth is told against a baseline as `difference` compares them. Where the baseline is several recordings, what they
// differ by among themselves is allowed as well; where it is one, the limit is all that is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/analyze/difference.h"

namespace tenure::analyze {

struct limit {
  bool is_growth = false;    // over the baseline; else it is `amount` and nothing else counts
  double share = 0;          // of the baseline's figure
  std::uint64_t amount = 0;  // bytes or blocks

  // What is allowed of a figure whose baseline and noise are these.
  double allowed(const change& of, bool is_noise_measured) const;
};

struct gate {
  measure of = measure::held_bytes;
  std::string name;          // of functions, as `selection` takes them; empty: all together
  bool takes_sites = false;  // each call site of such a function for itself
  analyze::limit limit = {};
};

// One figure that was held against the limit.
struct judged_figure {
  const changed_site* site = nullptr;  // of all together: difference::totals
  double before = 0;                   // in the baseline
  double measured = 0;
  double allowed = 0;
  std::vector<const changed_site*> sites;  // where it is too much: the call sites behind it, greatest first

  double over() const { return measured - allowed; }
};

struct verdict {
  std::size_t judged = 0;               // how many figures: 1 of all together, else as many as fit the name
  judged_figure worst;                  // that which lies farthest over its limit, or nearest below
  std::vector<judged_figure> too_much;  // farthest over first

  bool is_kept() const { return too_much.empty(); }
};

// `compared` outlives the verdict; without a baseline its `before` is nothing.
verdict judge(const gate& one, const difference& compared, std::size_t most_sites);

}  // namespace tenure::analyze
