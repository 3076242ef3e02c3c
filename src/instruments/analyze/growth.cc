#include "instruments/analyze/growth.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

constexpr std::size_t least_values = 8;
constexpr double confidence_z = 2.576;  // 99 %, two-sided
constexpr double bytes_per_mebibyte = 1 << 20;

// One function while the recording goes by.
struct open_site {
  std::string function;
  std::uint32_t stack = no_index;  // that of what is left: the one that holds most of it
  window_series live;
  std::uint64_t allocated_blocks = 0;
  std::uint64_t freed_blocks = 0;
  // Of what is left at the end.
  std::uint64_t left_blocks = 0;
  std::uint64_t oldest_ns = 0;
  double ages_ns = 0;
  std::uint64_t most_left_bytes = 0;  // of one stack
};

class growth_visitor {
 public:
  explicit growth_visitor(recording_walk& walk) : walk_(walk), open_(walk.size()) {}

  void operator()(std::size_t index, const record::event& one, const live_block& block) {
    open_site& site = site_of(index, block.stack);
    site.live.advance(walk_.process(index).allocated_bytes);
    if (one.kind == record::event_kind::allocation) {
      ++site.allocated_blocks;
      site.live.add(block.bytes);
    } else {
      ++site.freed_blocks;
      site.live.subtract(block.bytes);
    }
  }
  // What was alive before.
  void operator()(std::size_t index, const record::event&, const live_block& block, bool is_taken) {
    if (is_taken) site_of(index, block.stack).live.add(block.bytes);
  }

  growth_process close(std::size_t index) {
    growth_process result;
    const walked_process& walked = walk_.process(index);
    std::vector<std::uint64_t> left_bytes(open_[index].place_of.size());  // by stack
    for (const live_block& block : walk_.blocks(index)) {
      if (block.stack == no_index) continue;
      open_site& site = site_of(index, block.stack);
      left_bytes[block.stack] += block.bytes;
      const std::uint64_t age_ns = walked.last_ns > block.time_ns ? walked.last_ns - block.time_ns : 0;
      ++site.left_blocks;
      site.oldest_ns = std::max(site.oldest_ns, age_ns);
      site.ages_ns += static_cast<double>(age_ns);
    }
    for (std::uint32_t stack = 0; stack < left_bytes.size(); ++stack) {
      if (left_bytes[stack] == 0) continue;
      open_site& site = site_of(index, stack);
      if (left_bytes[stack] <= site.most_left_bytes) continue;
      site.most_left_bytes = left_bytes[stack];
      site.stack = stack;
    }
    for (open_site& site : open_[index].sites) {
      if (site.allocated_blocks < least_judged_blocks) continue;
      ++result.judged;
      site.live.advance(walked.allocated_bytes);
      if (const auto grows = unending_growth(site.live.ends())) add(result, walked, site, *grows);
    }
    for (growing_site& one : result.suspects) one.chain = walk_.frames(index).site_chain(one.stack);
    std::stable_sort(result.suspects.begin(), result.suspects.end(), [](const growing_site& a, const growing_site& b) {
      return a.bytes_per_mib.value > b.bytes_per_mib.value;
    });
    result.walked = std::move(walk_.process(index));
    return result;
  }

 private:
  struct open_process {
    std::vector<std::uint32_t> place_of;  // by stack
    std::unordered_map<std::string, std::uint32_t> place_by_name;
    std::vector<open_site> sites;
  };

  open_site& site_of(std::size_t index, std::uint32_t stack) {
    open_process& of = open_[index];
    if (stack >= of.place_of.size()) of.place_of.resize(stack + std::size_t{1}, no_index);
    std::uint32_t& place = of.place_of[stack];
    if (place != no_index) return of.sites[place];
    const auto chain = walk_.frames(index).user_chain(stack, 1);
    const std::string name = chain.empty() ? "[no stack]" : chain[0].what->function;
    place = of.place_by_name.emplace(name, static_cast<std::uint32_t>(of.sites.size())).first->second;
    if (place == of.sites.size()) {
      of.sites.emplace_back();
      of.sites.back().function = name;
      of.sites.back().stack = stack;
    }
    return of.sites[place];
  }

  static void add(growth_process& to, const walked_process& walked, const open_site& site, const slope& grows) {
    growing_site one;
    one.function = site.function;
    one.stack = site.stack;
    const double steps_per_mib = bytes_per_mebibyte / static_cast<double>(site.live.width());
    one.bytes_per_mib = {grows.value * steps_per_mib, grows.low * steps_per_mib, grows.high * steps_per_mib};
    const std::uint64_t start_ns = walked.profile.record.start_ns;
    const double seconds = walked.last_ns > start_ns ? static_cast<double>(walked.last_ns - start_ns) / 1e9 : 0;
    if (seconds > 0)
      one.bytes_per_second =
          one.bytes_per_mib.value * static_cast<double>(walked.allocated_bytes) / bytes_per_mebibyte / seconds;
    one.live_bytes = site.live.value();
    one.live_blocks = site.left_blocks;
    one.allocated_blocks = site.allocated_blocks;
    one.freed_blocks = site.freed_blocks;
    one.oldest_ns = site.oldest_ns;
    if (site.left_blocks != 0)
      one.mean_age_ns = static_cast<std::uint64_t>(site.ages_ns / static_cast<double>(site.left_blocks));
    if (one.freed_share() <= most_freed_share) to.suspects.push_back(std::move(one));
  }

  recording_walk& walk_;
  std::vector<open_process> open_;
};

}  // namespace

void window_series::advance(std::uint64_t position) {
  while (position >> shift_ >= most_windows) {
    // Of two windows the second one's end is that of both.
    std::size_t kept = 0;
    for (std::size_t i = 1; i < ends_.size(); i += 2) ends_[kept++] = ends_[i];
    ends_.resize(kept);
    ++shift_;
  }
  if (const auto over = static_cast<std::size_t>(position >> shift_); ends_.size() < over) ends_.resize(over, value_);
}

std::optional<slope> slope_of(std::span<const std::uint64_t> values) {
  if (values.size() < least_values) return std::nullopt;
  std::vector<double> slopes;
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t j = i + 1; j < values.size(); ++j)
      slopes.push_back((static_cast<double>(values[j]) - static_cast<double>(values[i])) / static_cast<double>(j - i));
  std::sort(slopes.begin(), slopes.end());
  const auto n = static_cast<double>(values.size());
  const double spread = confidence_z * std::sqrt(n * (n - 1) * (2 * n + 5) / 18);
  const auto pairs = static_cast<double>(slopes.size());
  const auto at = [&](double rank) { return slopes[static_cast<std::size_t>(std::clamp(rank, 0.0, pairs - 1))]; };
  return slope{at(pairs / 2), at(std::floor((pairs - spread) / 2)), at(std::ceil((pairs + spread) / 2))};
}

std::optional<slope> unending_growth(std::span<const std::uint64_t> values) {
  const auto whole = slope_of(values.subspan(values.size() / 4));
  const auto last = slope_of(values.subspan(values.size() - values.size() / 4));
  if (!whole || !last || whole->low <= 0 || last->low <= 0) return std::nullopt;
  return whole;
}

std::vector<growth_process> find_growth(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                                        const growth_options& options) {
  recording_walk walk(reader, symbolizer, options.selected, options.progress);
  growth_visitor visit(walk);
  walk.run(visit, visit);
  std::vector<growth_process> result;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    if (walk.takes_process(i)) result.push_back(visit.close(i));
  }
  return result;
}

}  // namespace tenure::analyze
