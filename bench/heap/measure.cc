#include "measure.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tenure::bench {
namespace {

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_usec) * 1000;
}

// "VmHWM:     1234 kB" of /proc/self/status, as bytes.
std::uint64_t status_bytes(const char* field) {
  char text[4096];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return 0;
  }
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) {
    return 0;
  }
  text[length] = '\0';
  const char* line = std::strstr(text, field);
  return line ? std::strtoull(line + std::strlen(field), nullptr, 10) * 1024 : 0;
}

}  // namespace

reading read_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {.wall_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec),
          .cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
          .minor_faults = static_cast<std::uint64_t>(usage.ru_minflt),
          .major_faults = static_cast<std::uint64_t>(usage.ru_majflt),
          .voluntary_switches = static_cast<std::uint64_t>(usage.ru_nvcsw)};
}

reading operator-(const reading& later, const reading& earlier) {
  return {.wall_ns = later.wall_ns - earlier.wall_ns,
          .cpu_ns = later.cpu_ns - earlier.cpu_ns,
          .minor_faults = later.minor_faults - earlier.minor_faults,
          .major_faults = later.major_faults - earlier.major_faults,
          .voluntary_switches = later.voluntary_switches - earlier.voluntary_switches};
}

std::uint64_t peak_rss_bytes() { return status_bytes("VmHWM:"); }
std::uint64_t rss_bytes() { return status_bytes("VmRSS:"); }

const char* provider_of(const char* symbol) {
  Dl_info info{};
  void* address = dlsym(RTLD_DEFAULT, symbol);
  return address && dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

void print_result(const char* name, std::uint64_t operations, const reading& cost, std::uint64_t peak_bytes,
                  std::uint64_t end_bytes) {
  std::printf(
      "{\"name\": \"%s\", \"operations\": %llu, \"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, "
      "\"peak_rss_bytes\": %llu, \"end_rss_bytes\": %llu, \"minor_faults\": %llu, \"major_faults\": %llu, "
      "\"voluntary_switches\": %llu, \"malloc_from\": \"%s\", \"new_from\": \"%s\"}\n",
      name, static_cast<unsigned long long>(operations), static_cast<double>(cost.wall_ns) / 1e9,
      static_cast<double>(cost.cpu_ns) / 1e9, static_cast<unsigned long long>(peak_bytes),
      static_cast<unsigned long long>(end_bytes), static_cast<unsigned long long>(cost.minor_faults),
      static_cast<unsigned long long>(cost.major_faults), static_cast<unsigned long long>(cost.voluntary_switches),
      provider_of("malloc"), provider_of("_Znwm"));
}

}  // namespace tenure::bench
