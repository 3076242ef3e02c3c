// tenure::shared: memory that several processes have, in a segment that outlives any of them.
//
//   process A                 segment                                process B
//   0x7f10..0000  ----------> [header][tables][A's][B's][kept] <---- 0x7e55..0000
//
// A segment has no name and goes from process to process as a descriptor (through a socket, or to a child), or has a
// name by which others open it. Blocks belong to the process that took them, to one that has taken them over, or to the
// segment. What a process has goes when it ends its resource. When it is killed, at whatever moment, the segment stays
// whole: participants() says who died with what, blocks_of() lists it, reclaim() gives it back.
//
//     tenure::shared memory({.name = "frames"});                      // here
//     memory.send_to(socket);
//     auto there = tenure::shared::attach(tenure::shared::receive_from(socket));
//     using words = std::vector<int, tenure::shared_allocator<int>>;  // pointers in it are offset_ptr
//
// Pointers that lie in the segment have to be offset_ptr; tenure::shared_allocator makes containers use them, for those
// containers that take an allocator's own pointers, with blocks that belong to the segment.
//
// When: large data that several processes read or hand on without a copy; what has to outlive a worker that may be
// killed. When not: one process; messages that a pipe carries as well; peers that must not be able to harm each other:
// any of them may write into every block. What a peer has written into the tables leads to a message or to blocks that
// overlap, and to no access outside of the segment; one that holds the lock and lives stops the others.
//
// The account of each process has what is its own; what belongs to the segment is told by segment(). A release of what
// is no block in use, or with another size, ends in a message, always; with checks on with the sites in this process.
// A child of fork() is a participant of its own from its first call on.
//
// Thread-safe, but for the destructor. Errors: std::bad_alloc, also at alignments beyond 4096 and where the file system
// is full (no signal); std::system_error where the kernel refuses; std::invalid_argument for options that cannot be;
// std::runtime_error for what is no segment, or a damaged one, and when 255 have joined. Cost: docs/library/shared.md;
// 4 bytes for each smallest block of what has been used. Source: Knowlton's buddies; fcntl(2) on open file description
// locks, memfd_create(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include <tenure/memory_resource.hpp>
#include <tenure/offset_ptr.hpp>

namespace tenure {

namespace resources {
class shared_segment;
}

struct shared_options {
  std::string_view name = "shared";
  // Address space in each process, and what the blocks can come to; a power of two of at least 4096 smallest blocks.
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t smallest_bytes = 64;  // a power of two
  const char* segment = nullptr;    // "/NAME" for others to open; null: a memfd without a name
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

struct shared_attach_options {
  std::string_view name = {};  // empty: as its maker has called it
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

// One who has joined, or had and died without leaving.
struct shared_participant {
  unsigned number;
  int process;  // as it calls itself
  bool is_alive;
  std::uint64_t used_bytes;
  std::uint64_t used_blocks;
};

struct shared_statistics {
  std::uint64_t bytes;            // that blocks can come to
  std::uint64_t committed_bytes;  // the memory it takes, tables included
  std::uint64_t used_bytes;       // blocks of all
  std::uint64_t used_blocks;
  std::uint64_t kept_bytes;  // those that belong to the segment
  std::uint64_t kept_blocks;
  std::uint64_t recoveries;  // from a death in the middle of an allocation or release
};

class TENURE_API shared final : public memory_resource {
 public:
  // Makes a segment.
  explicit shared(const shared_options& options = {});
  // Joins one. The descriptor stays the caller's; only such as cannot be cut are taken, as memfds of `shared` are.
  static shared attach(int descriptor, const shared_attach_options& options = {});
  static shared open(const char* segment, const shared_attach_options& options = {});
  // The name goes; those who have joined keep the segment. False when there was none.
  static bool remove(const char* segment) noexcept;
  // Gives back what is this process's. A child of fork() that has done nothing with it leaves its parent's alone.
  ~shared() override;

  // For SCM_RIGHTS, dup() and exec(). Closed at the resource's end.
  int descriptor() const noexcept;
  void send_to(int unix_socket) const;
  // The caller's, to be closed.
  static int receive_from(int unix_socket);

  // From here on the block is this process's, or nobody's: it stays until somebody releases it.
  void take_over(void* block);
  void keep(void* block);
  // Of the segment from the beginning, not counted here.
  void* allocate_kept(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t));

  // Where peers begin to read: one address in the segment, null at first. Null too where a peer has written nonsense.
  void set_root(const void* object);
  void* root() const noexcept;

  std::vector<shared_participant> participants() const;
  std::vector<live_block> blocks_of(const shared_participant& who) const;
  // Of one who is dead: the bytes that came back. Throws std::logic_error for the living.
  std::size_t reclaim(const shared_participant& who);
  std::size_t reclaim_dead();
  shared_statistics segment() const;

  // The resource of this process for a segment that is mapped at this address. Throws std::logic_error when none is.
  static shared& of(const void* segment_begin);
  const void* begin() const noexcept;

  bool owns(const void* block) const noexcept override;
  // Gives pages of the segment back to the system; no account changes. What peers have released of this process's
  // blocks is taken off its account here, and at each allocation and release.
  std::size_t trim() noexcept override;
  // This process's blocks.
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  shared(std::unique_ptr<resources::shared_segment> segment, const shared_attach_options& options);

  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  void* allocate_or_throw(bool is_kept, std::size_t bytes, std::size_t alignment);
  void* allocate_for(unsigned slot, unsigned order, const char*& damage);
  void own(std::uint64_t bytes) noexcept;
  void settle() noexcept;
  void report(const char* what, const void* block, std::size_t bytes) noexcept;
  void report_no_block(const char* what, const void* block) const noexcept;

  std::unique_ptr<resources::shared_segment> segment_;
};

// Blocks that belong to the segment, with pointers that are right in every process.
template <class T>
class shared_allocator {
 public:
  using value_type = T;
  using pointer = offset_ptr<T>;
  using const_pointer = offset_ptr<const T>;
  using void_pointer = offset_ptr<void>;
  using const_void_pointer = offset_ptr<const void>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  template <class U>
  struct rebind {
    using other = shared_allocator<U>;
  };

  explicit shared_allocator(shared& of) noexcept : segment_(of.begin()) {}
  template <class U>
  shared_allocator(const shared_allocator<U>& other) noexcept : segment_(other.segment()) {}

  pointer allocate(std::size_t count) {
    if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_alloc();
    return pointer(static_cast<T*>(shared::of(segment()).allocate_kept(count * sizeof(T), alignof(T))));
  }
  void deallocate(pointer block, std::size_t count) noexcept {
    shared::of(segment()).deallocate(block.get(), count * sizeof(T), alignof(T));
  }
  const void* segment() const noexcept { return segment_.get(); }

  template <class U>
  friend bool operator==(const shared_allocator& a, const shared_allocator<U>& b) noexcept {
    return a.segment() == b.segment();
  }

 private:
  offset_ptr<const void> segment_;
};

}  // namespace tenure
