// A session folder as `tenure run` would make it, and programs that run in it: children of the test, since a process
// starts its telemetry once.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "wire/region.h"
#include "wire/ring_reader.h"

namespace tenure::testing {

struct seen_sample {
  wire::allocation_sample_event head;
  std::vector<std::uint64_t> frames;
};
struct seen_free {
  wire::free_sample_event head;
  std::vector<std::uint64_t> frames;
};
struct seen_module {
  wire::module_event head;
  std::string path;
};

// What a region file tells, read as the command would: from the file alone.
class seen_region {
 public:
  explicit seen_region(const std::filesystem::path& file) {
    const int descriptor = open(file.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(descriptor, 0) << file;
    EXPECT_EQ(std::filesystem::file_size(file), wire::region_bytes);
    base_ =
        static_cast<std::byte*>(mmap(nullptr, wire::region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0));
    close(descriptor);
    EXPECT_NE(static_cast<void*>(base_), MAP_FAILED);
    wire::ring_reader reader(base_);
    reader.drain([this](std::span<const std::byte> bytes) { take(bytes); }, wire::hole::skip);
    losses = reader.losses();
    dropped_events = reader.dropped_events();
    dropped_bytes = reader.dropped_bytes();
  }
  ~seen_region() { munmap(base_, wire::region_bytes); }
  seen_region(const seen_region&) = delete;
  seen_region& operator=(const seen_region&) = delete;

  const wire::region_header& header() const { return *reinterpret_cast<const wire::region_header*>(base_); }
  wire::control_page& control() { return *reinterpret_cast<wire::control_page*>(base_ + wire::control_offset_bytes); }
  const wire::heap_statistics& statistics() const {
    return *reinterpret_cast<const wire::heap_statistics*>(base_ + wire::statistics_offset_bytes);
  }
  std::string text(std::uint64_t offset, std::uint64_t bytes) const {
    return {reinterpret_cast<const char*>(base_ + offset), bytes};
  }
  wire::life life() const { return static_cast<wire::life>(header().life); }

  std::vector<seen_sample> samples;
  std::vector<seen_free> frees;
  std::vector<seen_module> modules;
  std::map<std::uint32_t, std::string> threads;
  // In the order of the ring, what each stack needed and whether it was told by then.
  std::vector<std::uint64_t> frames_without_module;
  wire::ring_losses losses;
  std::uint64_t dropped_events = 0;
  std::uint64_t dropped_bytes = 0;

 private:
  void take(std::span<const std::byte> bytes) {
    seen_sample sample{};
    seen_free freed{};
    seen_module module{};
    wire::thread_event thread{};
    std::span<const std::uint64_t> frames;
    std::span<const char> path;
    if (wire::decode(bytes, &sample.head, &frames)) {
      sample.frames.assign(frames.begin(), frames.end());
      look_up(sample.frames);
      samples.push_back(sample);
    } else if (wire::decode(bytes, &freed.head, &frames)) {
      freed.frames.assign(frames.begin(), frames.end());
      look_up(freed.frames);
      frees.push_back(freed);
    } else if (wire::decode(bytes, &module.head, &path)) {
      module.path.assign(path.begin(), path.end());
      modules.push_back(module);
    } else if (wire::decode(bytes, &thread)) {
      threads[thread.thread_id] = thread.name;
    }
  }
  void look_up(const std::vector<std::uint64_t>& frames) {
    for (const std::uint64_t frame : frames) {
      bool known = false;
      for (const seen_module& module : modules) known |= frame >= module.head.begin && frame < module.head.end;
      if (!known) frames_without_module.push_back(frame);
    }
  }

  std::byte* base_ = nullptr;
};

class session {
 public:
  session() {
    std::string name = ::testing::TempDir() + "session-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
  }
  ~session() { std::filesystem::remove_all(folder); }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  // Runs `program` in a child whose TENURE_SESSION is this folder (or `instead`). The status of waitpid.
  template <class Program>
  int run(Program&& program, const char* instead = nullptr) {
    const pid_t child = fork();
    if (child == 0) {
      setenv("TENURE_SESSION", instead == nullptr ? folder.c_str() : instead, 1);
      program();
      _exit(0);
    }
    last_child = child;
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  std::filesystem::path file(pid_t pid, int generation = 0) const {
    return folder / (std::to_string(pid) + "." + std::to_string(generation) + ".region");
  }
  std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }

  std::filesystem::path folder;
  pid_t last_child = 0;
};

}  // namespace tenure::testing
