// The memory map of the process, and which of its pages hold anything.
//
// Read from /proc/self/maps into memory of its own. Pages that were never touched are told by /proc/self/pagemap: to
// read them would make them, and a program may have reserved more than the machine has. Where that file is not there,
// all pages count as touched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

struct mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool is_readable = false;
  bool is_writable = false;
  bool is_executable = false;
  bool is_shared = false;
  bool is_of_file = false;
  bool is_main_stack = false;
  bool is_behind_guard = false;  // directly above memory that nobody may touch: as a thread's stack is

  bool holds(std::uintptr_t address) const noexcept { return address - begin < end - begin; }
};

// One line of /proc/PID/maps, without its end. False when it is none.
bool parse_mapping(const char* line, std::size_t length, mapping* result) noexcept;

class memory_map {
 public:
  // The kernel's own limit is 65530, and some distributions raise it so far.
  static constexpr std::size_t most_mappings = std::size_t{1} << 20;

  memory_map() noexcept = default;
  ~memory_map();
  memory_map(const memory_map&) = delete;
  memory_map& operator=(const memory_map&) = delete;

  // False when it cannot be read, or there are more of them, or there is no memory for it.
  bool read() noexcept;
  std::size_t count() const noexcept { return count_; }
  const mapping& operator[](std::size_t index) const noexcept { return mappings_[index]; }
  // The first one that ends above the address, by its index: count() when there is none.
  std::size_t first_above(std::uintptr_t address) const noexcept;
  // Null when nothing is mapped there.
  const mapping* find(std::uintptr_t address) const noexcept;

 private:
  // False when there is no room.
  bool add(const char* line, std::size_t length) noexcept;

  mapping* mappings_ = nullptr;
  std::size_t count_ = 0;
};

class touched_pages {
 public:
  touched_pages() noexcept;
  ~touched_pages();
  touched_pages(const touched_pages&) = delete;
  touched_pages& operator=(const touched_pages&) = delete;

  // Calls visit(begin, end) for the parts of [begin, end) that lie on touched pages.
  template <class Visit>
  void for_each(std::uintptr_t begin, std::uintptr_t end, Visit&& visit) noexcept {
    while (begin < end) {
      const std::uintptr_t stop = load(begin, end);
      for (std::uintptr_t at = begin; at < stop;) {
        const std::uintptr_t next = end_of_run(at, stop);
        if (is_touched(at)) visit(at, next);
        at = next;
      }
      begin = stop;
    }
  }

 private:
  static constexpr std::size_t most_entries = 512;
  // The entries of the pages from `begin` on; where they end, or `end`.
  std::uintptr_t load(std::uintptr_t begin, std::uintptr_t end) noexcept;
  bool is_touched(std::uintptr_t address) const noexcept;
  std::uintptr_t end_of_run(std::uintptr_t address, std::uintptr_t stop) const noexcept;

  int file_;
  std::uintptr_t first_page_ = 0;
  std::size_t entry_count_ = 0;  // 0: not known
  std::uint64_t entries_[most_entries];
};

}  // namespace tenure::core
