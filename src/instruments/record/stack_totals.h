// Stack totals: what each stack of one process has allocated, freed and held, while its events go by.
//
// One pass suffices for who held what at the peak, though nobody knows at the time that it is the peak: a stack that
// changes after the last moment of interest first puts down what it held then.
//
//   moment 1 ──────────── moment 2 (a new peak: moment 1 is forgotten) ──────────── end
//              A changes             A changes: puts down what it held at moment 2; B never does, and holds it still
//
// What is kept is one entry a stack and, where stacks of frees are told, one for each two stacks of which one frees
// what the other allocates. Whoever replays a recording counts so, and so does whoever writes it: then the totals stand
// behind the last event of the process (told_totals), and nobody has to replay it for them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "instruments/record/byte_stream.h"
#include "instruments/record/event_block.h"

namespace tenure::record {

struct block_amount {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;  // as requested

  block_amount& operator+=(const block_amount& other) {
    blocks += other.blocks;
    bytes += other.bytes;
    return *this;
  }
  block_amount& operator-=(const block_amount& other) {
    blocks -= other.blocks;
    bytes -= other.bytes;
    return *this;
  }
  bool operator==(const block_amount&) const = default;
};

struct stack_total {
  block_amount at_begin;  // alive where what was kept of the recording begins, and not among the allocated
  block_amount allocated;
  block_amount freed;
  block_amount freed_elsewhere;   // by another thread than allocated it
  block_amount at_moment;         // live then
  block_amount at_end;            // never freed
  block_amount peak;              // of one stack alone: its most live bytes; of several, their sum
  std::uint64_t lifetime_ns = 0;  // of all blocks together; those that were never freed lived to the end

  stack_total& operator+=(const stack_total& other);
  bool operator==(const stack_total&) const = default;
};

// By what freed a block: the stacks of its allocation and of its free.
using freed_by_stacks = std::unordered_map<std::uint64_t, block_amount>;
constexpr std::uint64_t stack_pair(std::uint32_t allocated, std::uint32_t freed) {
  return std::uint64_t{allocated} << 32 | freed;
}

// As its allocation was.
struct counted_block {
  std::uint32_t stack = no_stack;
  std::uint32_t thread = 0;
  std::uint64_t bytes = 0;
  std::uint64_t time_ns = 0;
};

class stack_totals {
 public:
  // The only moment of interest. Without one, every new peak is: what is left is the peak.
  void set_moment(std::uint64_t at_ns) { at_ns_ = at_ns; }

  // What is counted of the stack will be asked for soon.
  void expect(std::uint32_t stack) const {
    if (stack < sites_.size()) __builtin_prefetch(&sites_[stack], 1);
  }
  // An allocation or a free of the block.
  void take(const event& one, const counted_block& block);
  // A block that was alive before the first event, and what is known as a sum alone.
  void take_alive(std::uint32_t stack, std::uint64_t bytes);
  void take_sum(std::uint32_t stack, const block_amount& allocated, const block_amount& live);

  // Once, behind the last event and before totals() is asked: what is alive lives until `end_ns`.
  void add_life(std::uint32_t stack, std::uint64_t begin_ns, std::uint64_t end_ns);
  void close();
  // By stack; those without anything are empty.
  bool has(std::uint32_t stack) const;
  stack_total& of(std::uint32_t stack) { return sites_[stack].totals; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(sites_.size()); }

  const block_amount& live() const { return live_; }
  const block_amount& peak() const { return peak_; }
  std::uint64_t peak_time_ns() const { return peak_time_ns_; }
  const freed_by_stacks& freed() const { return freed_; }

 private:
  struct open_stack {
    stack_total totals;
    block_amount live;
    std::uint64_t moment = 0;  // the last one for which totals.at_moment was put down
  };
  open_stack& site(std::uint32_t stack) {
    if (stack >= sites_.size()) sites_.resize(stack + std::size_t{1});
    return sites_[stack];
  }
  void put_down(open_stack& one) {
    if (one.moment == moment_) return;
    one.totals.at_moment = one.live;
    one.moment = moment_;
  }

  std::vector<open_stack> sites_;
  block_amount live_, peak_;
  std::uint64_t moment_ = 1;  // how many moments of interest there were, the beginning being the first
  std::uint64_t peak_time_ns_ = 0;
  std::optional<std::uint64_t> at_ns_;
  bool is_past_ = false;  // that moment
  freed_by_stacks freed_;
};

// What was alive at a moment at which the process's memory was told with its mappings.
struct moment_total {
  std::uint64_t time_ns = 0;
  block_amount live;
  std::uint64_t usable_bytes = 0;  // as the size classes of that moment make of them
  bool operator==(const moment_total&) const = default;
};

// The totals of a process as they stand in its recording, with every new peak as the moment of interest.
struct told_totals {
  bool is_whole = false;  // all parts of them were read
  std::uint64_t events = 0;
  std::uint64_t stray_frees = 0;
  std::uint64_t last_event_ns = 0;
  std::uint64_t peak_time_ns = 0;
  block_amount peak;
  std::vector<std::pair<std::uint32_t, stack_total>> stacks;  // without at_begin; by number
  std::vector<std::pair<std::uint64_t, block_amount>> freed;  // by stack_pair
  std::vector<moment_total> moments;

  // In parts of a bounded length, one behind the other.
  void write(const std::function<void(std::span<const std::uint8_t> part)>& write) const;
  // The next part; every stack has to be below the limit. False when it makes no sense.
  bool take(byte_reader from, std::uint64_t stack_limit);
};

}  // namespace tenure::record
