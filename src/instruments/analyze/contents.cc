#include "instruments/analyze/contents.h"

#include <algorithm>
#include <map>
#include <string>

namespace tenure::analyze {
namespace {

// Samples of one type and stack are of objects of about one size: each had the same chance.
amount amount_of(const collect::account_content& one) {
  const auto samples = static_cast<double>(one.samples);
  const double chance = std::min(1.0, samples / std::max(one.objects, 1e-9));
  const auto sum_of = [&](double value) {
    const double share = value / samples;
    return estimate{value, samples * (1 - chance) * share * share};
  };
  const estimate bytes = sum_of(static_cast<double>(one.bytes));
  return {bytes, bytes, sum_of(one.objects), one.samples};
}

// Groups by their names, as they come.
class groups {
 public:
  content_group& operator[](const std::string& name) {
    const auto [at, is_new] = by_name_.emplace(name, all_.size());
    if (is_new) all_.push_back({name, {}, {}});
    return all_[at->second];
  }
  std::vector<content_group> sorted() && {
    std::stable_sort(all_.begin(), all_.end(), [](const content_group& a, const content_group& b) {
      return a.live.bytes.value > b.live.bytes.value;
    });
    return std::move(all_);
  }

 private:
  std::map<std::string, std::size_t> by_name_;
  std::vector<content_group> all_;
};

struct account_groups {
  groups by_type, by_site;
};

}  // namespace

std::vector<account_contents> contents_of(const process_profile& of, frame_resolver& frames) {
  std::vector<collect::account_content> contents = of.record.contents;
  // So that the chain of a function is that of its greatest stack.
  std::stable_sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  std::map<std::uint32_t, account_groups> by_account;
  for (const collect::account_content& one : contents) {
    account_groups& into = by_account[one.account];
    const amount live = amount_of(one);
    into.by_type[one.type].live += live;
    const std::vector<frame> chain = frames.shown_chain(one.stack);
    content_group& site = into.by_site[chain.empty() ? "[no stack]" : chain.front().function];
    site.live += live;
    if (site.chain.empty()) site.chain = chain;
  }
  std::vector<account_contents> result;
  for (auto& [account, found] : by_account)
    result.push_back({account, std::move(found.by_type).sorted(), std::move(found.by_site).sorted()});
  return result;
}

}  // namespace tenure::analyze
