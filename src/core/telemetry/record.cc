// What happens to one sample: its stack, its place among the living, its events.
//
// One lock guards what sampled allocations and frees share; unsampled ones never come here. A signal handler that
// allocates may interrupt this code in the thread that holds the lock: then nothing is waited for. The allocation is
// counted as dropped, the free is put aside and done by whoever comes next.
#include "core/telemetry/record.h"
#include "core/base/check.h"
#include "core/budget/contents.h"
#include "core/os/clock.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/attachment.h"
#include "core/telemetry/events.h"
#include "core/telemetry/live_samples.h"
#include "core/telemetry/module_list.h"
#include "core/telemetry/otel_probes.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/ring.h"
#include "core/telemetry/sampling_math.h"
#include "core/telemetry/telemetry.h"
#include "core/telemetry/telemetry_state.h"
#include "core/telemetry/unwind.h"

#if __has_include(<sys/sdt.h>)
volatile unsigned short otel_memory_alloc_semaphore = 0;
volatile unsigned short otel_memory_free_semaphore = 0;
#endif

namespace tenure::telemetry {
namespace {

os::mutex samples_lock;
live_samples samples;
stack_store stacks;
module_list modules;
std::uint64_t last_sample_id = 0;
bool inherited_untold = false;  // the child of fork has not told its reader what it inherited
std::uint64_t counted_bytes = 0;

// Addresses freed by a signal handler that could not wait.
constexpr std::size_t aside_capacity = 64;
std::uint64_t put_aside[aside_capacity];
std::uint64_t put_aside_count = 0;  // how many there may be

__attribute__((tls_model("initial-exec"))) thread_local bool inside = false;

// Holds the lock unless this thread is at it already.
class turn {
 public:
  turn() noexcept : mine_(!inside) {
    if (!mine_) return;
    inside = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    samples_lock.lock();
  }
  ~turn() {
    if (!mine_) return;
    samples_lock.unlock();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    inside = false;
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  explicit operator bool() const noexcept { return mine_; }

 private:
  bool mine_;
};

struct captured_stack {
  std::uint64_t frames[wire::stack_capacity_frames];
  walk_result walk;
};

// Left out besides its own frame: record_allocation or record_free.
[[gnu::always_inline]] inline void capture(captured_stack* stack) noexcept {
  stack->walk = capture_stack(stack->frames, wire::stack_capacity_frames, 1);
}

// Tells the modules of the stack; where one was replaced since it was told, the rules are stale and so is the stack.
[[gnu::always_inline]] inline void make_known(captured_stack* stack, std::uint64_t time_ns) noexcept {
  if (!modules.announce(stack->frames, stack->walk.frame_count, time_ns)) return;
  forget_recorded_stacks();
  forget_rules();
  capture(stack);
  modules.announce(stack->frames, stack->walk.frame_count, time_ns);
}

void count_memory() noexcept {
  const std::uint64_t bytes = samples.mapped_bytes() + stacks.mapped_bytes() + unwind_memory_bytes();
  if (bytes == counted_bytes) return;
  TENURE_DCHECK(inside);
  add_overhead_bytes(static_cast<std::int64_t>(bytes - counted_bytes));
  counted_bytes = bytes;
}

void tell_live(live_entry& entry, wire::event_kind kind) noexcept {
  TENURE_DCHECK(entry.sample_id != 0 && entry.sample_id <= last_sample_id);
  const live_sample sample = view_of(entry);
  entry.told =
      write_allocation(sample, kind, entry.truncated, static_cast<wire::allocation_entry>(entry.entry)) ? 1 : 0;
}

// A block that is gone, with the stack of its free if there is one.
void end_sample(live_entry* entry, const captured_stack* stack, std::uint64_t time_ns,
                std::uint32_t thread_id) noexcept {
  TENURE_DCHECK(entry->time_ns <= time_ns || stack == nullptr);
  if (entry->told != 0) {
    write_free(entry->sample_id, time_ns, entry->address, thread_id, stack == nullptr ? nullptr : stack->frames,
               stack == nullptr ? 0 : stack->walk.frame_count);
  }
  TENURE_DCHECK(entry->address != 0);
  if (is_free_observed()) fire_free(entry->address);
  samples.remove(entry);
}

void free_put_aside(std::uint64_t time_ns) noexcept {
  if (__atomic_load_n(&put_aside_count, __ATOMIC_ACQUIRE) == 0) return;
  __atomic_store_n(&put_aside_count, 0, __ATOMIC_RELEASE);
  for (std::uint64_t& place : put_aside) {
    if (__atomic_load_n(&place, __ATOMIC_RELAXED) == 0) continue;
    const std::uint64_t address = __atomic_exchange_n(&place, 0, __ATOMIC_ACQ_REL);
    if (live_entry* entry = samples.find(address)) end_sample(entry, nullptr, time_ns, os::thread_id());
  }
}

bool set_aside(std::uint64_t address) noexcept {
  for (std::uint64_t& place : put_aside) {
    std::uint64_t empty = 0;
    if (!__atomic_compare_exchange_n(&place, &empty, address, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    __atomic_fetch_add(&put_aside_count, 1, __ATOMIC_ACQ_REL);
    return true;
  }
  return false;
}

void tell_inherited(std::uint64_t time_ns) noexcept {
  if (!inherited_untold) return;
  inherited_untold = false;
  samples.for_each([&](live_entry& entry) noexcept {
    if (entry.stack != nullptr) {
      modules.announce(entry.stack->frames(), static_cast<std::size_t>(entry.stack->frame_count), time_ns);
    }
    tell_live(entry, wire::event_kind::inherited_sample);
  });
  const auto tell_modules = [](void* at, const std::uint64_t* frames, std::uint32_t count) noexcept {
    modules.announce(frames, count, *static_cast<std::uint64_t*>(at));
  };
  budget::visit_content_frames(tell_modules, &time_ns);
}

void forget_told() noexcept {
  samples.for_each([](live_entry& entry) noexcept { entry.told = 0; });
  modules.forget_told();
  forget_announced_threads();
  inherited_untold = true;
}

void catch_up(std::uint64_t time_ns) noexcept {
  tell_inherited(time_ns);
  free_put_aside(time_ns);
}

}  // namespace

[[gnu::noinline]] void record_allocation(void* block, std::size_t requested_bytes, std::size_t usable_bytes,
                                         std::uint64_t interval_bytes, wire::allocation_entry entry) noexcept {
  TENURE_DCHECK(block != nullptr && usable_bytes >= requested_bytes);
  const std::uint64_t begin_ns = os::monotonic_ns();
  captured_stack stack;
  capture(&stack);
  turn mine;
  if (!mine) return process_ring().count_dropped(sample_weight_bytes(requested_bytes, usable_bytes, interval_bytes));
  catch_up(begin_ns);
  make_known(&stack, begin_ns);
  live_entry sample{};
  sample.address = reinterpret_cast<std::uintptr_t>(block);
  sample.sample_id = ++last_sample_id;
  sample.time_ns = begin_ns;
  sample.requested_bytes = requested_bytes;
  sample.usable_bytes = usable_bytes;
  sample.interval_bytes = interval_bytes;
  sample.stack = stacks.intern(stack.frames, stack.walk.frame_count);
  sample.thread_id = os::thread_id();
  sample.truncated = static_cast<std::uint16_t>(stack.walk.end);
  sample.entry = static_cast<std::uint8_t>(entry);
  announce_thread(sample.thread_id, begin_ns);
  miss_reader(begin_ns);
  // Its predecessor at this address has gone without a word: more frees were put aside than there is room for.
  if (live_entry* stale = samples.find(sample.address)) end_sample(stale, nullptr, begin_ns, sample.thread_id);
  if (samples.insert(sample)) {
    tell_live(*samples.find(sample.address), wire::event_kind::allocation_sample);
    // Under the lock, so that whoever looks on sees a block's probes in the order in which it lived.
    if (is_alloc_observed())
      fire_alloc(sample.address, requested_bytes, sample_weight_bytes(requested_bytes, usable_bytes, interval_bytes));
  } else {
    process_ring().count_dropped(sample_weight_bytes(requested_bytes, usable_bytes, interval_bytes));
  }
  count_memory();
  add_overhead_ns(os::monotonic_ns() - begin_ns);
}

[[gnu::noinline]] bool record_free(void* block) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  captured_stack stack;
  capture(&stack);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  turn mine;
  if (!mine) {
    if (!set_aside(address)) process_ring().count_dropped(0);
    return true;
  }
  catch_up(begin_ns);
  live_entry* entry = samples.find(address);
  if (entry != nullptr) {
    make_known(&stack, begin_ns);
    const std::uint32_t thread_id = os::thread_id();
    announce_thread(thread_id, begin_ns);
    end_sample(entry, &stack, begin_ns, thread_id);
    samples.shrink();
    count_memory();
  }
  add_overhead_ns(os::monotonic_ns() - begin_ns);
  return entry != nullptr;
}

wire::allocation_entry entry_of_sample(std::uintptr_t address) noexcept {
  turn mine;
  const live_entry* entry = mine ? samples.find(address) : nullptr;
  TENURE_DCHECK(entry == nullptr || (entry->address == address && entry->sample_id != 0));
  return entry == nullptr ? wire::allocation_entry::unknown : static_cast<wire::allocation_entry>(entry->entry);
}

[[gnu::noinline]] void record_free_range(std::uintptr_t begin, std::size_t bytes) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  captured_stack stack;
  capture(&stack);
  turn mine;
  // Interrupted at its own work: what lies in the range is taken off when the addresses are handed out again.
  if (!mine) return process_ring().count_dropped(0);
  catch_up(begin_ns);
  const std::uint32_t thread_id = os::thread_id();
  bool known = false;
  samples.for_each([&](live_entry& entry) noexcept {
    if (entry.address - begin >= bytes) return;
    if (!known) {
      make_known(&stack, begin_ns);
      announce_thread(thread_id, begin_ns);
      known = true;
    }
    end_sample(&entry, &stack, begin_ns, thread_id);
  });
  samples.shrink();
  count_memory();
  add_overhead_ns(os::monotonic_ns() - begin_ns);
}

std::uint32_t announce_module_of(std::uint64_t address) noexcept {
  turn mine;
  if (mine && modules.announce(&address, 1, os::monotonic_ns())) {
    forget_recorded_stacks();
    forget_rules();
  }
  return modules.told_count();
}

std::size_t visit_live_samples(void (*visit)(void* context, const live_sample& sample), void* context) noexcept {
  live_entry* copy = nullptr;
  std::size_t count = 0;
  std::size_t bytes = 0;
  {
    turn mine;
    if (!mine || samples.count() == 0) return 0;
    bytes = samples.count() * sizeof *copy;
    copy = static_cast<live_entry*>(os::map_anywhere(bytes));
    samples.for_each([&](const live_entry& entry) noexcept {
      if (copy != nullptr) {
        copy[count++] = entry;
      } else {  // no memory for a copy: then while the others wait
        visit(context, view_of(entry));
        ++count;
      }
    });
  }
  if (copy == nullptr) return count;
  for (std::size_t i = 0; i < count; ++i) visit(context, view_of(copy[i]));
  os::unmap(copy, bytes);
  return count;
}

std::uint64_t sample_id_at(std::uint64_t address) noexcept {
  const live_entry* entry = samples.find(address);
  return entry == nullptr ? 0 : entry->sample_id;
}

void settle_records() noexcept {
  turn mine;
  if (mine) catch_up(os::monotonic_ns());
}

void inherit_records(std::uint32_t forking_thread) noexcept {
  samples_lock.reset_after_fork();
  samples.recount();
  const std::uint32_t own_thread = os::thread_id();
  samples.for_each([&](live_entry& entry) noexcept {
    if (entry.thread_id == forking_thread) entry.thread_id = own_thread;
  });
  forget_told();
}

bool begin_telling(void (*open)() noexcept) noexcept {
  turn mine;
  if (!mine) return false;
  forget_told();
  open();
  catch_up(os::monotonic_ns());
  return true;
}

bool end_telling(void (*close)() noexcept) noexcept {
  turn mine;
  if (!mine) return false;
  inherited_untold = false;
  close();
  return true;
}

void check_records() noexcept {
  turn mine;
  if (!mine) return;
  samples.check();
  stacks.check();
  modules.check();
}

}  // namespace tenure::telemetry
