#include "instruments/collect/collector.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "instruments/collect/descriptor.h"
#include "instruments/collect/process_files.h"
#include "instruments/collect/session_watch.h"
#include "instruments/collect/unwatched.h"

namespace tenure::collect {
namespace {

// While we run, orphans of the watched processes become our children, not init's, so that their end is seen too.
class subreaper {
 public:
  subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
  ~subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); }
};

// How the processes of the session are to start (wire/region.h); 0, or an errno.
int write_wishes(const std::filesystem::path& session, const collector_options& options) {
  const auto mode = options.writer != nullptr ? options.mode : wire::recording_mode::off;
  const auto scan = options.scans_at_exit ? wire::scan_wish::at_exit : wire::scan_wish::none;
  const wire::session_wishes wishes{wire::wishes_magic, wire::region_version,
                                    wire::recording_word(mode, options.tells_free_stacks), 0,
                                    static_cast<std::uint64_t>(scan) | options.scan_content};
  const descriptor file(::open((session / "wishes").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return errno;
  return ::write(file.get(), &wishes, sizeof wishes) == static_cast<ssize_t>(sizeof wishes) ? 0 : EIO;
}

class collector {
 public:
  explicit collector(const collector_options& options);
  std::expected<recording, int> run();

 private:
  void take_ended();
  void look_for_unwatched();
  void note_unwatched();
  std::uint64_t peak_of_child(const rusage& usage) const;
  recording result();

  const collector_options& options_;
  signal_relay relay_;
  subreaper subreaper_;
  descriptor events_;
  recording recording_;
  session_watch session_;
  unwatched_programs unwatched_;
  pid_t child_ = 0;
  std::uint64_t own_peak_bytes_ = 0;  // of this command, when the child was started
  bool child_ended_ = false;
};

collector::collector(const collector_options& options)
    : options_(options),
      events_(::epoll_create1(EPOLL_CLOEXEC)),
      session_(options.session, options.writer, recording_),
      unwatched_(options.session.string(), options.library.string()) {
  for (const int source : {relay_.descriptor(), session_.descriptor()}) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.fd = source;
    ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, source, &interest);
  }
}

std::expected<recording, int> collector::run() {
  recording_.start_ns = monotonic_ns();
  const std::uint64_t own_processor_begin_ns = own_processor_ns();
  if (options_.writer != nullptr || options_.scans_at_exit) {
    if (const int error = write_wishes(options_.session, options_); error != 0) return std::unexpected(error);
  }
  if (options_.writer != nullptr) options_.writer->begin_run(recording_, options_.command.arguments);
  const auto child = start_child(options_.command, relay_);
  if (!child) return std::unexpected(child.error());
  own_peak_bytes_ = peak_resident_bytes_of(static_cast<std::uint32_t>(::getpid()));
  child_ = *child;
  recording_.child_pid = static_cast<std::uint32_t>(child_);
  // The direct child is not finished before it has been waited for: its last words may still come.
  const auto is_child = [this](std::uint32_t pid) { return pid == static_cast<std::uint32_t>(child_); };
  while (!child_ended_) {
    session_.wait_for_work(events_.get());
    session_.look();
    relay_.relay(child_);
    take_ended();
    if (child_ended_) break;
    session_.tick_if_due(is_child);
    look_for_unwatched();
    recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
  }
  if (options_.on_end) options_.on_end();
  session_.look();
  session_.finish_all(is_child);
  recording_.unwatched = unwatched_.take();
  if (options_.writer != nullptr) {
    note_unwatched();
    options_.writer->end_run(recording_);
  }
  recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
  return result();
}

void collector::look_for_unwatched() {
  const std::uint64_t now_ns = monotonic_ns();
  if (!unwatched_.is_due(now_ns)) return;
  unwatched_.walk(now_ns, [&](std::uint32_t pid) {
    return session_.still_watches(pid, pid == static_cast<std::uint32_t>(child_), now_ns);
  });
}

// A recording has no place of their own for them.
void collector::note_unwatched() {
  constexpr double mebibyte = 1 << 20;
  for (const unwatched_program& one : recording_.unwatched)
    recording_.notes.push_back(
        fmt::format("{} (process {}) was not recorded: Tenure is not loaded into it; peak RSS {:.1f} MiB",
                    one.executable, one.pid, static_cast<double>(one.peak_resident_bytes) / mebibyte));
}

void collector::take_ended() {
  for (const child_exit& one : take_ended_children()) {
    const std::uint64_t now_ns = monotonic_ns();
    if (one.pid == child_) {
      child_ended_ = true;
      recording_.end_ns = now_ns;
      recording_.exit_code = shell_exit_code(one.status);
      recording_.exit_signal = WIFSIGNALED(one.status) ? WTERMSIG(one.status) : 0;
      recording_.kernel_peak_resident_bytes = peak_of_child(one.usage);
      const auto nanoseconds = [](const timeval& time) {
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
               static_cast<std::uint64_t>(time.tv_usec) * 1000;
      };
      recording_.child_processor_ns = nanoseconds(one.usage.ru_utime) + nanoseconds(one.usage.ru_stime);
    }
    session_.end(static_cast<std::uint32_t>(one.pid), WIFSIGNALED(one.status) ? process_end::killed : process_end::left,
                 now_ns);
  }
}

// Until its exec the child ran in this command's memory, and the kernel counts that for it: what is no more than this
// command held itself says nothing of the child. The kernel counts in portions; a little more is no more either.
std::uint64_t collector::peak_of_child(const rusage& usage) const {
  constexpr std::uint64_t portions_bytes = 512 * 1024;
  const std::uint64_t peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return peak_bytes > own_peak_bytes_ + portions_bytes ? peak_bytes : 0;
}

recording collector::result() {
  session_.give_records();
  return std::move(recording_);
}

}  // namespace

std::expected<recording, int> run_and_collect(const collector_options& options) { return collector(options).run(); }

}  // namespace tenure::collect
