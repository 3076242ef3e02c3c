// Attachment: somebody begins to watch a process that runs, and stops again.
//
//   no session ─► the bell (wire/bell.h) ─rung─► region in the attacher's folder ─► control page ─leave─► the bell
//
// All of it happens on the slow paths of the program's own threads, when the word that they look at anyway says more
// than "nothing": no thread, no signal, no descriptor. One thread answers at a time and no other waits for it; what
// cannot be done now, because a thread is still at the rings, is done by the next slow path.
//
// The region has copies of the counters and accounts: to move those, every thread that counts would have to be stopped.
// An attacher that is gone without a word is missed when a sample is told or a ring is full; then the process leaves.
#pragma once

#include <cstdint>

#include "wire/region.h"

namespace tenure::telemetry {

// Where there is no session: from now on the slow paths hear the bell. At start, the parent's counts too.
void listen_for_attachment(bool is_start) noexcept;

bool is_attached() noexcept;

// In the child of fork, which has left its parent's region: goes on below the same attacher, if there is one. False
// when the process belongs to a session or to nobody.
bool follow_attachment_in_child() noexcept;

// At exit: from now on nobody enters or leaves. False when somebody is at it for long.
bool hold_attachment() noexcept;

// The reader of an attached process should have been seen lately.
void miss_reader(std::uint64_t now_ns) noexcept;

}  // namespace tenure::telemetry
