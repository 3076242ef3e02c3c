#include "instruments/collect/attachment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <system_error>
#include <utility>

#include "instruments/collect/descriptor.h"
#include "instruments/collect/process_files.h"
#include "instruments/collect/region_reader.h"
#include "instruments/collect/session_watch.h"
#include "wire/bell.h"

namespace tenure::collect {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t copy_pause_ns = 20'000'000;
// A process that allocates leaves within microseconds; one that does not leaves when it does.
constexpr std::uint64_t leave_patience_ns = 300'000'000;

fs::path folder_of(const attachable& process, std::uint32_t attached_pid) {
  return fs::path(wire::bells_folder) /
         fmt::format("{}{}.{}{}", wire::bells_prefix, process.user_id, attached_pid, wire::attached_suffix);
}

// Whether the maker of the folder lives.
bool is_attended(const fs::path& folder) {
  const descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

// What an attacher left that was killed: whoever still tells there is asked to leave.
void clear_stale_attachments(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (!parse_region_name(entry.path().filename().string())) continue;
    if (auto reader = region_reader::open(entry.path()); reader && *reader != nullptr) (*reader)->ask_to_leave();
  }
  fs::remove_all(folder, ignored);
}

attach_failure failed(const std::string& what, int error) {
  return {attach_refusal::failed, fmt::format("{}: {}.", what, std::generic_category().message(error))};
}

// The session's folder, locked for as long as this lives.
class attached_folder {
 public:
  static std::expected<attached_folder, attach_failure> make(const attach_options& options);
  attached_folder(attached_folder&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
  attached_folder& operator=(attached_folder&&) = delete;
  ~attached_folder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  attached_folder(fs::path path, descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  fs::path path_;
  descriptor lock_;
};

// Under a name of its own until it is locked and complete: nobody sees half of it.
std::expected<attached_folder, attach_failure> attached_folder::make(const attach_options& options) {
  const fs::path path = folder_of(options.process, options.process.pid);
  const fs::path beside = fmt::format("{}.{}", path.string(), ::getpid());
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  if (::mkdir(beside.c_str(), 0700) != 0) return std::unexpected(failed(beside.string() + " cannot be made", errno));
  attached_folder made(beside, descriptor(::open(beside.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  ::flock(made.lock_.get(), LOCK_EX | LOCK_NB);
  const auto mode = options.writer != nullptr ? options.mode : wire::recording_mode::off;
  const auto scan = options.scan_patience_ns != 0 ? wire::scan_wish::at_once : wire::scan_wish::none;
  const wire::session_wishes wishes{wire::wishes_magic, wire::region_version,
                                    wire::recording_word(mode, options.tells_free_stacks), options.interval_bytes,
                                    static_cast<std::uint64_t>(scan) | options.scan_content};
  const descriptor file(::open((beside / "wishes").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (::write(file.get(), &wishes, sizeof wishes) != static_cast<ssize_t>(sizeof wishes))
    return std::unexpected(failed(beside.string() + " cannot be written to", errno));
  // Root's, for a process of somebody else: which has to make its region there.
  if (options.process.user_id != ::geteuid()) {
    const auto user = static_cast<uid_t>(options.process.user_id);
    if (::fchown(file.get(), user, static_cast<gid_t>(-1)) != 0 ||
        ::fchown(made.lock_.get(), user, static_cast<gid_t>(-1)) != 0)
      return std::unexpected(failed(beside.string() + " cannot be given to the process's user", errno));
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    constexpr unsigned no_replace = 1;  // RENAME_NOREPLACE
    if (::syscall(SYS_renameat2, AT_FDCWD, beside.c_str(), AT_FDCWD, path.c_str(), no_replace) == 0) {
      made.path_ = path;
      return made;
    }
    if (errno != EEXIST && errno != ENOTEMPTY) return std::unexpected(failed(path.string() + " cannot be made", errno));
    if (is_attended(path)) break;
    clear_stale_attachments(path);
  }
  return std::unexpected(attach_failure{
      attach_refusal::cannot,
      fmt::format("process {} is attached to already, by another `tenure attach`.", options.process.pid)});
}

// The bell of the process, rung for as long as this lives, with those that what it started has rung.
class rung_bell {
 public:
  static std::expected<rung_bell, attach_failure> ring(const attachable& process);
  rung_bell(rung_bell&& other) noexcept : bells_(std::exchange(other.bells_, nullptr)), pid_(other.pid_) {}
  rung_bell& operator=(rung_bell&&) = delete;
  ~rung_bell() { silence(); }
  void silence();
  bool is_rung() const { return load(place()) == wire::make_bell(pid_, pid_); }

 private:
  rung_bell(std::uint64_t* bells, std::uint32_t pid) : bells_(bells), pid_(pid) {}
  static std::uint64_t load(const std::uint64_t& bell) { return __atomic_load_n(&bell, __ATOMIC_ACQUIRE); }
  std::uint64_t& place() const { return bells_[wire::bell_place(pid_)]; }
  std::uint64_t* bells_;
  std::uint32_t pid_;
};

std::expected<rung_bell, attach_failure> rung_bell::ring(const attachable& process) {
  const descriptor file(::open(process.bells.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_uid != process.user_id || status.st_size != static_cast<off_t>(wire::bells_bytes))
    return std::unexpected(attach_failure{
        attach_refusal::failed, fmt::format("{} cannot be opened, or is not Tenure's.", process.bells.string())});
  void* const memory = ::mmap(nullptr, wire::bells_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return std::unexpected(failed(process.bells.string() + " cannot be mapped", errno));
  rung_bell made(static_cast<std::uint64_t*>(memory), process.pid);
  std::uint64_t there = load(made.place());
  const std::uint32_t theirs = wire::bell_attached(there);
  if (there != 0 && theirs != process.pid && is_attended(folder_of(process, theirs)))
    return std::unexpected(attach_failure{
        attach_refusal::cannot,
        wire::bell_process(there) == process.pid
            ? fmt::format("process {} is followed by the `tenure attach` of process {}.", process.pid, theirs)
            : fmt::format("process {} cannot be attached to while process {} is.", process.pid, theirs)});
  __atomic_store_n(&made.place(), wire::make_bell(process.pid, process.pid), __ATOMIC_RELEASE);
  return made;
}

void rung_bell::silence() {
  if (bells_ == nullptr) return;
  for (std::uint32_t i = 0; i < wire::bell_count; ++i) {
    std::uint64_t bell = load(bells_[i]);
    if (bell != 0 && wire::bell_attached(bell) == pid_)
      __atomic_compare_exchange_n(&bells_[i], &bell, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  }
  ::munmap(std::exchange(bells_, nullptr), wire::bells_bytes);
}

// SIGINT and the like as something to wait for, while this lives.
class stop_signals {
 public:
  stop_signals() {
    sigset_t stops;
    ::sigemptyset(&stops);
    for (const int one : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaddset(&stops, one);
    ::sigprocmask(SIG_BLOCK, &stops, &before_);
    descriptor_ = ::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~stop_signals() {
    ::close(descriptor_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;
  int get() const { return descriptor_; }
  bool take() const {
    signalfd_siginfo one;
    return ::read(descriptor_, &one, sizeof one) == static_cast<ssize_t>(sizeof one);
  }

 private:
  sigset_t before_{};
  int descriptor_;
};

// What the process has used of the processor since it began.
std::uint64_t processor_ns_of(std::uint32_t pid) {
  clockid_t clock;
  timespec time{};
  if (::clock_getcpuclockid(static_cast<pid_t>(pid), &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

class attacher {
 public:
  attacher(const attach_options& options, const stop_signals& signals, const fs::path& folder, descriptor process)
      : options_(options),
        signals_(signals),
        events_(::epoll_create1(EPOLL_CLOEXEC)),
        process_(std::move(process)),
        session_(folder, options.writer, recording_) {
    const int observer = options.observer == nullptr ? -1 : options.observer->descriptor();
    for (const int source : {session_.descriptor(), signals_.get(), process_.get(), observer}) {
      if (source < 0) continue;
      epoll_event interest{};
      interest.events = EPOLLIN;
      interest.data.fd = source;
      ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, source, &interest);
    }
  }
  recording run(rung_bell& bell);
  // Of what went wrong on the way: nobody is left telling where no one listens.
  void give_up(rung_bell& bell);

 private:
  bool is_over(std::uint64_t end_ns) const;
  bool is_scan_over() const;
  bool has_process_ended() const;
  void look();
  bool is_observed_enough() const;
  recording moment() const;
  void leave();

  const attach_options& options_;
  const stop_signals& signals_;
  descriptor events_;
  descriptor process_;  // pidfd
  recording recording_;
  session_watch session_;
  std::uint64_t last_copy_ns_ = 0;
};

bool attacher::has_process_ended() const {
  pollfd asked{process_.get(), POLLIN, 0};
  return ::poll(&asked, 1, 0) > 0;
}

// Of the process that was asked: what it starts is watched as well, and may be seen first. When it has become another
// program, that one does not know of the wish.
bool attacher::is_scan_over() const {
  const auto& watches = session_.watches();
  const auto asked = std::find_if(watches.rbegin(), watches.rend(),
                                  [&](const auto& watch) { return watch->pid() == options_.process.pid; });
  if (asked == watches.rend()) return monotonic_ns() >= recording_.start_ns + options_.scan_patience_ns;
  return (*asked)->look_for_scan() != scan_state::awaited;
}

bool attacher::is_over(std::uint64_t end_ns) const {
  if (options_.scan_patience_ns != 0 && is_scan_over()) return true;
  return signals_.take() || (end_ns != 0 && monotonic_ns() >= end_ns) || has_process_ended();
}

void attacher::look() {
  session_.look();
  session_.tick_if_due([](std::uint32_t) { return false; });
  const std::uint64_t now_ns = monotonic_ns();
  const bool wants_copy = now_ns >= last_copy_ns_ + copy_pause_ns;
  if (wants_copy) last_copy_ns_ = now_ns;
  for (const auto& watch : session_.watches()) watch->keep_attached(now_ns, wants_copy);
}

recording attacher::moment() const {
  recording copy = recording_;
  copy.end_ns = monotonic_ns();
  for (const auto& watch : session_.watches()) copy.processes.push_back(watch->moment(copy.end_ns));
  return copy;
}

bool attacher::is_observed_enough() const {
  return options_.observer != nullptr && !options_.observer->look([this] { return moment(); });
}

recording attacher::run(rung_bell& bell) {
  recording_.start_ns = monotonic_ns();
  recording_.attached_pid = options_.process.pid;
  recording_.child_pid = options_.process.pid;
  const std::uint64_t processor_begin_ns = processor_ns_of(recording_.attached_pid);
  const std::uint64_t own_processor_begin_ns = own_processor_ns();
  const std::uint64_t end_ns = options_.duration_ns == 0 ? 0 : recording_.start_ns + options_.duration_ns;
  if (options_.writer != nullptr) options_.writer->begin_run(recording_, {});
  while (!is_over(end_ns)) {
    session_.wait_for_work(events_.get(), end_ns);
    look();
    recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
    // The last that can be had of one that ends.
    const std::uint64_t processor_ns = processor_ns_of(recording_.attached_pid);
    if (processor_ns > processor_begin_ns) recording_.child_processor_ns = processor_ns - processor_begin_ns;
    if (is_observed_enough()) break;
  }
  recording_.end_ns = monotonic_ns();
  bell.silence();
  leave();
  session_.finish_all([](std::uint32_t) { return false; });
  if (options_.writer != nullptr) options_.writer->end_run(recording_);
  recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
  session_.give_records();
  return std::move(recording_);
}

void attacher::give_up(rung_bell& bell) {
  bell.silence();
  leave();
}

// Each is asked, and read until it has left. One that sleeps leaves when it wakes, into a file that nobody reads.
void attacher::leave() {
  const std::uint64_t last_ns = monotonic_ns() + leave_patience_ns;
  bool is_anybody_left = true;
  while (is_anybody_left && monotonic_ns() < last_ns) {
    session_.look();
    for (const auto& watch : session_.watches()) watch->ask_to_leave();
    session_.tick_if_due([](std::uint32_t) { return false; });
    is_anybody_left = false;
    for (const auto& watch : session_.watches()) is_anybody_left |= !watch->has_left();
    if (is_anybody_left) session_.wait_for_work(events_.get(), last_ns);
  }
}

}  // namespace

std::expected<recording, attach_failure> attach_and_collect(const attach_options& options) {
  const auto process = static_cast<int>(::syscall(SYS_pidfd_open, options.process.pid, 0));
  if (process < 0) {
    if (errno == ESRCH)
      return std::unexpected(
          attach_failure{attach_refusal::no_process, fmt::format("process {} has ended.", options.process.pid)});
    return std::unexpected(failed(fmt::format("process {} cannot be watched", options.process.pid), errno));
  }
  descriptor watched(process);
  const stop_signals signals;
  const auto folder = attached_folder::make(options);
  if (!folder) return std::unexpected(folder.error());
  attacher made(options, signals, folder->path(), std::move(watched));
  auto bell = rung_bell::ring(options.process);
  if (!bell) return std::unexpected(bell.error());
  try {
    return made.run(*bell);
  } catch (...) {
    made.give_up(*bell);
    throw;
  }
}

}  // namespace tenure::collect
