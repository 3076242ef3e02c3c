#include "instruments/collect/unwatched.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "instruments/collect/process_files.h"

namespace tenure::collect {
namespace {

constexpr std::uint64_t pause_ns = 100'000'000;
// Of the processor's time the walks may take one in so many.
constexpr std::uint64_t walk_cost_divisor = 500;
constexpr std::size_t process_limit = 10'000;  // of one tree

std::vector<std::uint32_t> descendants() {
  std::vector<std::uint32_t> found{static_cast<std::uint32_t>(::getpid())};
  for (std::size_t next = 0; next < found.size() && found.size() < process_limit; ++next)
    for (const std::uint32_t child : children_of(found[next])) found.push_back(child);
  found.erase(found.begin());
  return found;
}

}  // namespace

void unwatched_programs::walk(std::uint64_t now_ns, const std::function<bool(std::uint32_t pid)>& is_watched) {
  const std::uint64_t begin_ns = own_processor_ns();
  std::set<std::uint32_t> strangers;
  for (const std::uint32_t pid : descendants())
    if (!is_watched(pid)) strangers.insert(pid);
  for (auto one = seen_.begin(); one != seen_.end();) {
    if (strangers.contains(one->first)) {
      ++one;
      continue;
    }
    if (one->second.is_certain && !one->second.is_loaded) collected_.push_back(std::move(one->second.program));
    one = seen_.erase(one);
  }
  for (const std::uint32_t pid : strangers) see(pid, now_ns);
  next_walk_ns_ = now_ns + std::max(pause_ns, (own_processor_ns() - begin_ns) * walk_cost_divisor);
}

void unwatched_programs::see(std::uint32_t pid, std::uint64_t now_ns) {
  const std::string executable = executable_of(pid);
  const auto [place, is_new] = seen_.try_emplace(pid);
  sighting& one = place->second;
  if (!is_new && one.program.executable != executable) {
    if (one.is_certain && !one.is_loaded) collected_.push_back(std::move(one.program));
    one = {};
  }
  const bool is_first = one.program.pid == 0;
  one.program.pid = pid;
  one.program.executable = executable;
  if (is_first) one.program.first_seen_ns = now_ns;
  one.program.last_seen_ns = now_ns;
  one.program.peak_resident_bytes = std::max(one.program.peak_resident_bytes, peak_resident_bytes_of(pid));
  // A zombie, or a process that is still being started, has no memory that we could ask for.
  if (is_first || one.is_certain || one.program.peak_resident_bytes == 0) return;
  one.is_certain = true;
  one.is_loaded = has_mapped(pid, session_) || (!library_.empty() && has_mapped(pid, library_));
}

std::vector<unwatched_program> unwatched_programs::take() {
  for (auto& [pid, one] : seen_)
    if (one.is_certain && !one.is_loaded) collected_.push_back(std::move(one.program));
  seen_.clear();
  std::stable_sort(collected_.begin(), collected_.end(), [](const unwatched_program& a, const unwatched_program& b) {
    return a.first_seen_ns < b.first_seen_ns;
  });
  return std::move(collected_);
}

}  // namespace tenure::collect
