#include "instruments/import/imported_run.h"

#include <algorithm>
#include <utility>

namespace tenure::importing {
namespace {

constexpr std::size_t events_in_a_block = 1u << 16;

}  // namespace

imported_run::imported_run(collect::recording_writer& writer)
    : writer_(writer), names_([this](std::span<const std::uint8_t> block) {
        begin();
        writer_.write_names(block);
      }) {
  process_.threads.emplace_back();
}

std::uint32_t imported_run::add_module(symbols::module one) {
  const auto [place, is_new] =
      modules_.try_emplace({one.path, one.begin}, static_cast<std::uint32_t>(process_.modules.size()));
  if (is_new) process_.modules.push_back(std::move(one));
  return place->second;
}

std::uint32_t imported_run::add_location(std::uint32_t module, std::uint64_t address,
                                         const std::vector<symbols::frame>& frames) {
  process_.locations.push_back({module, address});
  answers_.push_back(names_.add(frames));
  return static_cast<std::uint32_t>(process_.locations.size() - 1);
}

std::uint32_t imported_run::add_stack(std::vector<std::uint32_t> locations, collect::stack_end end) {
  process_.stacks.push_back({std::move(locations), end});
  return static_cast<std::uint32_t>(process_.stacks.size() - 1);
}

std::uint32_t imported_run::allocate(std::uint64_t time_ns, std::uint32_t stack, std::uint64_t bytes) {
  ++allocations_;
  record::event one;
  one.stack = stack;
  one.bytes = bytes;
  one.time_ns = time_ns;
  const std::uint32_t slot = slots_.take();
  push(one);
  return slot;
}

void imported_run::free(std::uint64_t time_ns, std::uint32_t slot) {
  ++frees_;
  slots_.give(slot);
  record::event one;
  one.kind = record::event_kind::free;
  one.slot = slot;
  one.time_ns = time_ns;
  push(one);
}

void imported_run::free_of_unknown(std::uint64_t time_ns) {
  record::event one;
  one.kind = record::event_kind::stray_free;
  one.time_ns = time_ns;
  push(one);
}

void imported_run::add_sum(std::uint32_t stack, const collect::stack_sum& sum) {
  if (stack >= sums_.size()) sums_.resize(stack + std::size_t{1});
  collect::stack_sum& into = sums_[stack];
  into.stack = stack;
  into.allocated_blocks += sum.allocated_blocks;
  into.allocated_bytes += sum.allocated_bytes;
  into.live_blocks += sum.live_blocks;
  into.live_bytes += sum.live_bytes;
  allocations_ += sum.allocated_blocks;
  live_bytes_ += sum.live_bytes;
}

void imported_run::push(const record::event& one) {
  events_.push_back(one);
  if (events_.size() == events_in_a_block) flush();
}

void imported_run::begin() {
  if (number_ != 0) return;
  writer_.begin_run({}, process_.command_line);
  writer_.write_source(source_);
  number_ = writer_.begin_process(process_);
}

void imported_run::flush() {
  begin();
  writer_.write_events(number_, process_, events_);
  events_.clear();
}

bool imported_run::finish(std::uint64_t end_ns) {
  flush();
  names_.flush();
  writer_.write_answers(number_, process_, answers_);
  writer_.write_sums(number_, sums_);
  process_.end = collect::process_end::exited;
  process_.end_ns = end_ns;
  writer_.end_process(number_, process_, {});
  collect::recording run;
  run.end_ns = end_ns;
  run.notes = notes_;
  writer_.end_run(run);
  return !writer_.error();
}

}  // namespace tenure::importing
