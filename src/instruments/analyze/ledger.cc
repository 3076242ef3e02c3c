#include "instruments/analyze/ledger.h"

#include <algorithm>
#include <tuple>

namespace tenure::analyze {
namespace {

const collect::account* find_record(const std::vector<collect::account>& accounts, std::uint32_t record) {
  const auto found =
      std::find_if(accounts.begin(), accounts.end(), [&](const auto& one) { return one.record == record; });
  return found == accounts.end() ? nullptr : &*found;
}

}  // namespace

std::optional<collect::account> account_at_peak(const process_profile& of, const collect::account& account) {
  if (of.record.maps.empty()) return std::nullopt;
  const collect::account* const found = find_record(of.record.maps.back().accounts, account.record);
  // A record may have passed to another owner in between.
  if (found != nullptr && found->name == account.name && found->kind == account.kind) return *found;
  return collect::account{};
}

std::string account_path(const std::vector<collect::account>& accounts, const collect::account& account) {
  // The links come from a file that anybody may write: no path is longer than there are accounts.
  std::string path = account.name;
  const collect::account* at = &account;
  for (std::size_t depth = 0; depth < 8 && at->parent != collect::no_index; ++depth) {
    at = find_record(accounts, at->parent);
    if (at == nullptr) break;
    path = at->name + " / " + path;
  }
  return path;
}

std::vector<const collect::account*> accounts_by_size(const process_profile& of) {
  const auto size_of = [&](const collect::account* one) {
    const auto at_peak = account_at_peak(of, *one);
    return std::tuple(std::max(one->held_bytes, at_peak ? at_peak->held_bytes : 0), one->peak_held_bytes);
  };
  std::vector<const collect::account*> result;
  for (const collect::account& one : of.record.accounts)
    if (one.peak_held_bytes != 0 || one.peak_used_bytes != 0) result.push_back(&one);
  std::stable_sort(result.begin(), result.end(),
                   [&](const collect::account* a, const collect::account* b) { return size_of(a) > size_of(b); });
  return result;
}

}  // namespace tenure::analyze
