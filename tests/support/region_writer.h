// Region writer: makes region files as a program would, from wire/ alone and with nothing of core/ or instruments/.
//
// The oracle of the collector's tests: it follows the words of wire/region.h and wire/event.h step by step, without the
// atomics that a real program needs, and lets a test break every rule.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "wire/event.h"
#include "wire/region.h"

namespace tenure::testing {

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

struct written_sample {
  std::uint64_t id = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t address = 0x10000;
  std::uint64_t requested_bytes = 100;
  std::uint64_t usable_bytes = 112;
  std::uint64_t interval_bytes = 512 * 1024;
  std::uint32_t thread_id = 1;
  std::vector<std::uint64_t> frames;
  std::uint32_t truncated = 0;
  wire::allocation_entry entry = wire::allocation_entry::malloc;
  bool is_inherited = false;
};

class region_writer {
 public:
  region_writer(const std::filesystem::path& session, std::uint32_t pid, std::uint32_t generation,
                wire::origin origin = wire::origin::exec) {
    path_ = session / (std::to_string(pid) + "." + std::to_string(generation) + ".region");
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(wire::region_bytes)) != 0)
      throw std::runtime_error("region file " + path_.string());
    memory_ = static_cast<std::byte*>(::mmap(nullptr, wire::region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ::close(file);
    if (memory_ == MAP_FAILED) throw std::runtime_error("mapping " + path_.string());
    wire::region_header& head = header();
    head.version = wire::region_version;
    head.header_bytes = sizeof(wire::region_header);
    head.total_bytes = wire::region_bytes;
    head.pid = pid;
    head.parent_pid = static_cast<std::uint32_t>(::getppid());
    head.origin = static_cast<std::uint32_t>(origin);
    head.life = static_cast<std::uint32_t>(wire::life::running);
    head.start_monotonic_ns = clock_ns(CLOCK_MONOTONIC);
    head.start_realtime_ns = clock_ns(CLOCK_REALTIME);
    head.page_bytes = 4096;
    ring().capacity_bytes = wire::ring_capacity_bytes;
    at<wire::control_page>(wire::control_offset_bytes).sample_interval_bytes = 512 * 1024;
  }
  ~region_writer() { ::munmap(memory_, wire::region_bytes); }
  region_writer(const region_writer&) = delete;
  region_writer& operator=(const region_writer&) = delete;

  // The last step of making a region.
  void publish() { __atomic_store_n(&header().magic, wire::region_magic, __ATOMIC_RELEASE); }

  void set_command_line(std::string_view nul_separated, std::string_view executable) {
    std::memcpy(memory_ + wire::text_cmdline_offset_bytes, nul_separated.data(), nul_separated.size());
    header().cmdline_bytes = static_cast<std::uint32_t>(nul_separated.size());
    std::memcpy(memory_ + wire::text_executable_offset_bytes, executable.data(), executable.size());
    header().executable_bytes = static_cast<std::uint32_t>(executable.size());
  }

  void write_module(std::string_view path, std::uint64_t begin, std::uint64_t end, std::uint64_t bias,
                    std::span<const std::uint8_t> build_id = {}) {
    wire::module_event event{};
    event.time_ns = clock_ns(CLOCK_MONOTONIC);
    event.begin = begin;
    event.end = end;
    event.bias = bias;
    event.build_id_bytes = static_cast<std::uint32_t>(build_id.size());
    std::copy(build_id.begin(), build_id.end(), event.build_id);
    event.path_bytes = static_cast<std::uint32_t>(path.size());
    write(wire::event_kind::module, event, path.data(), path.size());
  }

  void write_thread(std::uint32_t thread_id, std::string_view name) {
    wire::thread_event event{};
    event.thread_id = thread_id;
    name.copy(event.name, sizeof event.name - 1);
    write(wire::event_kind::thread, event, nullptr, 0);
  }

  bool write_sample(const written_sample& sample) {
    wire::allocation_sample_event event{};
    event.sample_id = sample.id;
    event.time_ns = sample.time_ns;
    event.address = sample.address;
    event.requested_bytes = sample.requested_bytes;
    event.usable_bytes = sample.usable_bytes;
    event.interval_bytes = sample.interval_bytes;
    event.thread_id = sample.thread_id;
    event.frame_count = static_cast<std::uint32_t>(sample.frames.size());
    event.truncated = sample.truncated;
    event.entry = static_cast<std::uint32_t>(sample.entry);
    const auto kind = sample.is_inherited ? wire::event_kind::inherited_sample : wire::event_kind::allocation_sample;
    return write(kind, event, sample.frames.data(), sample.frames.size() * 8);
  }

  bool write_free(std::uint64_t id, std::uint64_t time_ns, std::uint32_t thread_id,
                  const std::vector<std::uint64_t>& frames) {
    wire::free_sample_event event{};
    event.sample_id = id;
    event.time_ns = time_ns;
    event.thread_id = thread_id;
    event.frame_count = static_cast<std::uint32_t>(frames.size());
    return write(wire::event_kind::free_sample, event, frames.data(), frames.size() * 8);
  }

  // What a writer leaves that is killed between reserving and publishing.
  void reserve_without_publishing(std::uint64_t bytes) { ring().head += bytes; }

  // The text of exit, as the program's last destructor leaves it.
  void exit_with(std::string_view smaps, std::uint64_t resident_bytes) {
    wire::region_header& head = header();
    const std::size_t kept = std::min<std::size_t>(smaps.size(), wire::text_smaps_capacity_bytes);
    std::memcpy(memory_ + wire::text_smaps_offset_bytes, smaps.data(), kept);
    head.exit_smaps_bytes = static_cast<std::uint32_t>(kept);
    head.exit_smaps_truncated = kept < smaps.size() ? 1 : 0;
    head.exit_resident_bytes = resident_bytes;
    head.end_monotonic_ns = clock_ns(CLOCK_MONOTONIC);
    __atomic_store_n(&head.life, static_cast<std::uint32_t>(wire::life::exited), __ATOMIC_RELEASE);
  }

  wire::region_header& header() { return at<wire::region_header>(wire::header_offset_bytes); }
  wire::heap_statistics& statistics() { return at<wire::heap_statistics>(wire::statistics_offset_bytes); }
  wire::ring_header& ring() { return at<wire::ring_header>(wire::ring_offset_bytes); }
  std::byte* memory() { return memory_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  template <typename Part>
  Part& at(std::uint64_t offset_bytes) {
    return *reinterpret_cast<Part*>(memory_ + offset_bytes);
  }

  template <typename Event>
  bool write(wire::event_kind kind, Event event, const void* tail, std::size_t tail_bytes) {
    const std::uint64_t bytes = (sizeof event + tail_bytes + 7) / 8 * 8;
    const std::uint64_t room = wire::ring_capacity_bytes - ring().head % wire::ring_capacity_bytes;
    const std::uint64_t padding = bytes > room ? room : 0;
    const std::uint64_t used = ring().head - __atomic_load_n(&ring().tail, __ATOMIC_ACQUIRE);
    if (used + padding + bytes > wire::ring_capacity_bytes) {
      ++ring().dropped_events;
      return false;
    }
    std::uint64_t position = ring().head;
    __atomic_store_n(&ring().head, position + padding + bytes, __ATOMIC_RELEASE);
    if (padding != 0) {
      publish_word(position, wire::event_kind::padding, padding);
      position += padding;
    }
    std::byte* const place = memory_ + wire::ring_records_offset_bytes + position % wire::ring_capacity_bytes;
    std::memcpy(place + 8, reinterpret_cast<std::byte*>(&event) + 8, sizeof event - 8);
    if (tail_bytes != 0) std::memcpy(place + sizeof event, tail, tail_bytes);
    publish_word(position, kind, bytes);
    ++ring().written_events;
    return true;
  }

  void publish_word(std::uint64_t position, wire::event_kind kind, std::uint64_t bytes) {
    const wire::event_header header{static_cast<std::uint16_t>(kind), wire::event_magic,
                                    static_cast<std::uint32_t>(bytes)};
    std::uint64_t word = 0;
    std::memcpy(&word, &header, sizeof word);
    std::byte* const place = memory_ + wire::ring_records_offset_bytes + position % wire::ring_capacity_bytes;
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(place), word, __ATOMIC_RELEASE);
  }

  std::filesystem::path path_;
  std::byte* memory_ = nullptr;
};

}  // namespace tenure::testing
