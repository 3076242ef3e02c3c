#include "instruments/import/pprof.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "instruments/import/pprof_message.h"

namespace tenure::importing {
namespace {

constexpr std::size_t frame_limit = 1024;

// Where the values that are wanted stand in each sample.
struct columns {
  std::optional<std::size_t> live_blocks, live_bytes, allocated_blocks, allocated_bytes;

  bool has_live() const { return live_blocks && live_bytes; }
  bool has_allocated() const { return allocated_blocks && allocated_bytes; }
};

columns columns_of(const pprof_profile& profile) {
  columns found;
  for (std::size_t i = 0; i < profile.types.size(); ++i) {
    const std::string_view name = profile.text(profile.types[i].type);
    if (name == "inuse_objects" || name == "objects") found.live_blocks = i;
    if (name == "inuse_space" || name == "space") found.live_bytes = i;
    if (name == "alloc_objects") found.allocated_blocks = i;
    if (name == "alloc_space") found.allocated_bytes = i;
  }
  return found;
}

std::string types_text(const pprof_profile& profile) {
  std::string text;
  for (const pprof_profile::value_type& one : profile.types)
    text += (text.empty() ? "" : ", ") + profile.text(one.type);
  return text;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The message, put together by its ids.
class pprof_reader {
 public:
  pprof_reader(const pprof_profile& profile, imported_run& into, symbols::symbolizer& symbolizer)
      : profile_(profile), into_(into), symbolizer_(symbolizer) {
    for (const auto& one : profile.mappings) mappings_.emplace(one.id, &one);
    for (const auto& one : profile.functions) functions_.emplace(one.id, &one);
    for (const auto& one : profile.locations) locations_.emplace(one.id, &one);
  }

  std::expected<void, std::string> take(const columns& of) {
    for (const pprof_profile::sample& one : profile_.samples) {
      if (one.values.size() != profile_.types.size()) return std::unexpected("a sample of it has values of no type");
      const auto value = [&](const std::optional<std::size_t>& column) { return column ? one.values[*column] : 0; };
      const collect::stack_sum sum{0, value(of.allocated_blocks), value(of.allocated_bytes), value(of.live_blocks),
                                   value(of.live_bytes)};
      for (const std::uint64_t figure : {sum.allocated_blocks, sum.allocated_bytes, sum.live_blocks, sum.live_bytes})
        if (figure >> 63 != 0) return std::unexpected("it has values below zero: it is the difference of two profiles");
      const auto stack = stack_of(one.locations);
      if (!stack) return std::unexpected("a sample of it names a place that is not in it");
      into_.add_sum(*stack, sum);
    }
    return {};
  }

 private:
  std::optional<std::uint32_t> stack_of(const std::vector<std::uint64_t>& ids) {
    std::vector<std::uint32_t> locations;
    for (const std::uint64_t id : ids) {
      if (locations.size() == frame_limit) break;
      const auto number = location_of(id);
      if (!number) return std::nullopt;
      locations.push_back(*number);
    }
    const auto end = ids.size() > frame_limit ? collect::stack_end::limit : collect::stack_end::complete;
    const auto [place, is_new] = stacks_.try_emplace(locations);
    if (is_new) place->second = into_.add_stack(std::move(locations), end);
    return place->second;
  }

  std::optional<std::uint32_t> location_of(std::uint64_t id) {
    const auto [place, is_new] = numbers_.try_emplace(id, collect::no_index);
    if (!is_new) return place->second;
    const auto found = locations_.find(id);
    if (found == locations_.end()) return std::nullopt;
    const pprof_profile::location& of = *found->second;
    symbols::module module;
    if (const auto mapping = mappings_.find(of.mapping); mapping != mappings_.end())
      module = module_of(*mapping->second);
    std::vector<symbols::frame> frames;
    for (const pprof_profile::line& line : of.lines) {
      if (frames.size() == frame_limit) break;
      frames.push_back(frame_of(line));
      frames.back().is_inlined = true;
    }
    // A profile has the address of the call, a recording the one behind it. Where there is nothing but an address, the
    // file tells, or it says at least where it lies in the file.
    if (frames.empty() && module.end != 0) frames = symbolizer_.resolve(module, of.address + 1);
    if (frames.empty()) frames.push_back({.function = fmt::format("0x{:x}", of.address)});
    frames.back().is_inlined = false;
    const std::uint32_t number = module.path.empty() ? collect::no_index : into_.add_module(std::move(module));
    place->second = into_.add_location(number, of.address + 1, frames);
    return place->second;
  }

  symbols::module module_of(const pprof_profile::mapping& of) const {
    symbols::module one{.path = profile_.text(of.file),
                        .build_id = profile_.text(of.build_id),
                        .begin = of.begin,
                        .end = of.end,
                        .bias = of.begin - of.offset};
    // A file may be mapped elsewhere than it lies in itself; only the file says so.
    if (const auto address = symbolizer_.address_at(one, of.offset)) one.bias = of.begin - *address;
    return one;
  }

  symbols::frame frame_of(const pprof_profile::line& line) const {
    symbols::frame one;
    one.line = line.number < collect::no_index ? static_cast<std::uint32_t>(line.number) : 0;
    if (const auto found = functions_.find(line.function); found != functions_.end()) {
      one.function = profile_.text(found->second->name);
      one.file = profile_.text(found->second->file);
      one.system_name = profile_.text(found->second->system_name);
      if (one.function.empty()) one.function = one.system_name;
      if (one.system_name == one.function) one.system_name.clear();
    }
    one.is_named = !one.function.empty();
    if (!one.is_named) one.function = "?";
    return one;
  }

  const pprof_profile& profile_;
  imported_run& into_;
  symbols::symbolizer& symbolizer_;
  std::unordered_map<std::uint64_t, const pprof_profile::mapping*> mappings_;  // by id; likewise below
  std::unordered_map<std::uint64_t, const pprof_profile::function*> functions_;
  std::unordered_map<std::uint64_t, const pprof_profile::location*> locations_;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;  // in the recording, by location's id
  std::map<std::vector<std::uint32_t>, std::uint32_t> stacks_;
};

collect::recording_source source_of(const pprof_profile& profile, const columns& of) {
  collect::recording_source source;
  source.tool = "a pprof profile";
  source.gaps = collect::gap_lives | collect::gap_threads | collect::gap_times | collect::gap_sizes;
  if (!of.has_allocated()) source.gaps |= collect::gap_allocated;
  if (profile.text(profile.period_type.type) == "space" && profile.period > 1 && profile.period >> 63 == 0)
    source.sample_interval_bytes = profile.period;
  return source;
}

}  // namespace

std::expected<bool, std::string> read_pprof(std::span<const std::uint8_t> bytes, imported_run& into,
                                            symbols::symbolizer& symbolizer) {
  const auto profile = parse_pprof(bytes);
  if (!profile) return std::unexpected("it is neither heaptrack's data nor a pprof profile");
  const columns of = columns_of(*profile);
  if (!of.has_live())
    return std::unexpected(
        fmt::format("it is a pprof profile without inuse_objects and inuse_space; it has {}", types_text(*profile)));
  into.set_source(source_of(*profile, of));
  // The first mapping is the program's.
  const std::string& program = profile->text(profile->mappings.empty() ? 0 : profile->mappings.front().file);
  into.set_executable(program);
  into.set_command({program.empty() ? "a program without a name" : std::string(base_name(program))});
  if (const auto taken = pprof_reader(*profile, into, symbolizer).take(of); !taken)
    return std::unexpected(taken.error());
  if (into.stacks() == 0) return std::unexpected("it is a pprof profile without a sample");
  return into.finish(0);
}

}  // namespace tenure::importing
