#include "instruments/cli/machine_facts.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "instruments/cli/cgroup_limit.h"
#include "instruments/cli/options_table.h"

namespace tenure::cli {
namespace {

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

machine_fact fact(std::string name, bool is_there, std::string cost) {
  return {std::move(name), is_there ? "yes" : "no", is_there ? fact_grade::good : fact_grade::missing,
          is_there ? "" : std::move(cost)};
}

// Told because people ask for it.
machine_fact unused(std::string name, bool is_there) {
  return {std::move(name), is_there ? "yes" : "no", fact_grade::information,
          is_there ? "" : "Nothing is lost: this version does not use it."};
}

// madvise checks the advice before it looks at the range, and an empty range changes nothing.
bool knows_advice(int advice) {
  static char page[8192];
  const auto aligned = (reinterpret_cast<std::uintptr_t>(page) + 4095) & ~std::uintptr_t{4095};
  return madvise(reinterpret_cast<void*>(aligned), 0, advice) == 0;
}

// What a call says about arguments that are wrong tells whether the kernel has it.
bool knows_call(long result) { return result >= 0 || (errno != ENOSYS && errno != EINVAL); }

bool has_fixed_no_replace() {
  const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* taken = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (taken == MAP_FAILED) return false;
  void* second = mmap(taken, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  const bool refused = second == MAP_FAILED && errno == EEXIST;
  if (second != MAP_FAILED) munmap(second, size);
  munmap(taken, size);
  return refused;
}

bool has_private_membarrier() {
  const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
}

bool has_userfaultfd() {
  constexpr int user_mode_only = 1;
  const long descriptor = syscall(SYS_userfaultfd, O_CLOEXEC | user_mode_only);
  if (descriptor >= 0) close(static_cast<int>(descriptor));
  return descriptor >= 0;
}

machine_fact huge_pages() {
  const std::string modes = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t begin = modes.find('['), end = modes.find(']');
  const bool is_known = begin != modes.npos && end != modes.npos;
  const std::string mode = is_known ? modes.substr(begin + 1, end - begin - 1) : "not in this kernel";
  if (mode == "madvise") return {"transparent huge pages", mode, fact_grade::good, ""};
  if (!is_known) {
    return {"transparent huge pages", mode, fact_grade::missing,
            "A large heap takes a page fault for every 4 KiB, and more misses of the processor's address cache."};
  }
  // What is dense is collapsed all the same (MADV_COLLAPSE), which the kernel grants in every mode.
  if (mode == "never") {
    return {
        "transparent huge pages", mode, fact_grade::missing,
        "A growing heap takes a page fault for every 4 KiB, and gets huge pages only later, where it is dense; madvise "
        "gives them as it grows."};
  }
  return {"transparent huge pages", mode, fact_grade::missing,
          "The first touch of 2 MiB makes all of it resident, so that sparse parts of the heap cost more; madvise does "
          "not."};
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  char text[40];
  std::snprintf(text, sizeof text, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

machine_fact shared_memory() {
  struct statvfs mount {};
  machine_fact result{"/dev/shm", "missing", fact_grade::missing,
                      "Region files (9.3 MiB a process) go to $TMPDIR or /tmp, which may be a disk."};
  if (statvfs("/dev/shm", &mount) != 0) return result;
  const std::uint64_t free_bytes = std::uint64_t{mount.f_bavail} * mount.f_frsize;
  result.value = bytes_text(free_bytes) + " free";
  if (access("/dev/shm", W_OK) != 0) {
    result.value += ", not writable";
    return result;
  }
  if (free_bytes < (32u << 20)) {
    result.cost = "There is room for few watched processes (9.3 MiB each); docker's --shm-size gives more.";
    return result;
  }
  result.grade = fact_grade::good;
  result.cost.clear();
  return result;
}

machine_fact address_limit() {
  struct rlimit limit {};
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {"RLIMIT_AS", "unlimited", fact_grade::good, ""};
  return {"RLIMIT_AS", bytes_text(limit.rlim_cur), fact_grade::missing,
          "The heap reserves less address space ahead, and large programs may be refused memory."};
}

machine_fact overcommit() {
  const std::string mode = first_line("/proc/sys/vm/overcommit_memory");
  if (mode == "2") {
    return {"overcommit", "never (2)", fact_grade::missing,
            "Address space that is reserved but not used counts against the limit of the machine."};
  }
  return {"overcommit", mode == "1" ? "always (1)" : mode == "0" ? "heuristic (0)" : "unknown", fact_grade::good, ""};
}

machine_fact mapping_count() {
  const std::string count = first_line("/proc/sys/vm/max_map_count");
  const bool is_small = !count.empty() && std::strtoull(count.c_str(), nullptr, 10) < 65530;
  return {"max_map_count", count.empty() ? "unknown" : count, is_small ? fact_grade::missing : fact_grade::good,
          is_small ? "Programs with many mappings may be refused memory although there is some." : ""};
}

machine_fact cgroup_memory() {
  const cgroup_limit limit = own_cgroup_limit();
  std::string value = limit.version == 0 ? "no memory controller seen" : "v" + std::to_string(limit.version);
  if (limit.version != 0) value += limit.bytes ? ", limit " + bytes_text(*limit.bytes) : ", no limit";
  return {"cgroup", value, fact_grade::information, ""};
}

machine_fact setting(std::string name, const char* path, const char* absent) {
  const std::string value = first_line(path);
  return {std::move(name), value.empty() ? absent : value, fact_grade::information, ""};
}

machine_fact debuginfod() {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  const bool is_set = urls != nullptr && *urls != '\0';
  return {"debuginfod", is_set ? "DEBUGINFOD_URLS is set; asked with --debuginfod only" : "DEBUGINFOD_URLS is not set",
          fact_grade::information, ""};
}

}  // namespace

std::vector<machine_fact> memory_facts() {
  constexpr int populate_write = 23, collapse = 25;  // newer than glibc 2.36's header
  struct utsname system {};
  uname(&system);
  return {
      {"kernel", system.release, fact_grade::information, ""},
      huge_pages(),
      fact("MADV_COLLAPSE", knows_advice(collapse),
           "Dense parts of the heap stay on small pages, so that large heaps miss the TLB more often (since Linux "
           "6.1)."),
      fact("MADV_POPULATE_WRITE", knows_advice(populate_write),
           "Where shared memory is full, a watched program dies of SIGBUS instead of running unwatched (since Linux "
           "5.14)."),
      fact("MAP_FIXED_NOREPLACE", has_fixed_no_replace(),
           "Address space beside the heap is claimed with two calls instead of one (since Linux 4.17)."),
      fact("membarrier", has_private_membarrier(),
           "A walk over the live blocks may be a moment behind on aarch64; nothing is lost on x86-64 (since Linux "
           "4.14)."),
      unused("process_madvise", knows_call(syscall(SYS_process_madvise, -1, nullptr, 0, MADV_COLD, 0))),
      unused("userfaultfd", has_userfaultfd()),
  };
}

std::vector<machine_fact> limit_facts() {
  std::vector<machine_fact> facts = {cgroup_memory(), overcommit(), address_limit(), mapping_count()};
  facts.push_back(fact("pressure (PSI)",
                       std::ifstream("/proc/pressure/memory").good() && !first_line("/proc/pressure/memory").empty(),
                       "Memory pressure is known only from the limits, not from the time that programs wait."));
  return facts;
}

std::vector<machine_fact> instrument_facts() {
  std::vector<machine_fact> facts = {shared_memory()};
  facts.push_back({"glibc", gnu_get_libc_version(), fact_grade::information, ""});
  facts.push_back(fact("_dl_find_object", dlsym(RTLD_DEFAULT, "_dl_find_object") != nullptr,
                       "The first frame of each module costs a walk over all modules (since glibc 2.35)."));
  facts.push_back(setting("ptrace scope", "/proc/sys/kernel/yama/ptrace_scope", "not restricted"));
  facts.push_back(setting("perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", "no perf events"));
  facts.push_back(debuginfod());
  return facts;
}

}  // namespace tenure::cli
