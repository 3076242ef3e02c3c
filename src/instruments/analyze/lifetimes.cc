#include "instruments/analyze/lifetimes.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/user_frame.h"
#include "instruments/collect/rounding.h"

namespace tenure::analyze {
namespace {

using collect::rounding;

using record::event_kind;

// One process while the recording goes by.
struct open_process {
  std::vector<std::uint32_t> group_of;  // by stack; no_index: not seen yet
  std::unordered_map<std::string, std::uint32_t> group_by_name;
  std::vector<life_group> groups;
  std::vector<std::uint32_t> name_of;  // by thread
  std::unordered_map<std::string, std::uint32_t> name_by_text;
  std::vector<std::string> names;
  std::map<std::tuple<std::uint32_t, std::uint32_t, bool>, exact_amount> hand_overs;
  realloc_chains reallocs;
  // Of frees: functions by stack, and what went from one function to another.
  struct freed_amount {
    exact_amount amount;
    std::uint32_t free_stack = no_index;
  };
  std::vector<std::uint32_t> freer_of;  // by stack; no_index: not seen yet
  std::unordered_map<std::string, std::uint32_t> freer_by_name;
  std::vector<std::string> freers;
  std::map<std::tuple<std::uint32_t, std::uint32_t, bool>, freed_amount> freed;  // group, freer, by the same thread
  bool knows_free_stacks = false;
};

// Beyond so many sites of frees, none is looked at more closely.
constexpr std::size_t chained_sites = 100;

// The place of `text` in a table that grows.
std::uint32_t place_of(std::unordered_map<std::string, std::uint32_t>& by_text, const std::string& text) {
  return by_text.emplace(text, static_cast<std::uint32_t>(by_text.size())).first->second;
}

class lifetime_visitor {
 public:
  explicit lifetime_visitor(recording_walk& walk) : walk_(walk), open_(walk.size()) {
    for (std::size_t i = 0; i < walk.size(); ++i) {
      const collect::process_record& record = walk.process(i).profile.record;
      sizes_.emplace_back(record.maps.empty() ? wire::heap_statistics{} : record.maps.front().statistics,
                          record.page_bytes);
    }
  }

  // Of blocks that were selected.
  void operator()(std::size_t index, const record::event& one, const live_block& block) {
    open_process& into = open_[index];
    const std::uint32_t group = group_of(index, block.stack);
    life_totals& totals = into.groups[group].totals;
    const exact_amount amount{1, block.bytes};
    if (one.kind == event_kind::allocation) {
      totals.allocated += amount;
      if (sizes_[index].knows_classes()) totals.usable_bytes += sizes_[index].usable(block.bytes);
      return;
    }
    const walked_process& process = walk_.process(index);
    const std::uint64_t age_bytes = process.allocated_bytes - block.allocated_before_bytes - block.bytes;
    totals.freed += amount;
    totals.by_time.add(one.time_ns > block.time_ns ? one.time_ns - block.time_ns : 0, block.bytes, true);
    totals.by_bytes.add(age_bytes, block.bytes, true);
    if (age_bytes <= process.live_bytes / short_lived_divisor) totals.short_lived += amount;
    const bool is_same = block.thread == one.thread;
    if (!is_same) totals.freed_elsewhere += amount;
    into.hand_overs[{name_of(index, block.thread), name_of(index, one.thread), is_same}] += amount;
    into.knows_free_stacks |= one.stack != record::no_stack;
    open_process::freed_amount& freed = into.freed[{group, freer_of(index, one.stack), is_same}];
    freed.amount += amount;
    if (freed.free_stack == no_index) freed.free_stack = one.stack;
  }

  // Of all blocks.
  void every(std::size_t index, const record::event& one, const live_block* block) {
    realloc_chains& reallocs = open_[index].reallocs;
    if (block == nullptr) return reallocs.free_unknown(one.thread);
    if (one.kind == event_kind::free) return reallocs.free(one.slot, one.thread, block->bytes);
    const std::uint32_t owner = block->stack == no_index ? no_index : group_of(index, block->stack);
    reallocs.allocate(one.slot, one.thread, one.bytes,
                      one.entry == static_cast<std::uint8_t>(wire::allocation_entry::realloc), owner);
  }

  life_process close(std::size_t index) {
    open_process& from = open_[index];
    const walked_process& walked = walk_.process(index);
    for (const live_block& block : walk_.blocks(index)) {
      if (block.stack == no_index) continue;
      life_totals& totals = from.groups[group_of(index, block.stack)].totals;
      totals.left += {1, block.bytes};
      totals.by_time.add(walked.last_ns > block.time_ns ? walked.last_ns - block.time_ns : 0, block.bytes, false);
      totals.by_bytes.add(walked.allocated_bytes - block.allocated_before_bytes - block.bytes, block.bytes, false);
    }
    from.reallocs.finish();
    life_process result;
    result.knows_size_classes = sizes_[index].knows_classes();
    add_free_sites(index, result);  // while the groups have their numbers
    for (std::uint32_t group = 0; group < from.groups.size(); ++group) {
      from.groups[group].totals.reallocs = from.reallocs.of(group);
      result.totals += from.groups[group].totals;
    }
    for (life_group& group : from.groups) group.chain = walk_.frames(index).shown_chain(group.stack);
    result.by_function = std::move(from.groups);
    std::stable_sort(result.by_function.begin(), result.by_function.end(),
                     [](auto& a, auto& b) { return a.totals.allocated.bytes > b.totals.allocated.bytes; });
    for (const auto& [threads, amount] : from.hand_overs)
      result.hand_overs.push_back(
          {from.names[std::get<0>(threads)], from.names[std::get<1>(threads)], std::get<2>(threads), amount});
    std::stable_sort(result.hand_overs.begin(), result.hand_overs.end(),
                     [](auto& a, auto& b) { return a.amount.bytes > b.amount.bytes; });
    result.walked = std::move(walk_.process(index));
    return result;
  }

 private:
  std::uint32_t group_of(std::size_t index, std::uint32_t stack) {
    open_process& of = open_[index];
    if (stack >= of.group_of.size()) of.group_of.resize(stack + 1, no_index);
    if (of.group_of[stack] != no_index) return of.group_of[stack];
    const auto chain = walk_.frames(index).user_chain(stack, 1);
    const std::string name = chain.empty() ? "[no stack]" : chain[0].what->function;
    const std::uint32_t group = place_of(of.group_by_name, name);
    if (group == of.groups.size()) of.groups.push_back({name, 0, stack, {}, {}});
    ++of.groups[group].stack_count;
    return of.group_of[stack] = group;
  }

  std::uint32_t freer_of(std::size_t index, std::uint32_t stack) {
    open_process& of = open_[index];
    const std::size_t place = stack == record::no_stack ? 0 : stack + std::size_t{1};
    if (place >= of.freer_of.size()) of.freer_of.resize(place + 1, no_index);
    if (of.freer_of[place] != no_index) return of.freer_of[place];
    const auto chain = walk_.frames(index).user_chain(stack, 1);
    const std::string name = place == 0 ? "[not told]" : chain.empty() ? "[no stack]" : chain[0].what->function;
    const std::uint32_t freer = place_of(of.freer_by_name, name);
    if (freer == of.freers.size()) of.freers.push_back(name);
    return of.freer_of[place] = freer;
  }

  void add_free_sites(std::size_t index, life_process& into) {
    open_process& from = open_[index];
    into.knows_free_stacks = from.knows_free_stacks;
    if (!from.knows_free_stacks) return;
    for (const auto& [functions, freed] : from.freed) {
      const auto& [group, freer, is_same] = functions;
      into.free_sites.push_back(
          {from.groups[group].name, from.freers[freer], is_same, freed.amount, freed.free_stack, {}});
    }
    std::stable_sort(into.free_sites.begin(), into.free_sites.end(),
                     [](auto& a, auto& b) { return a.amount.bytes > b.amount.bytes; });
    for (std::size_t rank = 0; rank < std::min(chained_sites, into.free_sites.size()); ++rank)
      into.free_sites[rank].chain = walk_.frames(index).shown_chain(into.free_sites[rank].free_stack);
  }

  std::uint32_t name_of(std::size_t index, std::uint32_t thread) {
    open_process& of = open_[index];
    if (thread >= of.name_of.size()) of.name_of.resize(thread + 1, no_index);
    if (of.name_of[thread] != no_index) return of.name_of[thread];
    const auto& threads = walk_.process(index).profile.record.threads;
    const std::string name = thread < threads.size() && !threads[thread].name.empty() ? threads[thread].name : "?";
    const std::uint32_t place = place_of(of.name_by_text, name);
    if (place == of.names.size()) of.names.push_back(name);
    return of.name_of[thread] = place;
  }

  recording_walk& walk_;
  std::vector<open_process> open_;
  std::vector<rounding> sizes_;  // by process
};

}  // namespace

life_totals& life_totals::operator+=(const life_totals& other) {
  allocated += other.allocated;
  freed += other.freed;
  freed_elsewhere += other.freed_elsewhere;
  short_lived += other.short_lived;
  left += other.left;
  usable_bytes += other.usable_bytes;
  by_time += other.by_time;
  by_bytes += other.by_bytes;
  reallocs += other.reallocs;
  return *this;
}

life_report analyze_lifetimes(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                              const life_options& options) {
  // Any moment has the size classes.
  recording_walk walk(reader, symbolizer, options.selected, options.progress, collect::memory_wish{});
  lifetime_visitor visit(walk);
  walk.run(visit);
  life_report report;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    if (!walk.takes_process(i)) continue;
    walk.tell("finding names", static_cast<double>(i) / static_cast<double>(walk.size()));
    report.processes.push_back(visit.close(i));
  }
  report.whole = walk.whole();
  return report;
}

}  // namespace tenure::analyze
