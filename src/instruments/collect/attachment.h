// Attachment: watches a process that runs already, and what it starts, from now on; then leaves it as it was.
//
//   find_attachable ─► folder, locked ─► the bell is rung ─► regions appear ─► session_watch ─► the bell falls silent
//                                                                                     control pages: leave
//
// The process answers on its own threads, when they next allocate or free (wire/bell.h). Whatever ends this command,
// the lock on the folder is gone, and the process leaves by itself.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>

#include "instruments/collect/attachable.h"
#include "instruments/collect/recording.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::collect {

// Somebody who looks on while a process is watched.
class attach_observer {
 public:
  virtual ~attach_observer() = default;
  // When it is readable, look() is called soon; -1: there is none.
  virtual int descriptor() const = 0;
  // Some fifty times a second, and whenever a signal has come. `moment` makes a recording of what is known until now.
  // False: it is enough.
  virtual bool look(const std::function<recording()>& moment) = 0;
};

struct attach_options {
  attachable process;
  recording_writer* writer = nullptr;  // with it, every allocation and free is recorded there
  wire::recording_mode mode = wire::recording_mode::block;
  bool tells_free_stacks = false;
  std::uint64_t interval_bytes = 0;  // between samples; 0: as the process has it
  std::uint64_t duration_ns = 0;     // 0: until a signal, or the process's end
  // The process looks for blocks that nothing leads to, and it is over when it has; when it has not heard of it after
  // so long, it is over without. 0: it does not.
  std::uint64_t scan_patience_ns = 0;
  std::uint64_t scan_content = 0;  // what it is to tell: wire::scan_tells_holders, scan_maps_heap
  attach_observer* observer = nullptr;
};

// Until the time is up, SIGINT, SIGTERM, SIGHUP or SIGQUIT comes, or the process ends. What the observer throws comes
// out, and the process has been left all the same.
std::expected<recording, attach_failure> attach_and_collect(const attach_options& options);

}  // namespace tenure::collect
