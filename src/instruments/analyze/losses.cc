#include "instruments/analyze/losses.h"

#include <fmt/format.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/analyze/grouping.h"

namespace tenure::analyze {

std::vector<thread_loss> losses_by_thread(const collect::process_record& record, const collect::tape_losses& lost) {
  std::vector<thread_loss> result;
  thread_loss rest{{}, lost.allocations, lost.bytes, lost.frees};
  for (const collect::thread_losses& one : lost.by_thread) {
    if (one.thread >= record.threads.size()) continue;
    result.push_back({record.threads[one.thread], one.allocations, one.bytes, one.frees});
    rest.allocations -= std::min(rest.allocations, one.allocations);
    rest.bytes -= std::min(rest.bytes, one.bytes);
    rest.frees -= std::min(rest.frees, one.frees);
  }
  std::stable_sort(result.begin(), result.end(), [](auto& a, auto& b) { return a.events() > b.events(); });
  if (rest.events() != 0) result.push_back(rest);
  return result;
}

std::string losers_text(const collect::process_record& record, const collect::tape_losses& lost) {
  constexpr std::size_t named = 3;
  const std::vector<thread_loss> losses = losses_by_thread(record, lost);
  if (losses.empty() || !losses.front().thread) return {};
  std::string text;
  std::size_t others = 0;
  std::uint64_t of_others = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const thread_loss& one = losses[i];
    if (!one.thread) {
      text += fmt::format("; threads that had no ring {} events", one.events());
    } else if (i >= named) {
      ++others;
      of_others += one.events();
    } else {
      text += fmt::format("{}{} lost {} allocations of {} and {} frees", i == 0 ? "" : ", ", thread_label(*one.thread),
                          one.allocations, format_bytes(static_cast<double>(one.bytes)), one.frees);
    }
  }
  if (others != 0) text += fmt::format("; {} other threads {} events", others, of_others);
  return text;
}

}  // namespace tenure::analyze
