#include "instruments/record/stack_totals.h"

#include <algorithm>
#include <array>

namespace tenure::record {
namespace {

// So many stacks or pairs of them in one part.
constexpr std::size_t rows_in_a_part = 1 << 20;

// at_end is what was allocated and not freed.
using amount = block_amount stack_total::*;
constexpr std::array<amount, 5> told_amounts = {&stack_total::allocated, &stack_total::freed,
                                                &stack_total::freed_elsewhere, &stack_total::at_moment,
                                                &stack_total::peak};

void write_amount(byte_writer& to, const block_amount& one) {
  to.number(one.blocks);
  to.number(one.bytes);
}

block_amount read_amount(byte_reader& from) {
  block_amount one;
  one.blocks = from.number();
  one.bytes = from.number();
  return one;
}

}  // namespace

stack_total& stack_total::operator+=(const stack_total& other) {
  at_begin += other.at_begin;
  allocated += other.allocated;
  freed += other.freed;
  freed_elsewhere += other.freed_elsewhere;
  at_moment += other.at_moment;
  at_end += other.at_end;
  peak += other.peak;
  lifetime_ns += other.lifetime_ns;
  return *this;
}

void stack_totals::take(const event& one, const counted_block& block) {
  open_stack& here = site(block.stack);
  if (at_ns_ && !is_past_ && one.time_ns > *at_ns_) {
    is_past_ = true;
    ++moment_;
  }
  put_down(here);
  const block_amount taken{1, block.bytes};
  if (one.kind == event_kind::allocation) {
    here.totals.allocated += taken;
    here.live += taken;
    live_ += taken;
    if (here.live.bytes > here.totals.peak.bytes) here.totals.peak = here.live;
    if (live_.bytes <= peak_.bytes) return;
    peak_ = live_;
    peak_time_ns_ = one.time_ns;
    if (!at_ns_) ++moment_;
  } else {
    here.totals.freed += taken;
    if (one.stack != no_stack) freed_[stack_pair(block.stack, one.stack)] += taken;
    if (block.thread != one.thread) here.totals.freed_elsewhere += taken;
    here.totals.lifetime_ns += one.time_ns > block.time_ns ? one.time_ns - block.time_ns : 0;
    here.live -= taken;
    live_ -= taken;
  }
}

void stack_totals::take_alive(std::uint32_t stack, std::uint64_t bytes) {
  open_stack& here = site(stack);
  const block_amount taken{1, bytes};
  here.totals.at_begin += taken;
  here.live += taken;
  here.totals.peak = here.live;
  live_ += taken;
  peak_ = live_;
}

void stack_totals::take_sum(std::uint32_t stack, const block_amount& allocated, const block_amount& live) {
  open_stack& here = site(stack);
  here.totals.allocated += allocated;
  here.live += live;
  here.totals.peak = here.live;
  live_ += live;
  peak_ = live_;
}

void stack_totals::add_life(std::uint32_t stack, std::uint64_t begin_ns, std::uint64_t end_ns) {
  if (end_ns >= begin_ns) site(stack).totals.lifetime_ns += end_ns - begin_ns;
}

void stack_totals::close() {
  // The end is later than every moment asked for that has not come.
  if (at_ns_ && !is_past_) ++moment_;
  for (open_stack& one : sites_) {
    put_down(one);
    one.totals.at_end = one.live;
  }
}

bool stack_totals::has(std::uint32_t stack) const {
  const open_stack& one = sites_[stack];
  return one.totals.allocated.blocks + one.totals.at_begin.blocks + one.live.blocks != 0;
}

void told_totals::write(const std::function<void(std::span<const std::uint8_t>)>& write) const {
  std::size_t stack = 0, pair = 0;
  byte_writer part;
  do {
    part.clear();
    const std::size_t stack_end = std::min(stacks.size(), stack + rows_in_a_part);
    const std::size_t pair_end = std::min(freed.size(), pair + rows_in_a_part);
    part.number(stack_end - stack);
    std::uint32_t last = 0;
    for (; stack < stack_end; ++stack) {
      part.signed_number(std::int64_t{stacks[stack].first} - last);
      last = stacks[stack].first;
      for (const amount figure : told_amounts) write_amount(part, stacks[stack].second.*figure);
      part.number(stacks[stack].second.lifetime_ns);
    }
    part.number(pair_end - pair);
    for (; pair < pair_end; ++pair) {
      part.number(freed[pair].first >> 32);
      part.number(freed[pair].first & 0xffff'ffff);
      write_amount(part, freed[pair].second);
    }
    const bool is_last = stack == stacks.size() && pair == freed.size();
    part.number(is_last ? 1 : 0);
    if (is_last) {
      for (const std::uint64_t figure : {events, stray_frees, last_event_ns, peak_time_ns}) part.number(figure);
      write_amount(part, peak);
      part.number(moments.size());
      for (const moment_total& one : moments) {
        part.number(one.time_ns);
        write_amount(part, one.live);
        part.number(one.usable_bytes);
      }
    }
    write(part.bytes());
  } while (stack < stacks.size() || pair < freed.size());
}

bool told_totals::take(byte_reader from, std::uint64_t stack_limit) {
  if (is_whole) return false;
  std::uint64_t last = 0;
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t number = last + static_cast<std::uint64_t>(from.signed_number());
    if (number >= stack_limit) return false;
    last = number;
    stack_total one;
    for (const amount figure : told_amounts) one.*figure = read_amount(from);
    one.lifetime_ns = from.number();
    one.at_end = one.allocated;
    one.at_end -= one.freed;
    stacks.emplace_back(static_cast<std::uint32_t>(number), one);
  }
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t allocated = from.number_below(stack_limit), freed_on = from.number_below(stack_limit);
    const std::uint64_t stacks_of =
        stack_pair(static_cast<std::uint32_t>(allocated), static_cast<std::uint32_t>(freed_on));
    const block_amount taken = read_amount(from);
    if (from.ok()) freed.emplace_back(stacks_of, taken);
  }
  const bool is_last = from.number_below(2) != 0;
  if (is_last) {
    for (std::uint64_t* figure : {&events, &stray_frees, &last_event_ns, &peak_time_ns}) *figure = from.number();
    peak = read_amount(from);
    for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
      moment_total one;
      one.time_ns = from.number();
      one.live = read_amount(from);
      one.usable_bytes = from.number();
      moments.push_back(one);
    }
  }
  is_whole = is_last && from.ok();
  return from.ok();
}

}  // namespace tenure::record
