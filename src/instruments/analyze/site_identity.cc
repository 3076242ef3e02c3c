#include "instruments/analyze/site_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace tenure::analyze {
namespace {

constexpr std::string_view no_stack = "[no stack]";
constexpr std::string_view no_name = "?";

// ".constprop.0", ".part.1.isra.2": what begins there is the compiler's.
std::size_t begin_of_clone(std::string_view function) {
  static constexpr std::array tails = {".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm."};
  std::size_t begin = function.size();
  for (const std::string_view tail : tails) begin = std::min(begin, function.find(tail));
  return begin;
}

bool has_losses(const exact_process& process) {
  const collect::tape_losses& lost = process.losses;
  return !process.is_complete || lost.allocations + lost.frees + lost.refused_records != 0 || lost.is_corrupt;
}

const exact_process* process_of_greatest_peak(const exact_report& report) {
  const auto found =
      std::max_element(report.processes.begin(), report.processes.end(),
                       [](const auto& left, const auto& right) { return left.peak.bytes < right.peak.bytes; });
  return found != report.processes.end() ? &*found : nullptr;
}

// The site that a stack belongs to.
site_figures& entry_of(run_figures& of, const exact_process& process, frame_resolver& frames, std::uint32_t stack) {
  std::vector<std::string> identity = site_identity(process.profile, frames, stack);
  const auto [place, is_new] = of.by_site.try_emplace(identity);
  site_figures& figures = place->second;
  if (!is_new) return figures;
  figures.frames = std::move(identity);
  const auto chain = frames.user_chain(stack, 1);
  if (!chain.empty() && !chain[0].what->file.empty() && chain[0].what->line != 0) {
    const std::string& file = chain[0].what->file;
    figures.place = fmt::format("{}:{}", file.substr(file.rfind('/') + 1), chain[0].what->line);
  }
  return figures;
}

}  // namespace

std::string function_identity(std::string_view function) {
  function = function.substr(0, function.find(" [clone "));
  const std::size_t clone = begin_of_clone(function);
  return std::string(clone == 0 ? function : function.substr(0, clone));
}

std::string module_identity(std::string_view path, std::string_view executable) {
  if (path == executable) return {};
  const std::string_view base = path.substr(path.rfind('/') + 1);
  const std::size_t shared = base.find(".so.");
  return std::string(shared == std::string_view::npos ? base : base.substr(0, shared + 3));
}

std::vector<std::string> site_identity(const process_profile& process, frame_resolver& frames, std::uint32_t stack) {
  std::vector<std::string> result;
  for (const auto& placed : frames.user_chain(stack, std::numeric_limits<std::size_t>::max())) {
    const bool has_module = placed.module < process.record.modules.size();
    const std::string module =
        has_module ? module_identity(process.record.modules[placed.module].path, process.record.executable)
                   : "[no file]";
    const std::string function =
        placed.what->is_named ? function_identity(placed.what->function) : std::string(no_name);
    std::string one = module.empty() ? function : fmt::format("{}!{}", module, function);
    // How many functions without a name follow each other is the compiler's affair too.
    const bool is_repeated = !placed.what->is_named && !result.empty() && result.back() == one;
    if (!is_repeated) result.push_back(std::move(one));
  }
  if (result.empty()) result.emplace_back(no_stack);
  return result;
}

run_figures figures_of(exact_report& report, symbols::symbolizer& symbolizer, const figure_options& options) {
  run_figures result;
  result.is_exact = result.is_whole = report.is_complete && !report.damage;
  result.is_shortened = report.rotated.has_value();
  result.source = report.source;
  result.notes = report.run.notes;
  result.process_count = report.processes.size();
  const exact_process* const greatest = options.peak_of_one ? process_of_greatest_peak(report) : nullptr;
  for (exact_process& process : report.processes) {
    const bool is_at_peak = greatest == nullptr || greatest == &process;
    frame_resolver frames(process.profile, symbolizer);
    for (const exact_site& site : process.sites) {
      site_figures& figures = entry_of(result, process, frames, site.stack);
      site_figures one;
      one.allocated = site.allocated;
      if (is_at_peak) one.at_moment = site.at_moment;
      const bool is_left_out = options.suppressed != nullptr && site.at_end.blocks != 0 &&
                               options.suppressed->takes(process.profile, frames, site.stack);
      (is_left_out ? result.suppressed : one.left) += site.at_end;
      figures += one;
      result.totals += one;
    }
    if (is_at_peak) result.peak += process.peak;
    result.is_exact &= !has_losses(process);
  }
  return result;
}

std::map<std::vector<std::string>, site_figures> by_function(const run_figures& run) {
  std::map<std::vector<std::string>, site_figures> result;
  for (const auto& [frames, figures] : run.by_site) {
    const auto [place, is_new] = result.try_emplace({frames.front()});
    if (is_new) {
      place->second.frames = {frames.front()};
      place->second.place = figures.place;
    }
    place->second += figures;
  }
  return result;
}

}  // namespace tenure::analyze
