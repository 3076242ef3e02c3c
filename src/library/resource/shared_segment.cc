#include "library/resource/shared_segment.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/resource/shared_file.h"

namespace tenure::resources {
namespace {

[[noreturn]] void refuse(const char* why) {
  throw std::runtime_error(std::string("tenure::shared: this cannot be joined: ") + why);
}

}  // namespace

shared_segment::shared_segment(owned_file file, const segment_layout& layout)
    : file_(std::move(file)), layout_(layout) {
  void* const memory =
      ::mmap(nullptr, layout.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_.get(), 0);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "tenure::shared: the segment cannot be mapped");
  }
  begin_ = static_cast<std::byte*>(memory);
  blocks_ = shared_blocks(begin_, layout_, commit_chunk, this);
}

shared_segment::~shared_segment() {
  if (begin_ != nullptr) TENURE_CHECK(::munmap(begin_, layout_.segment_bytes) == 0);
}

std::unique_ptr<shared_segment> shared_segment::make(owned_file file, const segment_layout& layout, const char* name) {
  if (!reserve_in_segment(file.get(), 0, layout.tables_offset)) throw std::bad_alloc();
  std::unique_ptr<shared_segment> made(new shared_segment(std::move(file), layout));
  segment_header& header = made->header();
  segment_header fresh = first_header(layout, name);
  const std::array<char, 8> magic = fresh.magic;
  fresh.magic = {};
  std::memcpy(&header, &fresh, offsetof(segment_header, lock));
  TENURE_CHECK(made->blocks_.rebuild() == nullptr);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  std::memcpy(&header.magic, magic.data(), magic.size());
  made->join_as_participant();
  return made;
}

std::unique_ptr<shared_segment> shared_segment::join(owned_file file) {
  struct stat status {};
  std::array<std::byte, sizeof(segment_header)> first{};
  if (::fstat(file.get(), &status) != 0) {
    throw std::system_error(errno, std::generic_category(), "tenure::shared: the segment cannot be looked at");
  }
  const ssize_t read = ::pread(file.get(), first.data(), first.size(), 0);
  if (read < 0) throw std::system_error(errno, std::generic_category(), "tenure::shared: the segment cannot be read");
  segment_layout layout;
  if (const char* const wrong = validate_header(std::span(first).first(static_cast<std::size_t>(read)),
                                                static_cast<std::uint64_t>(status.st_size), layout)) {
    refuse(wrong);
  }
  std::unique_ptr<shared_segment> joined(new shared_segment(std::move(file), layout));
  if (joined->is_damaged()) refuse("its blocks are damaged, as another process has found");
  joined->join_as_participant();
  const char* wrong = nullptr;
  {
    const hold_lock held(*joined);
    wrong = joined->rebuild();
  }
  if (wrong != nullptr) refuse(wrong);
  return joined;
}

// Memory is there before a chunk is said to be in use, and until it no longer is. A stranger's segment that is said to
// be in use all through and has no memory would take minutes to read, and make its pages.
const char* shared_segment::rebuild() noexcept {
  struct stat status {};
  const bool is_there =
      ::fstat(file_.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_blocks) * 512 >= committed_bytes();
  const char* const wrong = is_there ? blocks_.rebuild() : "it has less memory than its tables say";
  if (wrong != nullptr) __atomic_store_n(&header().is_damaged, 1u, __ATOMIC_RELAXED);
  return wrong;
}

void shared_segment::acquire() noexcept {
  if (!lock_.lock()) return;
  __atomic_store_n(&header().recoveries, header().recoveries + 1, __ATOMIC_RELAXED);
  static_cast<void>(rebuild());
}

// False for a slot that somebody has, or a dead one whose blocks nobody has reclaimed.
bool shared_segment::try_join_as(unsigned slot) {
  if (!presence_.try_take(slot)) return false;
  segment_slot& mine = blocks_.slot(slot);
  lock_ = shared_lock(header().lock, presence_, slot, __atomic_add_fetch(&mine.generation, 1, __ATOMIC_RELAXED));
  TENURE_YIELD_POINT();
  acquire();
  const bool is_free = mine.used_blocks == 0;
  if (is_free) {
    mine.process = ::getpid();
    mine.used_bytes = 0;
  }
  lock_.unlock();
  if (is_free) {
    __atomic_store_n(&slot_, slot, __ATOMIC_RELEASE);
  } else {
    presence_.leave(slot);
  }
  return is_free;
}

// A dead one whose place is tried lives for that moment in the eyes of the others, so those who seem to have blocks are
// left alone while there are others. Only seem to: the figure is read without the lock.
void shared_segment::join_as_participant() {
  presence_.open(file_.get());
  for (const bool is_last_resort : {false, true}) {
    for (unsigned slot = 1; slot < segment_slots; ++slot) {
      const bool has_blocks = __atomic_load_n(&blocks_.slot(slot).used_blocks, __ATOMIC_RELAXED) != 0;
      if (has_blocks == is_last_resort && try_join_as(slot)) return;
    }
  }
  presence_.close();
  throw std::runtime_error(
      "tenure::shared: 255 processes have joined this segment, or have died with blocks in it, which reclaim_dead() in "
      "one of the others gives back");
}

void shared_segment::leave() noexcept {
  if (!has_joined()) return;
  {
    const hold_lock held(*this);
    if (!is_damaged()) give_all_of(slot_);
    blocks_.slot(slot_).process = 0;
  }
  __atomic_store_n(&slot_, 0u, __ATOMIC_RELEASE);
  presence_.close();
}

void shared_segment::forget_after_fork() noexcept {
  presence_.close();
  if (records) records->forget_after_fork();
  __atomic_store_n(&slot_, 0u, __ATOMIC_RELEASE);
}

std::size_t shared_segment::give_all_of(unsigned slot) noexcept {
  std::size_t bytes = 0;
  blocks_.for_each([&](const shared_block& block) {
    if (block.slot != slot) return;
    blocks_.give(block);
    bytes += layout_.block_bytes(block.order);
  });
  return bytes;
}

std::size_t shared_segment::drop_free_chunks() noexcept {
  const std::size_t chunk_bytes = layout_.chunk_bytes();
  return chunk_bytes * blocks_.drop_free_chunks([&](std::size_t chunk) {
    punch_in_segment(file_.get(), layout_.data_offset + chunk * chunk_bytes, chunk_bytes);
    punch_in_segment(file_.get(), layout_.tables_offset + chunk * segment_layout::table_bytes,
                     segment_layout::table_bytes);
  });
}

bool shared_segment::commit_chunk(void* self, std::size_t chunk) {
  const auto* const of = static_cast<const shared_segment*>(self);
  const segment_layout& layout = of->layout_;
  return reserve_in_segment(of->file(), layout.tables_offset + chunk * segment_layout::table_bytes,
                            segment_layout::table_bytes) &&
         reserve_in_segment(of->file(), layout.data_offset + chunk * layout.chunk_bytes(), layout.chunk_bytes());
}

std::size_t shared_segment::committed_bytes() const noexcept {
  std::size_t chunks = 0;
  for (std::size_t chunk = 0; chunk < layout_.chunks; ++chunk) chunks += blocks_.is_committed(chunk) ? 1 : 0;
  return layout_.tables_offset + chunks * (layout_.chunk_bytes() + segment_layout::table_bytes);
}

std::size_t shared_segment::offset_of(const void* address) const noexcept {
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(data());
  return offset < layout_.data_bytes ? offset : shared_blocks::none;
}

std::string shared_segment::maker_name() const {
  std::string name;
  for (const char one : header().name) {
    if (one == '\0') break;
    name += one >= ' ' && one < '\x7f' ? one : '?';
  }
  return name;
}

}  // namespace tenure::resources
