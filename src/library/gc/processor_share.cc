#include "library/gc/processor_share.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace tenure::gc {

namespace {

constexpr double half_life_ns = 1e9;

// What a file of two numbers, or two files of one, allow; 0: as much as there is.
double quota_of(std::istream& quota, std::istream& period) {
  double most = 0;
  double of = 0;
  if (!(quota >> most) || !(period >> of) || most <= 0 || of <= 0) return 0;
  return most / of;
}

// The least quota of the group at `path` and of those above, below `mount`.
double least_quota(const std::string& mount, std::string path, bool is_second_version) {
  double least = 0;
  for (;;) {
    const std::string folder = mount + path + "/";
    double found = 0;
    if (is_second_version) {
      std::ifstream both(folder + "cpu.max");
      found = quota_of(both, both);
    } else {
      std::ifstream quota(folder + "cpu.cfs_quota_us");
      std::ifstream period(folder + "cpu.cfs_period_us");
      found = quota_of(quota, period);
    }
    if (found > 0 && (least == 0 || found < least)) least = found;
    const std::size_t above = path.rfind('/');
    if (above == std::string::npos) return least;
    path.erase(above);
  }
}

double runnable_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

double usable_processors(const std::string& root) {
  double least = runnable_processors();
  std::ifstream groups(root + "/proc/self/cgroup");
  // number:controllers:path, without controllers in version 2
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    double quota = 0;
    if (controllers == ",,") {
      quota = least_quota(root + "/sys/fs/cgroup", path, true);
    } else if (controllers.find(",cpu,") != std::string::npos) {
      quota = least_quota(root + "/sys/fs/cgroup/cpu", path, false);
    }
    if (quota > 0) least = std::min(least, quota);
  }
  return least;
}

double processor_share::faded_ns(std::uint64_t now_ns) const noexcept {
  const double passed_ns = now_ns > at_ns_ ? static_cast<double>(now_ns - at_ns_) : 0;
  return spent_ns_ * std::exp2(-passed_ns / half_life_ns);
}

void processor_share::add(std::uint64_t now_ns, std::uint64_t spent_ns) noexcept {
  spent_ns_ = faded_ns(now_ns) + static_cast<double>(spent_ns);
  at_ns_ = now_ns;
}

// Who takes a processor all the time has half_life / ln 2 of it unfaded.
double processor_share::percent(std::uint64_t now_ns, double processors) const noexcept {
  return faded_ns(now_ns) * std::log(2.0) / half_life_ns / processors * 100;
}

}  // namespace tenure::gc
