// Figures as people read them: sizes, times, shares, counts, errors. Shared by findings and reports.
#pragma once

#include <cstdint>
#include <string>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

std::string format_bytes(double bytes);                // "12.3 MiB", "512 B"
std::string format_count(double count);                // "1234", "12.3 k", "4.5 M"
std::string format_duration(std::uint64_t ns);         // "850 ns", "1.2 ms", "3.4 s", "5 min 10 s"
std::string format_share(double share);                // "0.4%", "12%", "100%"
std::string format_with_error(const estimate& bytes);  // "12.3 MiB ±4%"
// "±4%"; empty when the figure is exact, "±>100%" when it is no more than a hint.
std::string format_error(const estimate& of);

}  // namespace tenure::analyze
