#include "instruments/collect/collector.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <set>
#include <system_error>

#include "instruments/collect/process_files.h"
#include "instruments/collect/process_watch.h"

namespace tenure::collect {
namespace {

constexpr std::uint64_t millisecond_ns = 1'000'000;
constexpr std::uint64_t shortest_tick_ns = 1 * millisecond_ns;
constexpr std::uint64_t usual_tick_ns = 20 * millisecond_ns;
constexpr std::uint64_t fast_tick_ns = millisecond_ns / 10;
constexpr std::uint64_t usual_recorded_tick_ns = 2 * millisecond_ns;
constexpr std::uint64_t longest_tick_ns = 500 * millisecond_ns;
// The collector's own processor time stays below one in so many of the time that passes.
constexpr std::uint64_t cost_divisor = 250;
// What opening a region and mapping it may take, once.
constexpr std::uint64_t beginning_ns = millisecond_ns / 2;
constexpr double urgent_ring_fill = 0.25;
constexpr double noticeable_ring_fill = 0.05;

class descriptor {
 public:
  explicit descriptor(int value) : value_(value) {}
  ~descriptor() { ::close(value_); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

// While we run, orphans of the watched processes become our children, not init's, so that their end is seen too.
class subreaper {
 public:
  subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
  ~subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); }
};

// How the processes of the session are to start (wire/region.h); 0, or an errno.
int write_wishes(const std::filesystem::path& session, wire::recording_mode mode) {
  const wire::session_wishes wishes{wire::wishes_magic, wire::region_version, static_cast<std::uint32_t>(mode)};
  const descriptor file(::open((session / "wishes").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return errno;
  return ::write(file.get(), &wishes, sizeof wishes) == static_cast<ssize_t>(sizeof wishes) ? 0 : EIO;
}

class collector {
 public:
  explicit collector(const collector_options& options);
  std::expected<recording, int> run();

 private:
  void wait_for_work(std::uint64_t until_ns);
  void read_new_names();
  void open_pending();
  void add(std::unique_ptr<region_reader> reader, const std::string& name);
  void tick();
  void choose_next_tick(double fullest, std::uint64_t now_ns);
  void take_ended();
  void finish_all();
  recording result();

  const collector_options& options_;
  signal_relay relay_;
  subreaper subreaper_;
  descriptor events_;
  descriptor folder_;
  pid_t child_ = 0;
  bool child_ended_ = false;
  std::set<std::string> pending_;  // region files that are there and not complete
  std::vector<std::unique_ptr<process_watch>> watches_;
  std::uint64_t tick_ns_ = shortest_tick_ns;
  std::uint64_t next_tick_ns_ = 0;
  std::string buffer_;
  recording recording_;
};

collector::collector(const collector_options& options)
    : options_(options), events_(::epoll_create1(EPOLL_CLOEXEC)), folder_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  ::inotify_add_watch(folder_.get(), options.session.c_str(), IN_CREATE | IN_MOVED_TO);
  for (const int source : {relay_.descriptor(), folder_.get()}) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.fd = source;
    ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, source, &interest);
  }
}

std::expected<recording, int> collector::run() {
  recording_.start_ns = monotonic_ns();
  const std::uint64_t own_processor_begin_ns = own_processor_ns();
  if (options_.writer != nullptr) {
    if (const int error = write_wishes(options_.session, options_.mode); error != 0) return std::unexpected(error);
    options_.writer->begin_run(recording_, options_.command.arguments);
  }
  const auto child = start_child(options_.command, relay_);
  if (!child) return std::unexpected(child.error());
  child_ = *child;
  recording_.child_pid = static_cast<std::uint32_t>(child_);
  while (!child_ended_) {
    wait_for_work(next_tick_ns_);
    read_new_names();
    open_pending();
    if (monotonic_ns() >= next_tick_ns_) tick();
    relay_.relay(child_);
    take_ended();
    recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
  }
  read_new_names();
  open_pending();
  finish_all();
  if (options_.writer != nullptr) options_.writer->end_run(recording_);
  recording_.cost.processor_ns = own_processor_ns() - own_processor_begin_ns;
  return result();
}

void collector::wait_for_work(std::uint64_t until_ns) {
  const std::uint64_t now_ns = monotonic_ns();
  const std::uint64_t pause_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout{static_cast<time_t>(pause_ns / 1'000'000'000), static_cast<long>(pause_ns % 1'000'000'000)};
  std::array<epoll_event, 4> ready;
  if (::epoll_pwait2(events_.get(), ready.data(), static_cast<int>(ready.size()), &timeout, nullptr) < 0 &&
      errno != EINTR) {
    // Before Linux 5.11, and in containers that do not know the call. Rounded up, since a timeout of 0 would poll.
    const int timeout_ms = static_cast<int>((pause_ns + millisecond_ns - 1) / millisecond_ns);
    ::epoll_wait(events_.get(), ready.data(), static_cast<int>(ready.size()), timeout_ms);
  }
  ++recording_.cost.wake_ups;
}

void collector::read_new_names() {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  bool overflowed = false;
  for (;;) {
    const ssize_t got = ::read(folder_.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      const auto* const event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      if (event->len > 0 && parse_region_name(event->name)) pending_.insert(event->name);
      overflowed |= (event->mask & IN_Q_OVERFLOW) != 0;
      at += sizeof(inotify_event) + event->len;
    }
  }
  if (!overflowed) return;
  // More regions at once than the kernel's queue takes: look for ourselves. Finished ones have no file any more.
  std::set<std::string> known;
  for (const auto& watch : watches_)
    if (!watch->is_finished()) known.insert(fmt::format("{}.{}.region", watch->pid(), watch->record().generation));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options_.session, ignored)) {
    const std::string name = entry.path().filename().string();
    if (parse_region_name(name) && !known.contains(name)) pending_.insert(name);
  }
}

void collector::open_pending() {
  for (auto name = pending_.begin(); name != pending_.end();) {
    auto reader = region_reader::open(options_.session / *name);
    if (reader && *reader == nullptr) {
      ++name;
      continue;
    }
    if (reader) {
      add(std::move(*reader), *name);
    } else {
      recording_.notes.push_back(std::move(reader.error()));
    }
    name = pending_.erase(name);
  }
}

void collector::add(std::unique_ptr<region_reader> reader, const std::string& name) {
  const std::optional<region_name> named = parse_region_name(name);
  if (!named) return;
  auto watch = std::make_unique<process_watch>(std::move(reader), options_.session / name, named->generation);
  if (watch->pid() != named->pid) {
    recording_.notes.push_back(fmt::format("the region {} says it belongs to process {}", name, watch->pid()));
    return;
  }
  // The same process has become another program.
  for (const auto& earlier : watches_) {
    if (earlier->is_finished() || earlier->pid() != named->pid) continue;
    earlier->finish(earlier->has_exited() ? process_end::exited : process_end::replaced, watch->start_ns());
  }
  if (options_.writer != nullptr) watch->record_to(*options_.writer);
  watches_.push_back(std::move(watch));
  tick_ns_ = shortest_tick_ns;
  next_tick_ns_ = 0;
}

void collector::tick() {
  const std::uint64_t now_ns = monotonic_ns();
  double fullest = 0;
  for (const auto& watch : watches_) {
    if (watch->is_finished()) continue;
    fullest = std::max(fullest, watch->drain());
    // The direct child is not finished before it has been waited for: its last words may still come.
    if (!watch->sample_memory(now_ns, buffer_, recording_.cost) && watch->pid() != static_cast<std::uint32_t>(child_))
      watch->finish(watch->has_exited() ? process_end::exited : process_end::killed, now_ns);
  }
  choose_next_tick(fullest, now_ns);
}

void collector::choose_next_tick(double fullest, std::uint64_t now_ns) {
  const std::uint64_t elapsed_ns = now_ns - recording_.start_ns;
  // Reading smaps has a ration of its own, and so has the beginning of each process.
  const std::uint64_t processor_ns = recording_.cost.processor_ns;
  const std::uint64_t tick_cost_ns = processor_ns - std::min(processor_ns, recording_.cost.smaps_ns);
  const std::uint64_t allowance_ns = 10 * millisecond_ns + watches_.size() * beginning_ns;
  const bool is_costly = tick_cost_ns > allowance_ns + elapsed_ns / cost_divisor;
  if (options_.writer != nullptr) {
    // A program that tells everything fills its ring within some milliseconds.
    tick_ns_ = fullest > noticeable_ring_fill ? 0 : std::min(usual_recorded_tick_ns, tick_ns_ * 2 + fast_tick_ns);
  } else if (fullest > urgent_ring_fill) {
    tick_ns_ = shortest_tick_ns;
  } else if (fullest > noticeable_ring_fill) {
    tick_ns_ = std::min(tick_ns_, 5 * millisecond_ns);
  } else if (is_costly) {
    tick_ns_ = std::min(longest_tick_ns, std::max(usual_tick_ns, tick_ns_ + tick_ns_ / 4));
  } else {
    tick_ns_ = tick_ns_ > usual_tick_ns ? tick_ns_ - tick_ns_ / 8 : std::min(usual_tick_ns, tick_ns_ * 2);
  }
  next_tick_ns_ = now_ns + tick_ns_;
}

void collector::take_ended() {
  for (const child_exit& one : take_ended_children()) {
    const std::uint64_t now_ns = monotonic_ns();
    if (one.pid == child_) {
      child_ended_ = true;
      recording_.end_ns = now_ns;
      recording_.exit_code = shell_exit_code(one.status);
      recording_.exit_signal = WIFSIGNALED(one.status) ? WTERMSIG(one.status) : 0;
      recording_.kernel_peak_resident_bytes = static_cast<std::uint64_t>(one.usage.ru_maxrss) * 1024;
      const auto nanoseconds = [](const timeval& time) {
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
               static_cast<std::uint64_t>(time.tv_usec) * 1000;
      };
      recording_.child_processor_ns = nanoseconds(one.usage.ru_utime) + nanoseconds(one.usage.ru_stime);
    }
    for (const auto& watch : watches_) {
      if (watch->is_finished() || watch->pid() != static_cast<std::uint32_t>(one.pid)) continue;
      watch->finish(watch->has_exited() ? process_end::exited : process_end::killed, now_ns);
    }
  }
}

void collector::finish_all() {
  for (const auto& watch : watches_) {
    if (watch->is_finished()) continue;
    const bool is_there = watch->pid() != static_cast<std::uint32_t>(child_) &&
                          watch->sample_memory(recording_.end_ns, buffer_, recording_.cost);
    if (is_there) watch->take_last_map(buffer_, recording_.cost);
    watch->finish(is_there              ? process_end::running
                  : watch->has_exited() ? process_end::exited
                                        : process_end::killed,
                  recording_.end_ns);
  }
  for (const std::string& name : pending_)
    recording_.notes.push_back(fmt::format("the region {} was never completed by its program", name));
}

recording collector::result() {
  for (const auto& watch : watches_) recording_.processes.push_back(std::move(watch->record()));
  std::stable_sort(recording_.processes.begin(), recording_.processes.end(),
                   [](const process_record& a, const process_record& b) { return a.start_ns < b.start_ns; });
  return std::move(recording_);
}

}  // namespace

std::expected<recording, int> run_and_collect(const collector_options& options) { return collector(options).run(); }

}  // namespace tenure::collect
