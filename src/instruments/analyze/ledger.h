// Ledger: the program's accounts at the moments that the report speaks of.
//
// Accounts are exact and lie across the parts of memory: an arena's chunks come from the heap, a mapped file's from
// elsewhere. So they stand beside the parts that sum to RSS, and are no parts themselves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// What the account held at the peak of RSS; nothing when no map of that moment was read. An account that was not open
// then held nothing.
std::optional<collect::account> account_at_peak(const process_profile& of, const collect::account& account);

// "server / sessions": the names from the outermost account inward.
std::string account_path(const std::vector<collect::account>& accounts, const collect::account& account);

// Those that ever held anything, by what they held at either moment or at their own peak, greatest first.
std::vector<const collect::account*> accounts_by_size(const process_profile& of);

}  // namespace tenure::analyze
