// Who is there: a lock of the kernel's on one byte of the segment's file for each slot, which goes when its holder
// does, however he ends. It needs no process numbers, so one that is used again deceives nobody, and processes of
// several containers can share a segment.
//
// The locks belong to an open file, not to the process (F_OFD_SETLK), and the file is opened for them alone: closing
// another descriptor of the segment gives up nothing. A child of fork() has the open file too; it closes it at once.
#pragma once

namespace tenure::resources {

class shared_presence {
 public:
  shared_presence() = default;
  ~shared_presence();
  shared_presence(const shared_presence&) = delete;
  shared_presence& operator=(const shared_presence&) = delete;

  // Throws std::system_error.
  void open(int segment_file);
  void close() noexcept;
  bool is_open() const noexcept { return file_ >= 0; }

  bool try_take(unsigned slot) const noexcept;
  void leave(unsigned slot) const noexcept;
  // Of somebody else. Where the kernel does not say, he is.
  bool is_there(unsigned slot) const noexcept;

 private:
  int file_ = -1;
};

}  // namespace tenure::resources
