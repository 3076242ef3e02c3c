#include "core/telemetry/events.h"

#include <sys/prctl.h>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/ring.h"
#include "core/telemetry/sampling_math.h"
#include "core/telemetry/telemetry_state.h"

namespace tenure::telemetry {
namespace {

// Which names were told: thread id and a hash of its name, one word a place. Two threads that share a place are told
// more than once, which does no harm.
constexpr std::size_t announced_capacity = 1024;
std::uint64_t announced[announced_capacity];

// Everything behind the first word of an event, which publish() stores.
template <class Event>
void copy_body(std::byte* record, const Event& event) noexcept {
  constexpr std::size_t header_bytes = sizeof(wire::event_header);
  std::memcpy(record + header_bytes, reinterpret_cast<const std::byte*>(&event) + header_bytes,
              sizeof event - header_bytes);
}

template <class Event>
bool write_with_frames(const Event& event, wire::event_kind kind, const std::uint64_t* frames,
                       std::uint64_t weight_bytes) noexcept {
  TENURE_DCHECK(event.frame_count <= wire::stack_capacity_frames);
  const std::size_t frame_bytes = event.frame_count * sizeof *frames;
  const std::size_t bytes = sizeof event + frame_bytes;
  std::byte* record = process_ring().reserve(bytes);
  if (record == nullptr) return process_ring().count_dropped(weight_bytes), false;
  copy_body(record, event);
  if (frame_bytes != 0) std::memcpy(record + sizeof event, frames, frame_bytes);
  process_ring().publish(record, kind, bytes);
  return true;
}

std::uint32_t hash_of(const char* name) noexcept {
  std::uint32_t hash = 2166136261u;
  for (; *name != '\0'; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 16777619u;
  return hash;
}

}  // namespace

bool write_allocation(const live_sample& sample, wire::event_kind kind, std::uint32_t truncated,
                      wire::allocation_entry entry) noexcept {
  wire::allocation_sample_event event{};
  event.sample_id = sample.sample_id;
  event.time_ns = sample.time_ns;
  event.address = sample.address;
  event.requested_bytes = sample.requested_bytes;
  event.usable_bytes = sample.usable_bytes;
  event.interval_bytes = sample.interval_bytes;
  event.thread_id = sample.thread_id;
  event.frame_count = sample.frame_count;
  event.truncated = truncated;
  event.entry = static_cast<std::uint32_t>(entry);
  return write_with_frames(event, kind, sample.frames,
                           sample_weight_bytes(sample.requested_bytes, sample.usable_bytes, sample.interval_bytes));
}

bool write_free(std::uint64_t sample_id, std::uint64_t time_ns, std::uint64_t address, std::uint32_t thread_id,
                const std::uint64_t* frames, std::uint32_t frame_count) noexcept {
  wire::free_sample_event event{};
  event.sample_id = sample_id;
  event.time_ns = time_ns;
  event.address = address;
  event.thread_id = thread_id;
  event.frame_count = frame_count;
  return write_with_frames(event, wire::event_kind::free_sample, frames, 0);
}

bool write_module(const wire::module_event& module, const char* path) noexcept {
  const std::size_t path_room = core::align_up(module.path_bytes, 8);
  const std::size_t bytes = sizeof module + path_room;
  std::byte* record = process_ring().reserve(bytes);
  if (record == nullptr) return process_ring().count_dropped(0), false;
  copy_body(record, module);
  std::memcpy(record + sizeof module, path, module.path_bytes);
  std::memset(record + sizeof module + module.path_bytes, 0, path_room - module.path_bytes);
  process_ring().publish(record, wire::event_kind::module, bytes);
  return true;
}

void announce_thread(std::uint32_t thread_id, std::uint64_t time_ns) noexcept {
  if (!has_region()) return;
  wire::thread_event event{};
  if (::prctl(PR_GET_NAME, event.name) != 0) return;
  const std::uint64_t told = static_cast<std::uint64_t>(thread_id) << 32 | hash_of(event.name);
  std::uint64_t* place = &announced[thread_id % announced_capacity];
  if (__atomic_load_n(place, __ATOMIC_RELAXED) == told) return;
  std::byte* record = process_ring().reserve(sizeof event);
  if (record == nullptr) return process_ring().count_dropped(0);
  event.time_ns = time_ns;
  event.thread_id = thread_id;
  copy_body(record, event);
  process_ring().publish(record, wire::event_kind::thread, sizeof event);
  __atomic_store_n(place, told, __ATOMIC_RELAXED);
}

void forget_announced_threads() noexcept {
  for (std::uint64_t& place : announced) {
    if (__atomic_load_n(&place, __ATOMIC_RELAXED) != 0) __atomic_store_n(&place, 0, __ATOMIC_RELAXED);
  }
}

}  // namespace tenure::telemetry
