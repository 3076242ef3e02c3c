// Losses by thread: whose events a recording lacks, because a ring was full when they were to be told.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "instruments/collect/recording.h"

namespace tenure::analyze {

struct thread_loss {
  std::optional<collect::thread> thread;  // absent: of threads that had no ring to say who they are
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;  // requested, of those allocations
  std::uint64_t frees = 0;

  std::uint64_t events() const { return allocations + frees; }
};

// Of the threads that lost something, most events first, and last what nobody is known to have lost; together they are
// the sums of `lost`.
std::vector<thread_loss> losses_by_thread(const collect::process_record& record, const collect::tape_losses& lost);

// "worker (4712) lost 900 allocations of 5.1 MiB and 8 frees, main (4711) ...; 3 other threads 12 events"; empty where
// nothing was lost or no thread is known.
std::string losers_text(const collect::process_record& record, const collect::tape_losses& lost);

}  // namespace tenure::analyze
