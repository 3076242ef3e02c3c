// How much of the processors that the process may use its collector has taken lately.
#pragma once

#include <cstdint>
#include <string>

namespace tenure::gc {

// Processors that the process may use: the quota of its cgroups, version 2 or 1, whichever of them and of those above
// gives least, and no more than its threads may run on. `root` stands before /proc and /sys, for tests. Some 30 us.
double usable_processors(const std::string& root = {});

// Processor time that was taken, each part of it fading by half in a second.
class processor_share {
 public:
  void add(std::uint64_t now_ns, std::uint64_t spent_ns) noexcept;
  // Per cent of so many processors, as if at the pace of the last seconds.
  double percent(std::uint64_t now_ns, double processors) const noexcept;

 private:
  double faded_ns(std::uint64_t now_ns) const noexcept;

  double spent_ns_ = 0;
  std::uint64_t at_ns_ = 0;
};

}  // namespace tenure::gc
