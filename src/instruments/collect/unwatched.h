// Unwatched programs: what a watched command started, or became, that Tenure is not loaded into.
//
// A static binary, one that raises its rights, or one that was started with a cleared environment opens no region, so
// nothing tells of it. Now and then the tree of our children is walked (/proc/PID/task/TID/children); whoever is there
// twice without a region and without our library gets a line in the report instead of silence. Programs that live for
// less than two walks are not seen.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "instruments/collect/recording.h"

namespace tenure::collect {

class unwatched_programs {
 public:
  // What a program that is watched has mapped: the session's folder, or the library.
  unwatched_programs(std::string session, std::string library)
      : session_(std::move(session)), library_(std::move(library)) {}

  bool is_due(std::uint64_t now_ns) const { return now_ns >= next_walk_ns_; }
  // Walks the tree. `is_watched` is asked for each process of it, and may find out that one is not any more.
  void walk(std::uint64_t now_ns, const std::function<bool(std::uint32_t pid)>& is_watched);
  // In the order in which they were seen first.
  std::vector<unwatched_program> take();

 private:
  void see(std::uint32_t pid, std::uint64_t now_ns);

  struct sighting {
    unwatched_program program;
    bool is_certain = false;  // seen twice, and looked at
    bool is_loaded = false;   // with our library, so a child that has not allocated yet
  };

  std::string session_, library_;
  std::map<std::uint32_t, sighting> seen_;    // by pid, alive at the last walk
  std::vector<unwatched_program> collected_;  // gone, or another program by now
  std::uint64_t next_walk_ns_ = 0;
};

}  // namespace tenure::collect
