// Difference: two sides of recordings compared site by site, with what is noise told from what changed.
//
// A side is one recording or several of the same thing. Of several, the mean is compared, and how far they lie apart
// (greatest less least) is the noise: a change is one when it is greater than the spread of either side. Where there is
// one recording a side nothing was measured, and a rule stands in: changes of no more than a hundredth of the site's
// figure or a thousandth of the whole are called noise.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "instruments/analyze/site_identity.h"

namespace tenure::analyze {

enum class measure { held_bytes, allocated_bytes, allocated_blocks, left_bytes };
inline constexpr std::size_t measure_count = 4;
// As JSON calls it: "held_bytes".
const char* json_name(measure of);

double value_of(const site_figures& figures, measure of);

struct change {
  double before = 0, after = 0;  // means
  double noise = 0;              // what a change has to exceed

  double difference() const { return after - before; }
  bool is_noise() const { return difference() <= noise && -difference() <= noise; }
};

struct changed_site {
  std::vector<std::string> frames;  // the identity; of a function, one
  std::string place_before, place_after;
  std::array<change, measure_count> by_measure;

  const std::string& place() const { return place_after.empty() ? place_before : place_after; }
  const change& of(measure which) const { return by_measure[static_cast<std::size_t>(which)]; }
};

struct difference {
  changed_site totals;
  std::vector<changed_site> by_function;  // by |difference| of the measure asked for, greatest first
  std::vector<changed_site> by_site;      // likewise
  bool is_measured = false;               // the noise is that of several recordings
  bool is_exact = true;                   // nothing was lost in any of them
};

difference compare(std::span<const run_figures> before, std::span<const run_figures> after, measure by);

}  // namespace tenure::analyze
