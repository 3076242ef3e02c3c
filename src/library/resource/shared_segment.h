// A segment as one process has it: the file, its mapping, the lock, and this process's place among those who have
// joined. tenure::shared does the counting and the talking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "library/resource/block_records.h"
#include "library/resource/shared_blocks.h"
#include "library/resource/shared_layout.h"
#include "library/resource/shared_lock.h"
#include "library/resource/shared_presence.h"

namespace tenure {
class shared;
}

namespace tenure::resources {

// A descriptor that is closed at the end.
class owned_file {
 public:
  explicit owned_file(int file = -1) noexcept : file_(file) {}
  owned_file(owned_file&& other) noexcept : file_(other.release()) {}
  owned_file& operator=(owned_file&&) = delete;
  ~owned_file();
  int get() const noexcept { return file_; }
  int release() noexcept;

 private:
  int file_;
};

owned_file make_segment_file(const char* name, const char* segment, std::size_t bytes);
owned_file open_segment_file(const char* segment);
// The same file, when nobody can cut it.
owned_file duplicate_segment_file(int descriptor);
void send_descriptor(int socket, int descriptor);
int receive_descriptor(int socket);

class shared_segment {
 public:
  // What a file is to become, or what it has to be. Both throw.
  static std::unique_ptr<shared_segment> make(owned_file file, const segment_layout& layout, const char* name);
  static std::unique_ptr<shared_segment> join(owned_file file);
  ~shared_segment();
  shared_segment(const shared_segment&) = delete;
  shared_segment& operator=(const shared_segment&) = delete;

  // The segment's lock, with what its last owner left mended.
  class hold_lock {
   public:
    explicit hold_lock(shared_segment& of) noexcept : of_(of) { of.acquire(); }
    ~hold_lock() { of_.lock_.unlock(); }
    hold_lock(const hold_lock&) = delete;
    hold_lock& operator=(const hold_lock&) = delete;

   private:
    shared_segment& of_;
  };

  // A slot of its own, which it has until it leaves. Throws.
  void join_as_participant();
  // What it has is given back.
  void leave() noexcept;
  bool has_joined() const noexcept { return __atomic_load_n(&slot_, __ATOMIC_ACQUIRE) != 0; }
  // In a child of fork(): what the parent joined as is the parent's.
  void forget_after_fork() noexcept;
  unsigned slot() const noexcept { return slot_; }
  bool is_alive(unsigned slot) const noexcept { return slot == slot_ || presence_.is_there(slot); }
  // What is dead of a slot is freed. With the lock.
  std::size_t give_all_of(unsigned slot) noexcept;
  std::size_t drop_free_chunks() noexcept;
  std::size_t committed_bytes() const noexcept;

  shared_blocks& blocks() noexcept { return blocks_; }
  segment_header& header() const noexcept { return blocks_.header(); }
  const segment_layout& layout() const noexcept { return layout_; }
  bool is_damaged() const noexcept { return __atomic_load_n(&header().is_damaged, __ATOMIC_RELAXED) != 0; }
  std::byte* begin() const noexcept { return begin_; }
  std::byte* data() const noexcept { return begin_ + layout_.data_offset; }
  // Of an address in the data; shared_blocks::none for others.
  std::size_t offset_of(const void* address) const noexcept;
  int file() const noexcept { return file_.get(); }
  // As the maker has called it, with what cannot be printed replaced.
  std::string maker_name() const;

  // What is counted here, under the lock.
  std::uint64_t held_bytes = 0;
  std::uint64_t held_blocks = 0;
  std::unique_ptr<block_records> records;
  shared* owner = nullptr;  // for shared::of

 private:
  shared_segment(owned_file file, const segment_layout& layout);
  static bool commit_chunk(void* self, std::size_t chunk);
  bool try_join_as(unsigned slot);
  void acquire() noexcept;
  // With the lock. Null, or what is wrong, which the others are told as well.
  const char* rebuild() noexcept;

  owned_file file_;
  segment_layout layout_;
  std::byte* begin_ = nullptr;
  shared_blocks blocks_;
  shared_presence presence_;
  shared_lock lock_;
  unsigned slot_ = 0;
};

// Those of this process, for shared::of and for children of fork().
void enter_segment(shared_segment& segment);
void remove_segment(shared_segment& segment) noexcept;
shared* find_segment(const void* begin) noexcept;
// One thread at a time joins anew.
std::mutex& joining_mutex() noexcept;

}  // namespace tenure::resources
