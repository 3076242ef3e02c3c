#include "instruments/analyze/difference.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tenure::analyze {
namespace {

using site_map = std::map<std::vector<std::string>, site_figures>;

constexpr double share_of_site = 0.01, share_of_whole = 0.001;

struct side {
  double mean = 0, least = 0, greatest = 0;
};

template <class Value>
side side_of(std::size_t count, Value&& value) {
  side result;
  for (std::size_t i = 0; i < count; ++i) {
    const double one = value(i);
    result.mean += one / static_cast<double>(count);
    result.least = i == 0 ? one : std::min(result.least, one);
    result.greatest = i == 0 ? one : std::max(result.greatest, one);
  }
  return result;
}

change change_of(const side& before, const side& after, bool is_measured, double whole) {
  change result{before.mean, after.mean, 0};
  result.noise = is_measured ? std::max(before.greatest - before.least, after.greatest - after.least)
                             : std::max(share_of_site * std::max(before.mean, after.mean), share_of_whole * whole);
  return result;
}

const site_figures& find(const site_map& sites, const std::vector<std::string>& frames) {
  static const site_figures none;
  const auto found = sites.find(frames);
  return found != sites.end() ? found->second : none;
}

std::vector<changed_site> compare_sites(const std::vector<site_map>& before, const std::vector<site_map>& after,
                                        const changed_site& totals, bool is_measured, measure by) {
  std::set<std::vector<std::string>> all;
  for (const auto* const sides : {&before, &after})
    for (const site_map& sites : *sides)
      for (const auto& [frames, figures] : sites) all.insert(frames);
  std::vector<changed_site> result;
  for (const std::vector<std::string>& frames : all) {
    changed_site one;
    one.frames = frames;
    for (std::size_t m = 0; m < measure_count; ++m) {
      const auto values = [&](const std::vector<site_map>& of) {
        return side_of(of.size(),
                       [&](std::size_t i) { return value_of(find(of[i], frames), static_cast<measure>(m)); });
      };
      const change& whole = totals.by_measure[m];
      one.by_measure[m] = change_of(values(before), values(after), is_measured, std::max(whole.before, whole.after));
    }
    for (const site_map& sites : before)
      if (one.place_before.empty()) one.place_before = find(sites, frames).place;
    for (const site_map& sites : after)
      if (one.place_after.empty()) one.place_after = find(sites, frames).place;
    result.push_back(std::move(one));
  }
  std::stable_sort(result.begin(), result.end(), [&](const changed_site& left, const changed_site& right) {
    return std::abs(left.of(by).difference()) > std::abs(right.of(by).difference());
  });
  return result;
}

changed_site compare_totals(std::span<const run_figures> before, std::span<const run_figures> after, bool is_measured) {
  changed_site result;
  for (std::size_t m = 0; m < measure_count; ++m) {
    const auto values = [&](std::span<const run_figures> of) {
      return side_of(of.size(), [&](std::size_t i) { return value_of(of[i].totals, static_cast<measure>(m)); });
    };
    result.by_measure[m] = change_of(values(before), values(after), is_measured, 0);
  }
  return result;
}

}  // namespace

const char* json_name(measure of) {
  static constexpr std::array names = {"held_bytes", "allocated_bytes", "allocated_blocks", "left_bytes"};
  return names[static_cast<std::size_t>(of)];
}

double value_of(const site_figures& figures, measure of) {
  switch (of) {
    case measure::held_bytes:
      return static_cast<double>(figures.at_moment.bytes);
    case measure::allocated_bytes:
      return static_cast<double>(figures.allocated.bytes);
    case measure::allocated_blocks:
      return static_cast<double>(figures.allocated.blocks);
    case measure::left_bytes:
      return static_cast<double>(figures.left.bytes);
  }
  return 0;
}

difference compare(std::span<const run_figures> before, std::span<const run_figures> after, measure by) {
  difference result;
  result.is_measured = before.size() > 1 || after.size() > 1;
  for (const auto& side : {before, after})
    for (const run_figures& run : side) result.is_exact &= run.is_exact;
  result.totals = compare_totals(before, after, result.is_measured);
  std::array<std::vector<site_map>, 2> sites, functions;
  for (std::size_t which = 0; which < 2; ++which)
    for (const run_figures& run : which == 0 ? before : after) {
      sites[which].push_back(run.by_site);
      functions[which].push_back(by_function(run));
    }
  result.by_site = compare_sites(sites[0], sites[1], result.totals, result.is_measured, by);
  result.by_function = compare_sites(functions[0], functions[1], result.totals, result.is_measured, by);
  return result;
}

}  // namespace tenure::analyze
