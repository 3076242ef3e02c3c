#include "instruments/import/heaptrack.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "instruments/import/heaptrack_limits.h"

namespace tenure::importing {
namespace {

constexpr std::size_t line_limit = 4 << 20;
constexpr std::uint64_t newest_version = 3;
constexpr std::uint64_t first_with_lengths = 3;  // of texts
constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t time_limit_ms = 1ull << 40;  // a thousand years
constexpr std::string_view attached_note =
    "heaptrack was attached to the program: what it allocated before is not told";
constexpr std::uint64_t timer_ns = 10 * ns_per_ms;  // how often heaptrack tells the time

// heaptrack puts the words together with a blank between.
std::vector<std::string> words_of(std::string_view command) {
  std::vector<std::string> words;
  while (!command.empty()) {
    const std::size_t end = std::min(command.find(' '), command.size());
    if (end != 0) words.emplace_back(command.substr(0, end));
    command.remove_prefix(std::min(end + 1, command.size()));
  }
  return words;
}

}  // namespace

std::unexpected<std::string> heaptrack_reader::nonsense(std::string_view why) const {
  return std::unexpected(fmt::format("line {} makes no sense{}{}", lines_, why.empty() ? "" : ": ", why));
}

std::expected<void, std::string> heaptrack_reader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (end == std::string_view::npos || !pending_.empty()) {
      pending_ += piece;
      if (pending_.size() > line_limit)
        return std::unexpected(fmt::format("line {} is longer than any of heaptrack's", lines_ + 1));
    }
    if (end == std::string_view::npos) return {};
    bytes.remove_prefix(end + 1);
    ++lines_;
    if (const outcome taken = take(pending_.empty() ? piece : std::string_view(pending_)); !taken) return taken;
    pending_.clear();
  }
  return {};
}

std::expected<bool, std::string> heaptrack_reader::finish() {
  if (!pending_.empty()) return std::unexpected("it is cut off within a line");
  if (version_ == 0) return std::unexpected("it does not say its version");
  if (into_.allocations() == 0) return std::unexpected("it tells no allocation");
  return into_.finish(time_ns_);
}

std::expected<void, std::string> heaptrack_reader::take(std::string_view line) {
  const char letter = line.empty() ? '#' : line.front();
  const bool has_rest = line.size() > 1 && line[1] == ' ';
  const std::string_view rest = has_rest ? line.substr(2) : std::string_view{};
  if (version_ == 0)
    return letter == 'v' && has_rest ? take_version(heaptrack_numbers(rest)) : nonsense("its version is missing");
  if (is_command_open_ && !ends_command(letter, rest)) {
    command_ += fmt::format(" {}", line);
    return {};
  }
  if (std::exchange(is_command_open_, false)) into_.set_command(words_of(command_));
  if (raw_ && letter != 'X' && letter != 'c') return take_raw(*raw_, letter, rest);
  switch (letter) {
    case '+':
    case '-': {
      heaptrack_numbers from(rest);
      const std::uint64_t kind = from.next();
      return from.ok() && from.is_at_end() ? take_change(letter, kind) : nonsense();
    }
    case 's':
      return take_text(rest);
    case 'i':
      return take_place(heaptrack_numbers(rest));
    case 't':
      return take_trace(heaptrack_numbers(rest));
    case 'a':
      return take_kind(heaptrack_numbers(rest));
    case 'c':
      return take_time(heaptrack_numbers(rest));
    case 'X':
      command_ = rest;
      is_command_open_ = true;
      return {};
    case 'A':
      into_.add_note(std::string(attached_note));
      return {};
    case 'x': {
      if (texts_.size() != 1) return nonsense();
      heaptrack_raw& raw = raw_.emplace(into_, symbolizer_);
      source_.gaps &= ~std::uint64_t{collect::gap_lives};
      into_.set_source(source_);
      return take_raw(raw, letter, rest);
    }
    case 'I':  // the machine's memory
    case 'R':  // resident pages
    case 'S':  // suppressions, which are for reports
    case '#':
      return {};
    default:
      return nonsense("it begins as no line of heaptrack's does");
  }
}

std::expected<void, std::string> heaptrack_reader::take_raw(heaptrack_raw& raw, char letter, std::string_view rest) {
  const bool has_lengths = version_ >= first_with_lengths;
  heaptrack_numbers from(rest);
  bool makes_sense = true;
  switch (letter) {
    case 'x':
      makes_sense = raw.take_program(has_lengths ? from.text(from.next()) : rest) && from.ok();
      break;
    case 'm':
      makes_sense = raw.take_module(rest, has_lengths);
      break;
    case 't':
      makes_sense = raw.take_trace(from);
      break;
    case '+':
      makes_sense = raw.take_allocation(from, time_ns_);
      break;
    case '-':
      makes_sense = raw.take_free(from, time_ns_);
      break;
    case 'A':
      into_.add_note(std::string(attached_note));
      break;
    case 'I':
    case 'R':
    case 'S':
    case '#':
      break;
    default:
      makes_sense = false;
  }
  if (!makes_sense) return nonsense();
  if (into_.has_failed()) return std::unexpected("");
  return {};
}

// Words of the command may hold line breaks, and what follows one may look like a line of the file.
bool heaptrack_reader::ends_command(char letter, std::string_view rest) const {
  heaptrack_numbers from(rest);
  if (letter == 'I') {  // how large a page is, and how many there are
    from.next();
    from.next();
    return from.ok() && from.is_at_end();
  }
  if (letter != 's') return false;
  if (version_ < first_with_lengths) return true;
  const std::uint64_t length = from.next();
  return from.ok() && length == from.rest().size();
}

std::expected<void, std::string> heaptrack_reader::take_version(heaptrack_numbers from) {
  const std::uint64_t tool = from.next();
  version_ = from.is_at_end() ? 0 : from.next();
  if (!from.ok()) return nonsense("its version is missing");
  if (version_ == 0) return std::unexpected("it is of a heaptrack older than 1.0, whose format is not known");
  if (version_ > newest_version)
    return std::unexpected(fmt::format("it has version {} of heaptrack's format, and {} is the newest that is known",
                                       version_, newest_version));
  source_ = {.tool = fmt::format("heaptrack {}.{}.{}", tool >> 16 & 0xff, tool >> 8 & 0xff, tool & 0xff),
             .gaps = collect::gap_lives | collect::gap_threads,
             .time_step_ns = timer_ns};
  into_.set_source(source_);
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_text(std::string_view text) {
  if (version_ >= first_with_lengths) {
    heaptrack_numbers from(text);
    const std::uint64_t length = from.next();
    text = from.rest();
    if (!from.ok() || length != text.size()) return nonsense("a text is not as long as it says");
  }
  texts_.emplace_back(text);
  // The first one is the program's own file.
  if (texts_.size() == 2) into_.set_executable(texts_.back());
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_place(heaptrack_numbers from) {
  const std::uint64_t address = from.next();
  const std::uint64_t module = from.is_at_end() ? 0 : from.next_below(texts_.size());
  std::vector<symbols::frame> frames;
  while (from.ok() && !from.is_at_end() && frames.size() < heaptrack_frame_limit) {
    symbols::frame one;
    one.function = texts_[from.next_below(texts_.size())];
    one.is_named = !one.function.empty();
    if (!from.is_at_end()) {
      one.file = texts_[from.next_below(texts_.size())];
      one.line = static_cast<std::uint32_t>(from.is_at_end() ? 0 : from.next_below(collect::no_index));
    }
    one.is_inlined = !from.is_at_end();
    name_bytes_ += one.function.size() + one.file.size();
    if (name_bytes_ > heaptrack_name_limit_bytes) return nonsense("the names of all places are longer than 512 MiB");
    frames.push_back(std::move(one));
  }
  if (!from.ok() || !from.is_at_end()) return nonsense();
  if (frames.empty()) frames.emplace_back();
  for (symbols::frame& one : frames)
    if (!one.is_named) one.function = fmt::format("0x{:x}", address);
  const std::uint32_t number = module == 0 ? collect::no_index : into_.add_module({.path = texts_[module]});
  places_.push_back(into_.add_location(number, address, frames));
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_trace(heaptrack_numbers from) {
  const std::uint64_t place = from.next_below(places_.size());
  const std::uint64_t parent = from.next_below(traces_.size());
  if (!from.ok() || !from.is_at_end() || place == 0) return nonsense();
  traces_.add(places_[place], static_cast<std::uint32_t>(parent));
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_kind(heaptrack_numbers from) {
  const std::uint64_t bytes = from.next_below(heaptrack_block_limit_bytes);
  const std::uint64_t trace = from.next_below(traces_.size());
  if (!from.ok() || !from.is_at_end()) return nonsense();
  kinds_.push_back({bytes, traces_.stack_of(trace), {}});
  if (traces_.are_too_many()) return nonsense("its stacks have more than 64 million frames");
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_time(heaptrack_numbers from) {
  const std::uint64_t now_ms = from.next_below(time_limit_ms);
  if (!from.ok() || !from.is_at_end()) return nonsense();
  time_ns_ = std::max(time_ns_, now_ms * ns_per_ms);
  return {};
}

std::expected<void, std::string> heaptrack_reader::take_change(char letter, std::uint64_t kind) {
  if (kind >= kinds_.size()) return nonsense("it names a block that was not told");
  block_kind& of = kinds_[kind];
  if (letter == '+') {
    allocated_bytes_ += of.bytes;
    if (allocated_bytes_ > heaptrack_allocated_limit_bytes) return nonsense("more was allocated than any program can");
    of.slots.push_back(into_.allocate(time_ns_, of.stack, of.bytes));
  } else if (of.slots.empty()) {
    into_.free_of_unknown(time_ns_);
  } else {
    into_.free(time_ns_, of.slots.back());
    of.slots.pop_back();
  }
  if (into_.has_failed()) return std::unexpected("");
  return {};
}

}  // namespace tenure::importing
