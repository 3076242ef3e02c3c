#include "instruments/export/heaptrack.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "instruments/export/exact_stacks.h"

namespace tenure::exporting {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::size_t piece_bytes = 256 * 1024;
// The oldest heaptrack that writes this version of the format so.
constexpr std::string_view file_head = "v 10400 3\n";

class heaptrack_writer {
 public:
  heaptrack_writer(analyze::recording_walk& walk, std::size_t index, const text_sink& sink)
      : walk_(walk), index_(index), sink_(sink), record_(walk.process(index).profile.record) {
    std::string command;
    for (const std::string& word : record_.command_line) command += (command.empty() ? "" : " ") + word;
    std::replace(command.begin(), command.end(), '\n', ' ');
    text_ = file_head;
    add("X {}\n", command);
    text_of(record_.executable);
  }

  // A block that was alive where the recording begins. They come slot by slot, and are told by their age.
  void take_alive(const record::event& one, const analyze::live_block& block) { alive_.emplace_back(one, block); }

  void operator()(std::size_t process, const record::event& one, const analyze::live_block& block) {
    if (process != index_ || has_failed_) return;
    tell_alive();
    tell_event(one, block);
  }

  bool finish() {
    tell_alive();
    tell_time(walk_.process(index_).last_ns);
    hand_on();
    return !has_failed_;
  }

 private:
  void tell_alive() {
    if (alive_.empty()) return;
    const auto alive = std::exchange(alive_, {});
    std::vector<const alive_block*> order;
    for (const alive_block& one : alive) order.push_back(&one);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto* a, const auto* b) { return a->first.time_ns < b->first.time_ns; });
    for (const alive_block* const one : order) tell_event(one->first, one->second);
  }

  void tell_event(const record::event& one, const analyze::live_block& block) {
    tell_time(one.time_ns);
    if (one.slot >= kinds_of_slots_.size()) kinds_of_slots_.resize(one.slot + std::size_t{1});
    if (one.kind == record::event_kind::allocation) {
      const std::uint32_t kind = kinds_of_slots_[one.slot] = kind_of(block);
      add("+ {:x}\n", kind);
    } else {
      add("- {:x}\n", kinds_of_slots_[one.slot]);
    }
    if (text_.size() >= piece_bytes) hand_on();
  }

  template <class... Values>
  void add(fmt::format_string<const Values&...> format, const Values&... values) {
    fmt::format_to(std::back_inserter(text_), format, values...);
  }

  void hand_on() {
    has_failed_ = has_failed_ || !sink_(text_);
    text_.clear();
    if (has_failed_) walk_.stop();
  }

  void tell_time(std::uint64_t now_ns) {
    const std::uint64_t since_ms = now_ns > record_.start_ns ? (now_ns - record_.start_ns) / ns_per_ms : 0;
    if (since_ms <= time_ms_) return;
    time_ms_ = since_ms;
    add("c {:x}\n", since_ms);
  }

  // 0, the empty one, is not written.
  std::uint32_t text_of(std::string_view text) {
    if (text.empty()) return 0;
    const auto [place, is_new] = texts_.try_emplace(std::string(text), static_cast<std::uint32_t>(texts_.size() + 1));
    if (is_new) {
      std::string line(text);
      std::replace(line.begin(), line.end(), '\n', ' ');
      add("s {:x} {}\n", line.size(), line);
    }
    return place->second;
  }

  // Of what is known in words alone.
  std::uint32_t place_of(std::string_view words) {
    const std::uint32_t function = text_of(words);
    const auto [place, is_new] = named_places_.try_emplace(std::string(words), place_count_ + 1);
    if (is_new) {
      ++place_count_;
      add("i 0 0 {:x}\n", function);
    }
    return place->second;
  }

  std::uint32_t place_of(std::uint32_t location) {
    if (location >= places_.size()) places_.resize(location + std::size_t{1});
    if (places_[location] != 0) return places_[location];
    const collect::location& at = record_.locations[location];
    // Of the call, not of what follows it.
    std::string line = fmt::format("i {:x} {:x}", at.address - 1,
                                   at.module == analyze::no_index ? 0 : text_of(record_.modules[at.module].path));
    for (const analyze::frame& one : walk_.frames(index_).at(location))
      line += one.file.empty() ? fmt::format(" {:x} 0 0", text_of(one.function))
                               : fmt::format(" {:x} {:x} {:x}", text_of(one.function), text_of(one.file), one.line);
    add("{}\n", line);
    return places_[location] = ++place_count_;
  }

  std::uint32_t trace_of_place(std::uint32_t place, std::uint32_t caller) {
    const std::uint64_t key = std::uint64_t{place} << 32 | caller;
    const auto [trace, is_new] = traces_.try_emplace(key, static_cast<std::uint32_t>(traces_.size() + 1));
    if (is_new) add("t {:x} {:x}\n", place, caller);
    return trace->second;
  }

  // Of a whole stack, without the heap's own frames.
  std::uint32_t trace_of(std::uint32_t stack) {
    if (stack >= traces_of_stacks_.size()) traces_of_stacks_.resize(stack + std::size_t{1});
    if (traces_of_stacks_[stack] != 0) return traces_of_stacks_[stack];
    std::uint32_t trace = 0;
    if (is_cut_off(walk_.process(index_).profile, stack)) trace = trace_of_place(place_of(more_frames), trace);
    const auto& locations = record_.stacks[stack].locations;
    for (auto one = locations.rbegin(); one != locations.rend(); ++one) {
      const std::uint32_t module = record_.locations[*one].module;
      if (module != analyze::no_index && is_heap(record_.modules[module])) continue;
      trace = trace_of_place(place_of(*one), trace);
    }
    if (trace == 0) trace = trace_of_place(place_of(no_frames), 0);
    return traces_of_stacks_[stack] = trace;
  }

  std::uint32_t kind_of(const analyze::live_block& block) {
    const std::uint32_t trace = trace_of(block.stack);
    if (trace >= kinds_.size()) kinds_.resize(trace + std::size_t{1});
    const auto [kind, is_new] = kinds_[trace].try_emplace(block.bytes, kind_count_);
    if (is_new) {
      ++kind_count_;
      add("a {:x} {:x}\n", block.bytes, trace);
    }
    return kind->second;
  }

  using alive_block = std::pair<record::event, analyze::live_block>;

  analyze::recording_walk& walk_;
  std::size_t index_;
  const text_sink& sink_;
  const collect::process_record& record_;
  std::vector<alive_block> alive_;
  std::string text_;  // what has not been handed on yet
  bool has_failed_ = false;
  std::uint64_t time_ms_ = 0;
  std::unordered_map<std::string, std::uint32_t> texts_;
  std::unordered_map<std::string, std::uint32_t> named_places_;
  std::vector<std::uint32_t> places_;  // by location; 0: not written yet; likewise below
  std::uint32_t place_count_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> traces_;  // by place and caller
  std::vector<std::uint32_t> traces_of_stacks_;
  std::vector<std::unordered_map<std::uint64_t, std::uint32_t>> kinds_;  // by trace, then by bytes
  std::uint32_t kind_count_ = 0;
  std::vector<std::uint32_t> kinds_of_slots_;
};

}  // namespace

bool write_heaptrack(analyze::recording_walk& walk, std::size_t index, const text_sink& sink) {
  heaptrack_writer writer(walk, index, sink);
  walk.run(writer, [&](std::size_t process, const record::event& one, const analyze::live_block& block, bool is_taken) {
    if (process == index && is_taken) writer.take_alive(one, block);
  });
  return writer.finish();
}

}  // namespace tenure::exporting
