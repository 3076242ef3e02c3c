#include "instruments/analyze/format.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace tenure::analyze {

std::string format_bytes(double bytes) {
  static constexpr std::array units = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1023.5) return fmt::format("{:.0f} B", bytes);
  std::size_t unit = 0;
  double value = bytes / 1024;
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_count(double count) {
  if (count < 9999.5) return fmt::format("{:.0f}", count);
  static constexpr std::array units = {"k", "M", "G", "T"};
  std::size_t unit = 0;
  double value = count / 1000;
  while (value >= 999.95 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_duration(std::uint64_t ns) {
  const double value = static_cast<double>(ns);
  if (ns < 1000) return fmt::format("{} ns", ns);
  if (value < 999.5e3) return fmt::format("{:.3g} us", value / 1e3);
  if (value < 999.5e6) return fmt::format("{:.3g} ms", value / 1e6);
  if (value < 99.95e9) return fmt::format("{:.{}f} s", value / 1e9, value < 9.995e9 ? 2 : 1);
  const std::uint64_t seconds = (ns + 500'000'000) / 1'000'000'000;
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

std::string format_share(double share) {
  const double percent = share * 100;
  if (percent > 0 && percent < 0.05) return "<0.1%";
  return percent < 9.95 ? fmt::format("{:.1f}%", percent) : fmt::format("{:.0f}%", percent);
}

std::string format_error(const estimate& of) {
  const double percent = of.relative_error() * 100;
  if (of.value <= 0 || percent < 0.05) return "";
  if (percent > 100) return "±>100%";
  return percent < 9.95 ? fmt::format("±{:.1f}%", percent) : fmt::format("±{:.0f}%", percent);
}

std::string format_with_error(const estimate& bytes) {
  const std::string error = format_error(bytes);
  return error.empty() ? format_bytes(bytes.value) : format_bytes(bytes.value) + " " + error;
}

}  // namespace tenure::analyze
