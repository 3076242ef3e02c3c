#include "instruments/analyze/grouping.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace tenure::analyze {
namespace {

// Names to consecutive numbers.
struct key_table {
  std::vector<std::string> names;
  std::unordered_map<std::string, std::uint32_t> by_name;

  std::uint32_t key(const std::string& name) {
    const auto [place, is_new] = by_name.emplace(name, static_cast<std::uint32_t>(names.size()));
    if (is_new) names.push_back(name);
    return place->second;
  }
};

void sort_by_peak(std::vector<site_group>& groups) {
  std::stable_sort(groups.begin(), groups.end(), [](const site_group& a, const site_group& b) {
    const call_site& left = a.totals;
    const call_site& right = b.totals;
    if (left.live_at_peak.bytes.value != right.live_at_peak.bytes.value)
      return left.live_at_peak.bytes.value > right.live_at_peak.bytes.value;
    return left.allocated.bytes.value > right.allocated.bytes.value;
  });
}

std::vector<site_group> make_groups(const process_profile& profile, const group_source& source, const key_table& keys,
                                    const group_source::key_function& key_of) {
  const std::vector<call_site> totals = source.aggregate(static_cast<std::uint32_t>(keys.names.size()), key_of);
  std::vector<site_group> groups(keys.names.size());
  for (std::size_t key = 0; key < groups.size(); ++key) {
    groups[key].name = keys.names[key];
    groups[key].totals = totals[key];
  }
  // The heaviest stack of each group: by what it holds at the peak, then by what it allocates.
  std::vector<std::pair<double, double>> heaviest(groups.size(), {-1, -1});
  std::unordered_map<std::uint64_t, bool> seen;
  std::vector<const call_site*> site_of(profile.record.stacks.size(), nullptr);
  for (const call_site& site : profile.sites) site_of[site.stack] = &site;
  for (std::size_t index = 0; index < source.places.size(); ++index) {
    const std::uint32_t key = key_of(index), stack = source.places[index].stack;
    if (!seen.emplace((std::uint64_t{key} << 32) | stack, true).second) continue;
    ++groups[key].stack_count;
    const std::pair weight{site_of[stack]->live_at_peak.bytes.value, site_of[stack]->allocated.bytes.value};
    if (weight <= heaviest[key]) continue;
    heaviest[key] = weight;
    groups[key].totals.stack = stack;
  }
  sort_by_peak(groups);
  return groups;
}

// The functions of the stacks that freed, those that freed most.
std::vector<freeing_function> freed_by(const lifetime_summary& of, frame_resolver& frames) {
  constexpr std::size_t limit = 5;
  key_table names;
  std::vector<freeing_function> result;
  for (const lifetime_summary::freed_by_stack& one : of.freed_by) {
    std::vector<frame> chain = frames.shown_chain(one.stack);
    const std::uint32_t key = names.key(chain.empty() ? "[no stack]" : chain.front().function);
    if (key == result.size()) result.push_back({names.names[key], 0, std::move(chain)});
    result[key].bytes += one.bytes;
  }
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  if (result.size() > limit) result.resize(limit);
  return result;
}

// Callers, and who frees, are shown for the groups that can come into a table: the heaviest at the peak, at exit and in
// total.
void add_chains(std::vector<site_group>& groups, frame_resolver& frames) {
  constexpr std::size_t heaviest = 50;
  std::vector<site_group*> order;
  for (site_group& group : groups) order.push_back(&group);
  const auto add = [&](auto weight) {
    std::stable_sort(order.begin(), order.end(),
                     [&](const site_group* a, const site_group* b) { return weight(a->totals) > weight(b->totals); });
    for (std::size_t rank = 0; rank < std::min(heaviest, order.size()); ++rank) {
      if (!order[rank]->chain.empty()) continue;
      order[rank]->chain = frames.shown_chain(order[rank]->totals.stack);
      order[rank]->freed_by = freed_by(order[rank]->totals.lifetimes, frames);
    }
  };
  add([](const call_site& site) { return site.live_at_peak.bytes.value; });
  add([](const call_site& site) { return site.live_at_exit.bytes.value; });
  add([](const call_site& site) { return site.allocated.bytes.value; });
}

bool owns_nothing(const call_site& site) { return site.allocated.samples + site.inherited.samples == 0; }

void make_sites(process_profile& profile, const group_source& source) {
  profile.sites = source.aggregate(static_cast<std::uint32_t>(profile.record.stacks.size()),
                                   [&](std::size_t index) { return source.places[index].stack; });
  for (std::uint32_t stack = 0; stack < profile.sites.size(); ++stack) profile.sites[stack].stack = stack;
  // Stacks that only ever free are no call sites.
  std::erase_if(profile.sites, owns_nothing);
  std::stable_sort(profile.sites.begin(), profile.sites.end(), [](const call_site& a, const call_site& b) {
    return a.allocated.bytes.value > b.allocated.bytes.value;
  });
}

}  // namespace

std::string thread_label(const collect::thread& one) {
  return one.name.empty() ? fmt::format("thread {}", one.id) : fmt::format("{} ({})", one.name, one.id);
}

std::string line_label(const frame& one) {
  if (one.file.empty() || one.line == 0) return one.function;
  return fmt::format("{}:{}", one.file, one.line);
}

group_source samples_of(const process_profile& profile, const replay& course) {
  group_source source;
  for (const collect::sample& one : profile.record.samples) source.places.push_back({one.stack, one.thread});
  source.aggregate = [&profile, &course](std::uint32_t key_count, const group_source::key_function& key_of) {
    return aggregate(profile.record.samples, course, profile.record.end_ns, key_count, key_of);
  };
  return source;
}

void group_sites(process_profile& profile, const group_source& source, frame_resolver& frames,
                 const share_function& progress) {
  make_sites(profile, source);
  const std::size_t stack_count = profile.record.stacks.size();
  key_table functions, lines, modules, threads;
  std::vector<std::uint32_t> function_of(stack_count), line_of(stack_count), module_of(stack_count);
  for (std::size_t done = 0; done < profile.sites.size(); ++done) {
    const call_site& site = profile.sites[done];
    if (progress) progress(static_cast<double>(done) / static_cast<double>(profile.sites.size()));
    const auto chain = frames.user_chain(site.stack, 1);
    const bool is_empty = chain.empty();
    function_of[site.stack] = functions.key(is_empty ? "[no stack]" : chain[0].what->function);
    line_of[site.stack] = lines.key(is_empty ? "[no stack]" : line_label(*chain[0].what));
    module_of[site.stack] = modules.key(is_empty ? "[no stack]" : module_label(profile, chain[0].module));
  }
  std::vector<std::uint32_t> thread_of;
  for (const collect::thread& one : profile.record.threads) thread_of.push_back(threads.key(thread_label(one)));

  const auto groups_by = [&](const key_table& keys, const std::vector<std::uint32_t>& key_of_stack) {
    return make_groups(profile, source, keys,
                       [&](std::size_t index) { return key_of_stack[source.places[index].stack]; });
  };
  profile.by_function = groups_by(functions, function_of);
  profile.by_line = groups_by(lines, line_of);
  profile.by_module = groups_by(modules, module_of);
  profile.by_thread =
      make_groups(profile, source, threads, [&](std::size_t index) { return thread_of[source.places[index].thread]; });
  add_chains(profile.by_function, frames);
  // Threads that only freed own nothing.
  std::erase_if(profile.by_thread, [](const site_group& group) { return owns_nothing(group.totals); });
}

}  // namespace tenure::analyze
