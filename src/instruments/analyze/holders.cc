#include "instruments/analyze/holders.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace tenure::analyze {
namespace {

using collect::held_block;
using collect::leak_scan;
using collect::scan_root;

// Puts names to places.
class root_namer {
 public:
  root_namer(const process_profile& of, const leak_scan& scan, symbols::symbolizer& symbolizer)
      : record_(of.record), scan_(scan), symbolizer_(symbolizer) {}

  holding_root root_of(const held_block& first) {
    holding_root root;
    root.address = first.place;
    if (first.root == no_index) return root;
    const scan_root& range = scan_.roots[first.root];
    root.is_known = true;
    root.kind = range.kind;
    root.thread = range.thread;
    for (const collect::thread& one : record_.threads)
      if (range.thread != 0 && one.id == range.thread) root.thread_name = one.name;
    switch (range.kind) {
      case wire::root_kind::memory:
        name_memory(root);
        break;
      case wire::root_kind::thread_storage:
        name_thread_local(root, range);
        break;
      case wire::root_kind::stack:
        // Just below the pointer lies what a function may use without moving it.
        root.offset = root.address > range.base ? root.address - range.base : 0;
        break;
      case wire::root_kind::registers:
        break;
    }
    return root;
  }

 private:
  void name_memory(holding_root& root) {
    for (const collect::module& one : record_.modules)
      if (root.address >= one.begin && root.address < one.end) return name_variable(root, one);
    for (const collect::module& one : mapped_modules())
      if (root.address >= one.begin && root.address < one.end) return name_variable(root, one);
    const collect::memory_map* const map = newest_map();
    if (map == nullptr) return;
    for (const collect::mapping& one : map->mappings) {
      if (root.address < one.begin || root.address >= one.end) continue;
      root.name = one.name.empty() ? fmt::format("[anonymous] {:#x}", one.begin) : one.name;
      root.offset = root.address - one.begin;
    }
  }

  void name_variable(holding_root& root, const collect::module& module) {
    const symbols::variable found = symbolizer_.variable_at(module, root.address);
    root.name = found.name;
    root.offset = found.offset;
    if (found.is_named) root.module = module.path;
  }

  void name_thread_local(holding_root& root, const scan_root& range) {
    const auto program = std::find_if(record_.modules.begin(), record_.modules.end(),
                                      [&](const collect::module& one) { return one.path == record_.executable; });
    if (program == record_.modules.end()) return;
    const auto distance = static_cast<std::int64_t>(root.address - range.base);
    const auto found = symbolizer_.thread_local_at(*program, distance);
    if (!found) return;
    root.name = found->name;
    root.module = program->path;
    root.offset = found->offset;
  }

  const collect::memory_map* newest_map() const {
    if (record_.has_exit_map) return &record_.exit_map;
    return record_.maps.empty() ? nullptr : &record_.maps.back();
  }

  // Those in which no stack had a frame: what is mapped of one file in a row, with what the loader put behind it.
  const std::vector<collect::module>& mapped_modules() {
    if (mapped_) return *mapped_;
    mapped_.emplace();
    const collect::memory_map* const map = newest_map();
    if (map == nullptr) return *mapped_;
    for (const collect::mapping& one : map->mappings) {
      const bool continues = !mapped_->empty() && mapped_->back().end == one.begin;
      if (continues && (one.name == mapped_->back().path || one.name.empty())) {
        mapped_->back().end = one.end;
      } else if (one.name.starts_with('/') && one.offset_bytes == 0) {
        collect::module& made = mapped_->emplace_back();
        made.path = one.name;
        made.begin = made.bias = one.begin;
        made.end = one.end;
      }
    }
    return *mapped_;
  }

  const collect::process_record& record_;
  const leak_scan& scan_;
  symbols::symbolizer& symbolizer_;
  std::optional<std::vector<collect::module>> mapped_;
};

// How each block is reached: from which root, and through how many blocks.
class ways {
 public:
  ways(const process_profile& of, const leak_scan& scan, frame_resolver& frames, symbols::symbolizer& symbolizer)
      : scan_(scan), frames_(frames), namer_(of, scan, symbolizer) {
    first_.reserve(scan.held.size());
    length_.reserve(scan.held.size());
    for (std::uint32_t i = 0; i < scan.held.size(); ++i) {
      const std::uint32_t holder = scan.held[i].holder;
      const bool is_first = holder >= i;  // no_index too
      first_.push_back(is_first ? i : first_[holder]);
      length_.push_back(is_first ? 1 : length_[holder] + 1);
    }
  }

  std::uint64_t length(std::uint32_t block) const { return length_[block]; }
  // The root from which the block is reached, by its place among roots().
  std::uint32_t root_of(std::uint32_t block) {
    const auto [place, is_new] = root_by_first_.try_emplace(first_[block], 0);
    if (!is_new) return place->second;
    holding_root root = namer_.root_of(scan_.held[first_[block]]);
    const auto same =
        std::find_if(roots_.begin(), roots_.end(), [&](const holding_root& one) { return one.is_same_holder(root); });
    place->second = static_cast<std::uint32_t>(same - roots_.begin());
    if (same == roots_.end()) roots_.push_back(std::move(root));
    return place->second;
  }
  holding_root described_root(std::uint32_t block) { return namer_.root_of(scan_.held[first_[block]]); }

  std::vector<holding_step> way_to(std::uint32_t block) {
    std::vector<std::uint32_t> places;
    for (std::uint32_t at = block;; at = scan_.held[at].holder) {
      places.push_back(at);
      if (at == first_[block]) break;
    }
    std::vector<holding_step> way;
    for (auto at = places.rbegin(); at != places.rend(); ++at) {
      const held_block& one = scan_.held[*at];
      holding_step step;
      step.address = one.address;
      step.bytes = one.known_bytes();
      step.stack = one.stack;
      step.inside = one.inside;
      if (at != places.rbegin()) step.offset = one.place - scan_.held[*(at - 1)].address;
      const bool is_last = at + 1 == places.rend();
      if (!is_last && way.size() > 1 && is_alike(way.back(), step)) {
        ++way.back().repeats;
        continue;
      }
      if (const auto chain = frames_.user_chain(step.stack, 1); step.stack != no_index && !chain.empty())
        step.place = *chain[0].what;
      way.push_back(std::move(step));
    }
    return way;
  }

 private:
  static bool is_alike(const holding_step& one, const holding_step& next) {
    return one.stack == next.stack && one.bytes == next.bytes && one.offset == next.offset && one.inside == next.inside;
  }

  const leak_scan& scan_;
  frame_resolver& frames_;
  root_namer namer_;
  std::vector<std::uint32_t> first_;   // on its way, the one that a root leads to
  std::vector<std::uint64_t> length_;  // in blocks, with itself
  std::unordered_map<std::uint32_t, std::uint32_t> root_by_first_;
  std::vector<holding_root> roots_;
};

// The blocks of one site that are reached from one root.
struct held_part {
  exact_amount held;
  std::uint32_t nearest = no_index;
};

struct site_sum {
  exact_amount held;
  amount sampled;
  std::uint32_t stack = no_index;
  std::map<std::uint32_t, held_part> parts;  // by root
};

}  // namespace

std::vector<held_site> find_holders(const process_profile& of, const leak_scan& scan, frame_resolver& frames,
                                    symbols::symbolizer& symbolizer,
                                    const std::function<bool(const collect::scanned_block&)>& takes) {
  ways known(of, scan, frames, symbolizer);
  std::unordered_map<std::uint64_t, const collect::sample*> samples;
  for (const collect::sample& one : of.record.samples) samples.emplace(one.id, &one);
  // Stacks that read the same are one site.
  std::unordered_map<std::uint32_t, std::string> shown;
  std::map<std::pair<bool, std::string>, site_sum> sums;
  for (std::uint32_t i = 0; i < scan.held.size(); ++i) {
    const held_block& block = scan.held[i];
    if (block.stack == no_index || !takes(block)) continue;
    const auto [place, is_new] = shown.try_emplace(block.stack);
    if (is_new) place->second = shown_site(frames.site_chain(block.stack), block.stack);
    site_sum& sum = sums[{block.reach == wire::block_reach::possible, place->second}];
    if (sum.stack == no_index) sum.stack = block.stack;
    held_part& part = sum.parts[known.root_of(i)];
    const exact_amount added{1, block.known_bytes()};
    sum.held += added;
    part.held += added;
    if (part.nearest == no_index || known.length(i) < known.length(part.nearest)) part.nearest = i;
    if (const auto found = samples.find(block.sample_id); block.sample_id != 0 && found != samples.end())
      sum.sampled += weight_of(*found->second);
  }
  std::vector<held_site> sites;
  for (const auto& [key, sum] : sums) {
    held_site& site = sites.emplace_back();
    site.reach = key.first ? wire::block_reach::possible : wire::block_reach::reachable;
    site.stack = sum.stack;
    site.held = sum.held;
    site.sampled = sum.sampled;
    site.chain = frames.site_chain(sum.stack);
    for (const auto& [root, part] : sum.parts)
      site.holdings.push_back(
          {known.described_root(part.nearest), part.held, known.way_to(part.nearest), known.length(part.nearest)});
    std::stable_sort(site.holdings.begin(), site.holdings.end(),
                     [](const holding& a, const holding& b) { return a.held.bytes > b.held.bytes; });
  }
  std::stable_sort(sites.begin(), sites.end(), [](const held_site& a, const held_site& b) {
    if (a.reach != b.reach) return a.reach < b.reach;
    return a.held.bytes > b.held.bytes;
  });
  return sites;
}

}  // namespace tenure::analyze
