#include "instruments/analyze/fragmentation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/block_chooser.h"
#include "instruments/analyze/format.h"
#include "instruments/analyze/heap_picture.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

using collect::heap_map;
using collect::mapped_span;
using collect::scanned_block;
using wire::mapped_kind;

constexpr std::size_t map_rows = 16;

bool is_of_blocks(const mapped_span& one) {
  return one.kind == mapped_kind::small || one.kind == mapped_kind::sampled || one.kind == mapped_kind::named_small;
}
bool is_large(const mapped_span& one) { return one.kind == mapped_kind::large || one.kind == mapped_kind::named_large; }

// Free blocks whose memory may be resident.
std::uint64_t present_bytes(const mapped_span& one) {
  return std::uint64_t{one.free_blocks - one.absent_blocks - one.unused_blocks} * one.block_bytes;
}

// What it pins; 0 of one that is not sparse.
std::uint64_t pinned_bytes(const mapped_span& one) {
  if (!is_of_blocks(one) || one.live_blocks == 0) return 0;
  return present_bytes(one) * 2 >= one.bytes ? present_bytes(one) : 0;
}

heap_sums sums_of(const mapped_span& one) {
  heap_sums sums;
  if (one.kind == mapped_kind::free_dirty) sums.dirty_bytes = one.bytes;
  if (one.kind == mapped_kind::free_clean) sums.clean_bytes = one.bytes;
  if (is_large(one)) sums.large_bytes = one.bytes;
  if (!is_of_blocks(one)) return sums;
  sums.live_bytes = one.live_blocks * one.block_bytes;
  sums.cached_bytes = one.cached_blocks * one.block_bytes;
  sums.batch_bytes = one.batch_blocks * one.block_bytes;
  sums.free_bytes = present_bytes(one);
  sums.absent_bytes = one.absent_blocks * one.block_bytes;
  sums.unused_bytes = one.unused_blocks * one.block_bytes;
  sums.tail_bytes = one.bytes - one.block_count * one.block_bytes;
  return sums;
}

void add(heap_sums& to, const heap_sums& from) {
  to.live_bytes += from.live_bytes;
  to.large_bytes += from.large_bytes;
  to.cached_bytes += from.cached_bytes;
  to.batch_bytes += from.batch_bytes;
  to.free_bytes += from.free_bytes;
  to.absent_bytes += from.absent_bytes;
  to.unused_bytes += from.unused_bytes;
  to.tail_bytes += from.tail_bytes;
  to.dirty_bytes += from.dirty_bytes;
  to.clean_bytes += from.clean_bytes;
}

// Whether the spans are those that the heap's own counters speak of.
bool agrees(const heap_map& map) {
  const wire::heap_statistics& told = map.statistics;
  std::uint64_t chunk = 0, small = 0, large = 0, named = 0, dirty = 0, clean = 0;
  std::map<std::uint64_t, std::array<std::uint64_t, 4>> by_class;  // spans, bytes, batches, absent: of malloc's own
  for (const mapped_span& one : map.spans) {
    chunk += one.bytes;
    if (one.kind == mapped_kind::small) small += one.bytes;
    if (one.kind == mapped_kind::large) large += one.bytes;
    // Sampled blocks lie in a heap of their own, which has no name.
    if (is_of_blocks(one) && one.kind != mapped_kind::small) named += one.bytes;
    if (one.kind == mapped_kind::named_large) named += one.bytes;
    if (one.kind == mapped_kind::free_dirty) dirty += one.bytes;
    if (one.kind == mapped_kind::free_clean) clean += one.bytes;
    if (one.kind != mapped_kind::small) continue;
    auto& of = by_class[one.block_bytes];
    of[0] += 1;
    of[1] += one.bytes;
    of[2] += one.batch_blocks;
    of[3] += one.absent_blocks;
  }
  bool are_classes_alike = true;
  for (const wire::size_class_statistics& one : told.classes) {
    if (one.block_bytes == 0) continue;
    const std::array<std::uint64_t, 4> counted = {one.span_count, one.span_bytes, one.transfer_blocks,
                                                  one.absent_blocks};
    are_classes_alike = are_classes_alike && by_class[one.block_bytes] == counted;
  }
  return chunk == told.chunk_bytes && small == told.small_span_bytes && large == told.large_span_bytes &&
         named == told.named_heap_span_bytes && dirty == told.free_dirty_bytes && clean == told.free_clean_bytes &&
         are_classes_alike;
}

// The sites of one process; stacks that read the same are one.
class fragment_table {
 public:
  explicit fragment_table(frame_resolver& frames) : frames_(frames) {}

  std::size_t place_of(std::uint32_t stack) {
    const auto [known, is_new] = by_stack_.try_emplace(stack, 0);
    if (!is_new) return known->second;
    std::vector<frame> chain;
    if (stack != no_index) chain = frames_.site_chain(stack);
    const auto [place, is_first] = by_place_.try_emplace(shown_site(chain, stack), sites_.size());
    if (is_first) {
      fragment_site& made = sites_.emplace_back();
      made.stack = stack;
      made.chain = std::move(chain);
    }
    return known->second = place->second;
  }
  fragment_site& operator[](std::size_t place) { return sites_[place]; }
  // Those of which something was chosen.
  std::vector<fragment_site> close() {
    std::erase_if(sites_, [](const fragment_site& one) { return one.live.blocks == 0; });
    return std::move(sites_);
  }

 private:
  frame_resolver& frames_;
  std::unordered_map<std::uint32_t, std::size_t> by_stack_;
  std::map<std::string, std::size_t> by_place_;
  std::vector<fragment_site> sites_;
};

class fragment_finder {
 public:
  fragment_finder(fragmented_process& into, const heap_map& map, symbols::symbolizer& symbolizer,
                  const selection& selected)
      : into_(into),
        map_(map),
        frames_(into.profile, symbolizer),
        chosen_(selected, into.profile, frames_),
        sites_(frames_) {}

  void run() {
    for (const mapped_span& one : map_.spans) take(one);
    for (auto& [bytes, of_class] : classes_) into_.classes.push_back(of_class);
    into_.sites = sites_.close();
    std::stable_sort(into_.sites.begin(), into_.sites.end(), [](const fragment_site& a, const fragment_site& b) {
      return a.pinned_bytes != b.pinned_bytes ? a.pinned_bytes > b.pinned_bytes : a.live.bytes > b.live.bytes;
    });
    into_.agrees = !map_.is_cut && agrees(map_);
    into_.map = heap_picture(map_.spans, map_columns * map_rows, &into_.map_piece_bytes);
  }

 private:
  void take(const mapped_span& one) {
    const heap_sums sums = sums_of(one);
    const std::uint64_t pinned = pinned_bytes(one);
    add(into_.sums, sums);
    into_.live_blocks += one.live_blocks;
    into_.pinned_bytes += pinned;
    into_.sparse_spans += pinned != 0 ? 1 : 0;
    if (is_large(one)) into_.large_slack_bytes += one.bytes - one.requested_bytes;
    class_fragments* of_class = nullptr;
    if (is_of_blocks(one)) {
      of_class = &classes_[one.block_bytes];
      of_class->block_bytes = one.block_bytes;
      of_class->spans += 1;
      of_class->span_bytes += one.bytes;
      of_class->live_blocks += one.live_blocks;
      of_class->pinned_bytes += pinned;
      of_class->sparse_spans += pinned != 0 ? 1 : 0;
      add(of_class->sums, sums);
    }
    take_blocks(one, pinned, of_class);
  }

  // Each block in use bears the same part of what its span pins; what does not divide, the first ones.
  void take_blocks(const mapped_span& one, std::uint64_t pinned, class_fragments* of_class) {
    const std::uint64_t part = one.live_blocks == 0 ? 0 : pinned / one.live_blocks;
    std::uint64_t rest = one.live_blocks == 0 ? 0 : pinned % one.live_blocks;
    std::map<std::size_t, bool> in_span;  // sites, and whether a block of theirs was chosen
    for (std::uint32_t i = 0; i < one.live_blocks; ++i) {
      const scanned_block& block = map_.blocks[one.first_live + i];
      const std::uint64_t own_part = part + (rest != 0 ? 1 : 0);
      rest -= rest != 0 ? 1 : 0;
      if (of_class != nullptr && block.requested_bytes != 0) of_class->requested += {1, block.requested_bytes};
      if (block.stack != no_index) into_.known += {1, block.known_bytes()};
      const bool is_chosen = chosen_.takes(block);
      if (!is_chosen && pinned == 0) continue;
      const std::size_t place = sites_.place_of(block.stack);
      if (pinned != 0) in_span[place] |= is_chosen;
      if (!is_chosen) continue;
      fragment_site& site = sites_[place];
      site.live += {1, block.known_bytes()};
      site.usable_bytes += block.bytes;
      if (pinned == 0) continue;
      site.survivors += {1, block.known_bytes()};
      site.pinned_bytes += own_part;
    }
    for (const auto& [place, is_chosen] : in_span) {
      if (!is_chosen) continue;
      sites_[place].spans += 1;
      sites_[place].lone_spans += in_span.size() == 1 ? 1 : 0;
    }
  }

  fragmented_process& into_;
  const heap_map& map_;
  frame_resolver frames_;
  block_chooser chosen_;
  fragment_table sites_;
  std::map<std::uint64_t, class_fragments> classes_;
};

std::string user_name(const fragment_site& site) {
  if (site.chain.empty()) return "a function without a name";
  const frame& one = site.chain.front();
  if (one.file.empty() || one.line == 0) return one.function;
  return fmt::format("{} ({}:{})", one.function, one.file.substr(one.file.rfind('/') + 1), one.line);
}

std::string size_text(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

// What is worth saying: a twentieth of the heap that is not back with the system, and no trifle.
bool matters(std::uint64_t bytes, const heap_sums& of) {
  constexpr std::uint64_t least_bytes = 64 << 10;
  return bytes >= least_bytes && bytes * 20 >= of.total() - of.clean_bytes - of.absent_bytes;
}

void advise(fragmented_process& of) {
  const heap_sums& sums = of.sums;
  const auto say = [&](const char* code, std::string text) { of.advice.push_back({code, std::move(text)}); };
  for (const fragment_site& site : of.sites) {
    if (site.stack == no_index || !matters(site.pinned_bytes, sums)) continue;
    say("pinned",
        fmt::format("{} blocks of {} keep {} of free memory in {} spans from going back, {} of them alone. If "
                    "they live longer than what is allocated around them, give them a heap or a resource of "
                    "their own (tenure_heap_create, tenure::object_pool), or allocate them before it.",
                    site.survivors.blocks, user_name(site), size_text(site.pinned_bytes), site.spans, site.lone_spans));
  }
  for (const class_fragments& one : of.classes) {
    if (of.is_recorded || !matters(one.pinned_bytes, sums)) continue;
    say("pinned-class",
        fmt::format("Blocks of {} bytes keep {} of free memory in {} spans from going back. Whose they are only a "
                    "recording knows: tenure fragmentation -- CMD.",
                    one.block_bytes, size_text(one.pinned_bytes), one.sparse_spans));
  }
  if (matters(sums.cached_bytes + sums.batch_bytes, sums))
    say("cached",
        fmt::format("{} are free in threads' caches and in batches between threads. TENURE_THREAD_CACHE bounds "
                    "what one thread keeps; fewer threads keep less.",
                    size_text(sums.cached_bytes + sums.batch_bytes)));
  if (matters(sums.dirty_bytes, sums))
    say("dirty", fmt::format("{} of free pages have not gone back yet. They go TENURE_DECAY after they were freed; "
                             "tenure_purge() gives them back at once.",
                             size_text(sums.dirty_bytes)));
  for (const fragment_site& site : of.sites) {
    if (site.stack == no_index || !matters(site.rounding_bytes(), sums)) continue;
    say("rounding", fmt::format("{} asks for {} on average and gets {}: {} are lost to rounding. A size just below one "
                                "of the heap's would lose less.",
                                user_name(site), size_text(site.live.bytes / site.live.blocks),
                                size_text(site.usable_bytes / site.live.blocks), size_text(site.rounding_bytes())));
  }
  if (of.advice.empty()) say("none", "There is nothing to gain: no part of what is free is worth the trouble.");
}

}  // namespace

fragmentation_report find_fragments(collect::recording&& watched, symbols::symbolizer& symbolizer,
                                    const selection& selected, bool is_recorded) {
  fragmentation_report report;
  report.notes = watched.notes;
  for (collect::process_record& record : watched.processes) {
    fragmented_process& process = report.processes.emplace_back();
    process.profile.record = std::move(record);
    process.is_recorded = is_recorded;
    if (!process.profile.record.heap_map) continue;
    heap_map map = std::move(*process.profile.record.heap_map);
    fragment_finder(process, map, symbolizer, selected).run();
    advise(process);
    map.blocks.clear();
    process.profile.record.heap_map = std::move(map);
  }
  return report;
}

}  // namespace tenure::analyze
