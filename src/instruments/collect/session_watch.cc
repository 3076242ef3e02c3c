#include "instruments/collect/session_watch.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "instruments/collect/process_files.h"

namespace tenure::collect {
namespace {

constexpr std::uint64_t millisecond_ns = 1'000'000;
constexpr std::uint64_t shortest_tick_ns = 1 * millisecond_ns;
constexpr std::uint64_t usual_tick_ns = 20 * millisecond_ns;
constexpr std::uint64_t fast_tick_ns = millisecond_ns / 10;
constexpr std::uint64_t usual_recorded_tick_ns = 2 * millisecond_ns;
constexpr std::uint64_t longest_tick_ns = 500 * millisecond_ns;
// The collector's own processor time stays below one in so many of the time that passes.
constexpr std::uint64_t tick_cost_divisor = 250;
// What opening a region and mapping it may take, once.
constexpr std::uint64_t beginning_ns = millisecond_ns / 2;
constexpr double urgent_ring_fill = 0.25;
constexpr double noticeable_ring_fill = 0.05;

}  // namespace

session_watch::session_watch(const std::filesystem::path& session, recording_writer* writer, recording& run)
    : session_(session),
      writer_(writer),
      run_(run),
      folder_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      tick_ns_(shortest_tick_ns) {
  ::inotify_add_watch(folder_, session.c_str(), IN_CREATE | IN_MOVED_TO);
}

session_watch::~session_watch() { ::close(folder_); }

void session_watch::wait_for_work(int events, std::uint64_t last_ns) {
  const std::uint64_t until_ns = last_ns == 0 ? next_tick_ns_ : std::min(next_tick_ns_, last_ns);
  const std::uint64_t now_ns = monotonic_ns();
  const std::uint64_t pause_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout{static_cast<time_t>(pause_ns / 1'000'000'000), static_cast<long>(pause_ns % 1'000'000'000)};
  std::array<epoll_event, 4> ready;
  if (::epoll_pwait2(events, ready.data(), static_cast<int>(ready.size()), &timeout, nullptr) < 0 && errno != EINTR) {
    // Before Linux 5.11, and in containers that do not know the call. Rounded up, since a timeout of 0 would poll.
    const int timeout_ms = static_cast<int>((pause_ns + millisecond_ns - 1) / millisecond_ns);
    ::epoll_wait(events, ready.data(), static_cast<int>(ready.size()), timeout_ms);
  }
  ++run_.cost.wake_ups;
}

void session_watch::look() {
  read_new_names();
  open_pending();
}

void session_watch::read_new_names() {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  bool overflowed = false;
  for (;;) {
    const ssize_t got = ::read(folder_, buffer.data(), buffer.size());
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
  for (const auto& entry : std::filesystem::directory_iterator(session_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (parse_region_name(name) && !known.contains(name)) pending_.insert(name);
  }
}

void session_watch::open_pending() {
  for (auto name = pending_.begin(); name != pending_.end();) {
    auto reader = region_reader::open(session_ / *name);
    if (reader && *reader == nullptr) {
      ++name;
      continue;
    }
    if (reader) {
      add(std::move(*reader), *name);
    } else {
      run_.notes.push_back(std::move(reader.error()));
    }
    name = pending_.erase(name);
  }
}

void session_watch::add(std::unique_ptr<region_reader> reader, const std::string& name) {
  const std::optional<region_name> named = parse_region_name(name);
  if (!named) return;
  auto watch = std::make_unique<process_watch>(std::move(reader), session_ / name, named->generation);
  if (watch->pid() != named->pid) {
    run_.notes.push_back(fmt::format("the region {} says it belongs to process {}", name, watch->pid()));
    return;
  }
  finish_earlier(*watch);
  if (writer_ != nullptr) watch->record_to(*writer_);
  watches_.push_back(std::move(watch));
  tick_ns_ = shortest_tick_ns;
  next_tick_ns_ = 0;
}

// The same process has become another program. Seen before that one had a region, it was taken for one without; and for
// gone, where the other one has ended, too, before its region was seen.
void session_watch::finish_earlier(process_watch& now) {
  process_watch* last = nullptr;
  for (const auto& earlier : watches_) {
    if (earlier->pid() != now.pid()) continue;
    last = earlier.get();
    if (earlier->is_finished()) continue;
    // Or it is no other program, but has a second heap of Tenure's: one that is linked with it, started with another
    // one preloaded.
    if (earlier->has_mapped_region())
      twins_.emplace_back(last, &now);
    else
      earlier->finish(earlier->has_exited() ? process_end::exited : process_end::replaced, now.start_ns());
  }
  if (last == nullptr || now.record().origin != wire::origin::exec) return;
  process_record& before = last->record();
  const bool was_taken_for_gone = before.end == process_end::vanished && before.parent_pid == now.record().parent_pid;
  if (before.end != process_end::unwatched && !was_taken_for_gone) return;
  before.end = process_end::replaced;
  before.end_ns = std::min(before.end_ns, std::max(before.start_ns, now.start_ns()));
}

void session_watch::tick_if_due(const std::function<bool(std::uint32_t pid)>& is_ours) {
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns < next_tick_ns_) return;
  double fullest = 0;
  for (const auto& watch : watches_) {
    if (watch->is_finished()) continue;
    fullest = std::max(fullest, watch->drain());
    if (!watch->is_memory_due(now_ns)) continue;
    if (!watch->sample_memory(now_ns, buffer_, run_.cost) && !is_ours(watch->pid()))
      watch->finish(watch->has_exited() ? process_end::exited : process_end::vanished, now_ns);
  }
  choose_next_tick(fullest, now_ns);
}

void session_watch::choose_next_tick(double fullest, std::uint64_t now_ns) {
  const std::uint64_t elapsed_ns = now_ns - run_.start_ns;
  // Reading smaps has a ration of its own, and so has the beginning of each process.
  const std::uint64_t processor_ns = run_.cost.processor_ns;
  const std::uint64_t tick_cost_ns = processor_ns - std::min(processor_ns, run_.cost.smaps_ns);
  const std::uint64_t allowance_ns = 10 * millisecond_ns + watches_.size() * beginning_ns;
  const bool is_costly = tick_cost_ns > allowance_ns + elapsed_ns / tick_cost_divisor;
  if (writer_ != nullptr) {
    // A program that tells everything may fill its ring within some milliseconds. To look when little has come costs
    // more than to read that little.
    if (fullest > urgent_ring_fill)
      tick_ns_ = 0;
    else if (fullest > noticeable_ring_fill)
      tick_ns_ = std::max(tick_ns_, fast_tick_ns);
    else
      tick_ns_ = std::min(usual_recorded_tick_ns, tick_ns_ * 2 + fast_tick_ns);
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

void session_watch::end(std::uint32_t pid, process_end how, std::uint64_t time_ns) {
  for (const auto& watch : watches_) {
    if (watch->is_finished() || watch->pid() != pid) continue;
    watch->finish(watch->has_exited() ? process_end::exited : how, time_ns);
  }
}

bool session_watch::still_watches(std::uint32_t pid, bool is_ours, std::uint64_t time_ns) {
  const auto found = std::find_if(watches_.begin(), watches_.end(),
                                  [&](const auto& watch) { return !watch->is_finished() && watch->pid() == pid; });
  if (found == watches_.end()) return false;
  if ((*found)->is_still_itself(is_ours)) return true;
  (*found)->finish(process_end::unwatched, time_ns);
  return false;
}

void session_watch::finish_all(const std::function<bool(std::uint32_t pid)>& is_gone) {
  for (const auto& watch : watches_) {
    if (watch->is_finished()) continue;
    const bool is_there = !is_gone(watch->pid()) && watch->sample_memory(run_.end_ns, buffer_, run_.cost);
    if (is_there) watch->take_last_map(buffer_, run_.cost);
    watch->finish(is_there              ? process_end::running
                  : watch->has_exited() ? process_end::exited
                                        : process_end::vanished,
                  run_.end_ns);
  }
  for (const std::string& name : pending_)
    run_.notes.push_back(fmt::format("the region {} was never completed by its program", name));
}

// Of two heaps in one process, the one that does not serve malloc.
bool session_watch::is_idle_twin(process_watch* watch) {
  const auto is_idle = [](process_watch* one) { return one->record().malloc_owner != wire::malloc_owner::tenure; };
  return std::any_of(twins_.begin(), twins_.end(), [&](const auto& pair) {
    process_watch* const idle = is_idle(pair.first) && !is_idle(pair.second) ? pair.first : pair.second;
    return idle == watch;
  });
}

void session_watch::give_records() {
  std::vector<process_watch*> idle;
  for (const auto& watch : watches_)
    if (is_idle_twin(watch.get())) idle.push_back(watch.get());
  for (const auto& watch : watches_)
    if (std::find(idle.begin(), idle.end(), watch.get()) == idle.end())
      run_.processes.push_back(std::move(watch->record()));
  std::stable_sort(run_.processes.begin(), run_.processes.end(),
                   [](const process_record& a, const process_record& b) { return a.start_ns < b.start_ns; });
}

}  // namespace tenure::collect
