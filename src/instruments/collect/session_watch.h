// Session watch: the region files that appear in a session's folder, each with its process, read until it is gone.
//
//   session folder ──inotify──► region_reader ──► process_watch (one a process image)
//   clock          ──────────► tick: drain the rings, sample memory
//
// A tick costs some ten microseconds a process; its distance grows from 1 ms, when a process is new or a ring fills, to
// 20 ms, and further when the collector's own share of processor time would pass its bound.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "instruments/collect/process_watch.h"

namespace tenure::collect {

class session_watch {
 public:
  // With `writer`, every allocation and free is recorded there. The costs, notes and start of `run` are kept up.
  session_watch(const std::filesystem::path& session, recording_writer* writer, recording& run);
  ~session_watch();
  session_watch(const session_watch&) = delete;
  session_watch& operator=(const session_watch&) = delete;

  // Readable when a region may have appeared.
  int descriptor() const { return folder_; }
  // Sleeps until the next tick is due, `events`, an epoll, has something, or it is `last_ns` (0: never).
  void wait_for_work(int events, std::uint64_t last_ns = 0);
  // Opens what has appeared.
  void look();
  // When it is due. `is_ours`: processes whose end is told by somebody who waits for them.
  void tick_if_due(const std::function<bool(std::uint32_t pid)>& is_ours);
  // The process is gone; `how` unless it said itself that it exits.
  void end(std::uint32_t pid, process_end how, std::uint64_t time_ns);
  // Whether the process is watched. One that has become a program without a region is not any more.
  bool still_watches(std::uint32_t pid, bool is_ours, std::uint64_t time_ns);
  // The watching is over; those that are still there run on.
  void finish_all(const std::function<bool(std::uint32_t pid)>& is_gone);

  const std::vector<std::unique_ptr<process_watch>>& watches() const { return watches_; }
  // Moves the records into the run, in order of their start.
  void give_records();

 private:
  void read_new_names();
  void open_pending();
  void add(std::unique_ptr<region_reader> reader, const std::string& name);
  void finish_earlier(process_watch& now);
  bool is_idle_twin(process_watch* watch);
  void choose_next_tick(double fullest, std::uint64_t now_ns);

  std::filesystem::path session_;
  recording_writer* writer_;
  recording& run_;
  int folder_;                     // inotify
  std::set<std::string> pending_;  // region files that are there and not complete
  std::vector<std::unique_ptr<process_watch>> watches_;
  std::vector<std::pair<process_watch*, process_watch*>> twins_;  // two heaps in one process, the earlier one first
  std::uint64_t tick_ns_;
  std::uint64_t next_tick_ns_ = 0;
  std::string buffer_;
};

}  // namespace tenure::collect
