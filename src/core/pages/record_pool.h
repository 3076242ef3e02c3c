// Records of one size, kept page by page, so that what a heap that was large once needed goes back to the system.
//
//   chunk    [ record page | record page | ... ]     mapped apart from everything else
//   record page   [ -> its description | record | record | ... ]
//
// A page in which no record is in use goes back when the decay comes by, in three steps, so that the kernel works while
// the lock is free. It reads as zeroes then. A free record links to the next one by its first word.
//
// Everything here is used under the page heap's lock, but for release_unused().
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

struct record_page;

class record_page_list {
 public:
  record_page* first() const noexcept { return first_; }
  std::size_t count() const noexcept { return count_; }
  void push(record_page* added) noexcept;
  void remove(record_page* removed) noexcept;

 private:
  record_page* first_ = nullptr;
  std::size_t count_ = 0;
};

class record_pool {
 public:
  static constexpr std::size_t page_bytes = 4096;
  static constexpr std::size_t header_bytes = 64;

  explicit constexpr record_pool(std::uint32_t record_bytes) noexcept
      : record_bytes_(record_bytes),
        per_page_(static_cast<std::uint32_t>((page_bytes - header_bytes) / record_bytes)) {}

  // Whatever was in it; null when the system refuses.
  void* allocate() noexcept;
  // Its first word is overwritten.
  void free(void* record) noexcept;

  // Takes the unused pages out (false: there are none worth the call), gives them back, and makes them known again as
  // pages without memory. One thread at a time.
  bool collect_unused() noexcept;
  void release_unused() noexcept;
  void put_back_unused() noexcept;
  bool is_leaving() const noexcept { return leaving_.count() != 0; }  // between the first of these and the last

  // Of pages that are not released; read without the lock.
  std::uint64_t resident_bytes() const noexcept {
    return __atomic_load_n(&resident_pages_, __ATOMIC_RELAXED) * page_bytes;
  }

  // Consistency; `is_free` looks at each free record.
  void check(bool (*is_free)(const void* record)) const noexcept;

 private:
  bool add_chunk() noexcept;
  record_page* page_with_room() noexcept;  // in partial_
  bool has_room(const record_page* page) const noexcept;
  void check_page(const record_page* page, bool (*is_free)(const void* record)) const noexcept;
  void set_resident(std::uint64_t pages) noexcept { __atomic_store_n(&resident_pages_, pages, __ATOMIC_RELAXED); }

  std::uint32_t record_bytes_;
  std::uint32_t per_page_;
  record_page_list partial_;   // some records in use, some not
  record_page_list unused_;    // none in use, with memory
  record_page_list released_;  // none in use, without
  record_page_list leaving_;   // on the way from unused to released
  std::uint64_t resident_pages_ = 0;
};

}  // namespace tenure::core
