// Blocks ahead: a recording's blocks unpacked on a thread of their own, a few ahead of whoever reads them.
//
//   block_reader ──► [ unpacked ][ unpacked ][ being unpacked ][ free ] ──► next()
//
// Unpacking a block and replaying the one before it take about as long, so a long recording opens in half the time
// where there is a second processor. The reader gets the same blocks in the same order as without.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "instruments/record/block_file.h"
#include "instruments/record/event_block.h"

namespace tenure::record {

struct unpacked_block {
  block what;  // its payload is below
  std::uint64_t begin_bytes = 0;
  std::uint64_t end_bytes = 0;
  std::vector<std::uint8_t> payload;  // of all kinds but events
  std::vector<event> events;
  bool makes_sense = true;  // the events could be decoded
};

// One block of the reader with its events decoded; false at the end, or at damage.
bool unpack_next(block_reader& from, unpacked_block& into);

class blocks_ahead {
 public:
  // `before(position)` is called on the thread before each block: the reader is its own until then. Nobody else may use
  // `from` while this lives.
  blocks_ahead(block_reader& from, std::function<void(std::uint64_t position)> before);
  ~blocks_ahead();
  blocks_ahead(const blocks_ahead&) = delete;
  blocks_ahead& operator=(const blocks_ahead&) = delete;

  // Until the next call; null when there are no more. What the thread threw is thrown.
  unpacked_block* next();

 private:
  void run();
  bool has_room() const { return filled_ - taken_ < places_.size(); }

  block_reader& from_;
  std::function<void(std::uint64_t)> before_;
  std::array<unpacked_block, 4> places_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::uint64_t filled_ = 0;  // blocks that were put into places_, the number of each modulo its length
  std::uint64_t taken_ = 0;   // blocks that are of no use any more
  bool is_over_ = false;      // there are no more
  bool is_left_ = false;      // nobody wants more
  bool is_read_ = false;      // the block behind taken_ is with the reader
  std::exception_ptr thrown_;
  std::thread thread_;
};

}  // namespace tenure::record
