#include "instruments/analyze/gates.h"

#include <algorithm>
#include <cmath>

#include "instruments/analyze/selection.h"

namespace tenure::analyze {
namespace {

// A share of a count that binary fractions put a hair below a whole number is that number.
constexpr double hair = 1e-3;

judged_figure figure_of(const gate& one, const changed_site& site, bool is_noise_measured) {
  const change& of = site.of(one.of);
  return {&site, of.before, of.after, one.limit.allowed(of, is_noise_measured), {}};
}

// What answers for a figure: against a limit who has most of it, against a baseline who grew most.
std::vector<const changed_site*> sites_behind(const gate& one, const difference& compared, const changed_site& judged,
                                              std::size_t most_sites) {
  const bool takes_all = &judged == &compared.totals;
  const auto part = [&](const changed_site* site) {
    const change& of = site->of(one.of);
    return one.limit.is_growth ? of.difference() : of.after;
  };
  std::vector<const changed_site*> result;
  for (const changed_site& site : compared.by_site)
    if ((takes_all || site.frames.front() == judged.frames.front()) && part(&site) > 0) result.push_back(&site);
  std::stable_sort(result.begin(), result.end(), [&](auto* left, auto* right) { return part(left) > part(right); });
  if (result.size() > most_sites) result.resize(most_sites);
  return result;
}

}  // namespace

double limit::allowed(const change& of, bool is_noise_measured) const {
  const auto fixed = static_cast<double>(amount);
  if (!is_growth) return fixed;
  return of.before + std::floor(of.before * share + hair) + fixed + (is_noise_measured ? of.noise : 0);
}

verdict judge(const gate& one, const difference& compared, std::size_t most_sites) {
  verdict result;
  const auto take = [&](const changed_site& site) {
    const judged_figure figure = figure_of(one, site, compared.is_measured);
    if (result.judged++ == 0 || figure.over() > result.worst.over()) result.worst = figure;
    if (figure.over() > 0) result.too_much.push_back(figure);
  };
  if (one.name.empty()) {
    take(compared.totals);
  } else {
    for (const changed_site& site : one.takes_sites ? compared.by_site : compared.by_function)
      if (fits(one.name, site.frames.front())) take(site);
  }
  std::stable_sort(result.too_much.begin(), result.too_much.end(),
                   [](const judged_figure& left, const judged_figure& right) { return left.over() > right.over(); });
  for (judged_figure& figure : result.too_much)
    if (!one.takes_sites || one.name.empty()) figure.sites = sites_behind(one, compared, *figure.site, most_sites);
  return result;
}

}  // namespace tenure::analyze
