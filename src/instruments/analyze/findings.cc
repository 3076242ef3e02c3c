#include "instruments/analyze/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "instruments/analyze/format.h"
#include "instruments/analyze/losses.h"

namespace tenure::analyze {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;
// Below these a rule says nothing, whatever the figure looks like.
constexpr std::uint64_t enough_samples = 20;
constexpr double error_limit = 0.30;
constexpr std::size_t findings_a_rule = 3;

// What was counted bears itself out, however few blocks it was.
bool is_supported(const process_profile& profile, const amount& of) {
  if (profile.full) return of.samples != 0;
  return of.samples >= enough_samples && of.bytes.relative_error() <= error_limit;
}

const memory_part* part_of(const std::optional<memory_breakdown>& memory, part_kind kind) {
  if (!memory) return nullptr;
  for (const memory_part& part : memory->parts)
    if (part.kind == kind) return &part;
  return nullptr;
}

double bytes_of(const std::optional<memory_breakdown>& memory, part_kind kind) {
  const memory_part* const part = part_of(memory, kind);
  return part == nullptr ? 0 : static_cast<double>(part->resident_bytes);
}

using findings = std::vector<finding>;

void find_never_freed(const process_profile& profile, findings& into) {
  std::size_t told = 0;
  for (const site_group& group : profile.by_function) {
    const call_site& site = group.totals;
    const amount& kept = site.lifetimes.never_freed;
    const bool is_large = kept.bytes.value >= std::max(mebibyte, 0.05 * profile.live_at_exit.bytes.value);
    if (!is_large || !is_supported(profile, kept) ||
        site.lifetimes.freed.bytes.value > 0.05 * site.allocated.bytes.value)
      continue;
    into.push_back(
        {"never-freed", fmt::format("{} allocated {} in {} blocks and freed {}.", group.name,
                                    format_with_error(site.allocated.bytes), format_count(site.allocated.blocks.value),
                                    site.lifetimes.freed.samples != 0 ? "less than 5% of it"
                                    : profile.full                    ? "none of them"
                                                                      : "none that was sampled")});
    if (++told == findings_a_rule) return;
  }
}

void find_short_lived(const process_profile& profile, findings& into) {
  std::vector<const site_group*> candidates;
  for (const site_group& group : profile.by_function) {
    const call_site& site = group.totals;
    const bool is_large = site.allocated.bytes.value >= std::max(64 * mebibyte, 0.05 * profile.allocated.bytes.value);
    constexpr std::uint64_t short_ns = 1'000'000;
    if (!is_large || !is_supported(profile, site.allocated) ||
        site.lifetimes.ninth_decile_ns.value_or(short_ns) >= short_ns)
      continue;
    candidates.push_back(&group);
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const site_group* a, const site_group* b) {
    return a->totals.allocated.bytes.value > b->totals.allocated.bytes.value;
  });
  if (candidates.size() > findings_a_rule) candidates.resize(findings_a_rule);
  for (const site_group* const group : candidates) {
    const lifetime_summary& lives = group->totals.lifetimes;
    into.push_back({"short-lived",
                    fmt::format("{}: 90% of the {} it allocated was gone within {} (half within {}): a candidate for "
                                "an arena, or for a buffer that is kept.",
                                group->name, format_with_error(group->totals.allocated.bytes),
                                format_duration(lives.ninth_decile_ns.value_or(0)),
                                format_duration(lives.median_ns.value_or(0)))});
  }
}

void find_other_thread(const process_profile& profile, findings& into) {
  for (const site_group& group : profile.by_function) {
    const call_site& site = group.totals;
    const double freed = site.lifetimes.freed.bytes.value;
    if (site.allocated.bytes.value < 0.1 * profile.allocated.bytes.value ||
        !is_supported(profile, site.lifetimes.freed))
      continue;
    if (site.lifetimes.freed_by_other_thread_bytes < 0.5 * freed) continue;
    into.push_back({"freed-elsewhere",
                    fmt::format("{}: {} of the {} freed went away on another thread than the one that allocated it.",
                                group.name, format_share(site.lifetimes.freed_by_other_thread_bytes / freed),
                                format_with_error(site.lifetimes.freed.bytes))});
    return;
  }
}

// Live bytes at a half, three quarters and the end of the run: growth that goes on to the end.
void find_growth(const process_profile& profile, findings& into) {
  const auto& record = profile.record;
  const std::uint64_t duration_ns = record.end_ns > record.start_ns ? record.end_ns - record.start_ns : 0;
  if (duration_ns < 2'000'000'000) return;
  const std::array<amount, 3>& live = profile.live_late;
  const double growth = live[2].bytes.value - live[0].bytes.value;
  const double error = std::sqrt(live[2].bytes.variance + live[0].bytes.variance);
  const bool goes_on = live[1].bytes.value > live[0].bytes.value && live[2].bytes.value > live[1].bytes.value;
  if (!goes_on || growth < 4 * mebibyte || growth < 0.25 * live[0].bytes.value || growth < 3 * error) return;
  into.push_back(
      {"growth", fmt::format("Live memory grew to the end: {} half-way, {} at three quarters, {} at the end.",
                             format_with_error(live[0].bytes), format_with_error(live[1].bytes),
                             format_with_error(live[2].bytes))});
}

void find_heap_waste(const process_profile& profile, findings& into) {
  const auto& memory = profile.memory_at_peak;
  if (!memory || memory->heap_resident_bytes == 0 || memory->follows_frees) return;
  const double heap = static_cast<double>(memory->heap_resident_bytes);
  const double dirty = bytes_of(memory, part_kind::heap_free_dirty);
  const double spans = bytes_of(memory, part_kind::heap_central_free);
  const double caches = bytes_of(memory, part_kind::heap_thread_caches);
  const double live = bytes_of(memory, part_kind::heap_live);
  if (dirty >= 8 * mebibyte && dirty >= 0.3 * heap)
    into.push_back({"free-pages", fmt::format("At the peak {} of the heap's {} were free pages that had not yet gone "
                                              "back to the system.",
                                              format_bytes(dirty), format_bytes(heap))});
  if (spans >= 8 * mebibyte && spans >= 0.3 * heap)
    into.push_back({"fragmentation", fmt::format("At the peak {} of the heap's {} were free blocks in spans that "
                                                 "other blocks held in place.",
                                                 format_bytes(spans), format_bytes(heap))});
  // The part is a difference: it counts only beyond the error of the live bytes it was taken from.
  const memory_part* const live_part = part_of(memory, part_kind::heap_live);
  const double error = live_part != nullptr && live_part->sampled ? live_part->sampled->standard_error() : 0;
  if (caches >= 8 * mebibyte && caches >= 0.5 * live && caches >= 3 * error)
    into.push_back({"caches", fmt::format("Thread caches held {} at the peak, beside {} of live blocks.",
                                          format_bytes(caches), format_bytes(live))});
  if (live_part != nullptr && live_part->sampled &&
      live_part->sampled->value - heap >= std::max(8 * mebibyte, 3 * error))
    into.push_back({"untouched", fmt::format("At the peak {} were allocated, but only {} of heap were resident: the "
                                             "rest had never been touched.",
                                             format_with_error(*live_part->sampled), format_bytes(heap))});
}

void find_rounding(const process_profile& profile, findings& into) {
  const amount& live = profile.live_at_peak;
  const double waste = live.usable_bytes.value - live.bytes.value;
  if (!is_supported(profile, live) || waste < 8 * mebibyte || waste < 0.15 * live.bytes.value) return;
  into.push_back({"rounding", fmt::format("Rounding up to size classes added {} to the {} live at the peak.",
                                          format_bytes(waste), format_with_error(live.bytes))});
}

void find_outside_heap(const process_profile& profile, findings& into) {
  const auto& memory = profile.memory_at_peak;
  if (!memory) return;
  const double other = bytes_of(memory, part_kind::other_anonymous);
  const double resident = static_cast<double>(memory->resident_bytes);
  if (other < 16 * mebibyte || other < 0.25 * resident) return;
  into.push_back({"outside-the-heap",
                  fmt::format("{} of the {} resident at the peak were mapped by the program itself, outside the heap, "
                              "and have no call site here.",
                              format_bytes(other), format_bytes(resident))});
}

void find_losses(const process_profile& profile, findings& into) {
  const auto& record = profile.record;
  if (record.dropped_events != 0)
    into.push_back(
        {"dropped", fmt::format("{} events were dropped because the ring was full; they stood for {}, which "
                                "is missing from the figures by call site.",
                                record.dropped_events, format_bytes(static_cast<double>(record.dropped_bytes)))});
  if (profile.full && profile.full->losses.allocations + profile.full->losses.frees != 0) {
    const std::string losers = losers_text(record, profile.full->losses);
    into.push_back(
        {"dropped",
         fmt::format("{} allocations of {} and {} frees found their rings full: allocated figures "
                     "are low by that much, live ones by up to that much either way{}{}.",
                     profile.full->losses.allocations, format_bytes(static_cast<double>(profile.full->losses.bytes)),
                     profile.full->losses.frees, losers.empty() ? "" : ": ", losers)});
  }
  if (profile.full && !profile.full->is_complete)
    into.push_back({"cut-off",
                    "The recording does not reach the end of this process: what it did after that is "
                    "missing from the figures by call site."});
  if (record.lost_bytes != 0 || record.refused_events != 0)
    into.push_back({"lost", fmt::format("{} of the ring and {} records could not be read.",
                                        format_bytes(static_cast<double>(record.lost_bytes)), record.refused_events)});
}

void find_short_stacks(const process_profile& profile, findings& into) {
  double cut = 0, all = 0;
  for (const call_site& site : profile.sites) {
    all += site.allocated.bytes.value;
    if (profile.record.stacks[site.stack].end == collect::stack_end::no_rule) cut += site.allocated.bytes.value;
  }
  if (all <= 0 || cut < 0.05 * all) return;
  into.push_back({"cut-stacks", fmt::format("The stacks of {} of the bytes allocated end early, in code without "
                                            "unwind tables.",
                                            format_share(cut / all))});
}

}  // namespace

std::vector<finding> find_all(const process_profile& profile) {
  findings result;
  find_growth(profile, result);
  find_never_freed(profile, result);
  find_short_lived(profile, result);
  find_other_thread(profile, result);
  find_heap_waste(profile, result);
  find_rounding(profile, result);
  find_outside_heap(profile, result);
  find_short_stacks(profile, result);
  find_losses(profile, result);
  return result;
}

}  // namespace tenure::analyze
