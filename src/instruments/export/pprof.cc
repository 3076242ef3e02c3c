#include "instruments/export/pprof.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <protozero/pbf_writer.hpp>
#include <set>
#include <tuple>
#include <unordered_map>

#include "instruments/analyze/aggregate.h"
#include "instruments/export/exact_stacks.h"
#include "instruments/export/gzip.h"

namespace tenure::exporting {
namespace {

using analyze::process_profile;

// Field numbers of profile.proto.
namespace profile_field {
constexpr protozero::pbf_tag_type sample_type = 1, sample = 2, mapping = 3, location = 4, function = 5, string = 6,
                                  drop_frames = 7, time_nanos = 9, duration_nanos = 10, period_type = 11, period = 12,
                                  comment = 13, default_sample_type = 14;
}
namespace value_type_field {
constexpr protozero::pbf_tag_type type = 1, unit = 2;
}
namespace sample_field {
constexpr protozero::pbf_tag_type location_id = 1, value = 2, label = 3;
}
namespace label_field {
constexpr protozero::pbf_tag_type key = 1, text = 2, number = 3, number_unit = 4;
}
namespace mapping_field {
constexpr protozero::pbf_tag_type id = 1, begin = 2, end = 3, offset = 4, file = 5, build_id = 6, has_functions = 7,
                                  has_files = 8, has_lines = 9, has_inlines = 10;
}
namespace location_field {
constexpr protozero::pbf_tag_type id = 1, mapping_id = 2, address = 3, line = 4;
}
namespace line_field {
constexpr protozero::pbf_tag_type function_id = 1, line = 2;
}
namespace function_field {
constexpr protozero::pbf_tag_type id = 1, name = 2, system_name = 3, file = 4;
}

// The names by which the heap is entered, for programs that it is linked into.
constexpr const char* entry_points =
    "tenure::(core|os|telemetry)::.*|malloc|calloc|realloc|memalign|valloc|pvalloc|reallocarray|aligned_alloc|"
    "posix_memalign|operator new(\\[\\])?";

// pprof holds the expression against a name without its parameters.
std::string without_parameters(const std::string& function) {
  std::size_t at = 0;
  while ((at = function.find('(', at)) != std::string::npos) {
    const bool is_name = function.compare(at, 21, "(anonymous namespace)") == 0 ||
                         (at >= 8 && function.compare(at - 8, 10, "operator()") == 0);
    if (!is_name) return function.substr(0, at);
    ++at;
  }
  return function;
}

std::string as_expression(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

// What becomes one pprof sample. Without a thread or size, it has no such label.
struct row {
  std::uint32_t stack = analyze::no_index;
  std::uint32_t thread = analyze::no_index;
  std::optional<std::uint64_t> requested_bytes;
  std::array<std::int64_t, 6> values{};  // in the order of the sample types
};

// One process, from samples or from a recording.
struct source {
  const process_profile* process = nullptr;
  std::vector<row> rows;
  std::uint64_t interval_bytes = 0;
  bool knows_frees = false;
};

// Whatever was seen of the heap's own library, and the entry points. pprof drops what lies inward of a match as well.
std::string heap_frames(const std::vector<source>& sources) {
  std::set<std::string> names;
  for (const source& from : sources) {
    const process_profile& process = *from.process;
    for (std::size_t i = 0; i < process.frames.size(); ++i) {
      const std::uint32_t module = process.record.locations[i].module;
      if (module >= process.record.modules.size() || !is_heap(process.record.modules[module])) continue;
      for (const analyze::frame& frame : process.frames[i]) {
        if (frame.is_named) names.insert(as_expression(without_parameters(frame.function)));
      }
    }
  }
  std::string expression = entry_points;
  for (const std::string& name : names) expression += "|" + name;
  return expression;
}

struct values {
  double allocated_blocks = 0, allocated_bytes = 0, in_use_blocks = 0, in_use_bytes = 0;
};

// Stack, requested bytes, thread: what the samples of one pprof sample have in common.
using sample_key = std::tuple<std::uint32_t, std::uint64_t, std::uint32_t>;

std::vector<row> rows_of(const process_profile& process, bool at_peak) {
  const std::vector<collect::sample>& samples = process.record.samples;
  const analyze::replay course = analyze::replay_samples(samples);
  std::map<sample_key, values> sums;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const collect::sample& one = samples[i];
    const analyze::amount weight = analyze::weight_of(one);
    values& sum = sums[{one.stack, one.requested_bytes, one.thread}];
    if (!one.is_inherited) {
      sum.allocated_blocks += weight.blocks.value;
      sum.allocated_bytes += weight.bytes.value;
    }
    if (at_peak ? !course.live_at_peak[i] : one.is_freed()) continue;
    sum.in_use_blocks += weight.blocks.value;
    sum.in_use_bytes += weight.bytes.value;
  }
  std::vector<row> rows;
  for (const auto& [key, sum] : sums) {
    const auto [stack, requested_bytes, thread] = key;
    rows.push_back({stack,
                    thread,
                    requested_bytes,
                    {std::llround(sum.allocated_blocks), std::llround(sum.allocated_bytes),
                     std::llround(sum.in_use_blocks), std::llround(sum.in_use_bytes)}});
  }
  return rows;
}

std::vector<row> rows_of(const analyze::exact_process& process, bool at_peak) {
  std::vector<row> rows;
  for (const analyze::exact_site& site : process.sites) {
    const analyze::exact_amount& in_use = at_peak ? site.at_moment : site.at_end;
    rows.push_back({site.stack,
                    analyze::no_index,
                    std::nullopt,
                    {static_cast<std::int64_t>(site.allocated.blocks), static_cast<std::int64_t>(site.allocated.bytes),
                     static_cast<std::int64_t>(in_use.blocks), static_cast<std::int64_t>(in_use.bytes)}});
  }
  for (const analyze::exact_free& one : process.frees)
    rows.push_back(
        {one.stack,
         analyze::no_index,
         std::nullopt,
         {0, 0, 0, 0, static_cast<std::int64_t>(one.amount.blocks), static_cast<std::int64_t>(one.amount.bytes)}});
  return rows;
}

class pprof_writer {
 public:
  // The first source is the main program's.
  pprof_writer(const std::vector<source>& sources, const pprof_options& options)
      : sources_(sources),
        options_(options),
        knows_frees_(std::any_of(sources.begin(), sources.end(), [](const source& one) { return one.knows_frees; })) {
    string("");  // the table begins with it
  }

  std::string write() {
    write_types();
    for (const source& from : sources_) write_process(from);
    write_facts();
    for (const std::string& text : strings_) writer_.add_string(profile_field::string, text);
    return std::move(content_);
  }

 private:
  std::int64_t string(const std::string& text) {
    const auto [place, is_new] = string_ids_.try_emplace(text, static_cast<std::int64_t>(strings_.size()));
    if (is_new) strings_.push_back(text);
    return place->second;
  }

  void write_value_type(protozero::pbf_tag_type field, const char* type, const char* unit) {
    const std::int64_t type_id = string(type), unit_id = string(unit);
    protozero::pbf_writer message(writer_, field);
    message.add_int64(value_type_field::type, type_id);
    message.add_int64(value_type_field::unit, unit_id);
  }

  void write_types() {
    write_value_type(profile_field::sample_type, "alloc_objects", "count");
    write_value_type(profile_field::sample_type, "alloc_space", "bytes");
    write_value_type(profile_field::sample_type, "inuse_objects", "count");
    write_value_type(profile_field::sample_type, "inuse_space", "bytes");
    if (knows_frees_) {
      write_value_type(profile_field::sample_type, "free_objects", "count");
      write_value_type(profile_field::sample_type, "free_space", "bytes");
    }
    write_value_type(profile_field::period_type, "space", "bytes");
  }

  void write_facts() {
    writer_.add_int64(profile_field::default_sample_type,
                      string(options_.shows_allocated ? "alloc_space" : "inuse_space"));
    writer_.add_int64(profile_field::drop_frames, string(heap_frames(sources_)));
    writer_.add_int64(profile_field::comment,
                      string(options_.at_peak ? "in use: at the peak of live bytes" : "in use: at the end"));
    if (sources_.empty()) return;
    const process_profile* const main = sources_.front().process;
    writer_.add_int64(profile_field::time_nanos, static_cast<std::int64_t>(main->record.start_realtime_ns));
    writer_.add_int64(profile_field::duration_nanos,
                      static_cast<std::int64_t>(main->record.end_ns - main->record.start_ns));
    writer_.add_int64(profile_field::period, static_cast<std::int64_t>(sources_.front().interval_bytes));
  }

  void write_process(const source& from) {
    const process_profile& process = *from.process;
    std::vector<std::uint64_t> mapping_ids(process.record.modules.size());
    const std::vector<std::uint32_t> order = executable_first(process);
    for (const std::uint32_t module : order) mapping_ids[module] = write_mapping(process, module);
    std::vector<std::uint64_t> location_ids(process.record.locations.size());
    for (const row& one : from.rows) {
      std::vector<std::uint64_t> ids;
      if (one.stack < process.record.stacks.size()) {
        for (const std::uint32_t location : process.record.stacks[one.stack].locations) {
          if (location_ids[location] == 0) location_ids[location] = write_location(process, location, mapping_ids);
          ids.push_back(location_ids[location]);
        }
      }
      write_sample(process, one, ids);
    }
  }

  static std::vector<std::uint32_t> executable_first(const process_profile& process) {
    std::vector<std::uint32_t> order(process.record.modules.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_partition(order.begin(), order.end(),
                          [&](std::uint32_t i) { return process.record.modules[i].path == process.record.executable; });
    return order;
  }

  // What is known of a mapping's frames; pprof looks up itself what is not.
  struct known_of_mapping {
    bool functions = false, files = false, lines = false, inlines = false;
  };

  static known_of_mapping known_of(const process_profile& process, std::uint32_t module) {
    known_of_mapping known;
    for (std::size_t i = 0; i < process.frames.size(); ++i) {
      if (process.record.locations[i].module != module) continue;
      for (const analyze::frame& frame : process.frames[i]) {
        known.functions |= frame.is_named;
        known.files |= !frame.file.empty();
        known.lines |= frame.line != 0;
        known.inlines |= frame.is_inlined;
      }
    }
    return known;
  }

  std::uint64_t write_mapping(const process_profile& process, std::uint32_t index) {
    const collect::module& of = process.record.modules[index];
    const known_of_mapping known = known_of(process, index);
    const std::int64_t file = string(of.path), build_id = string(of.build_id);
    protozero::pbf_writer message(writer_, profile_field::mapping);
    message.add_uint64(mapping_field::id, ++mapping_count_);
    message.add_uint64(mapping_field::begin, of.begin);
    message.add_uint64(mapping_field::end, of.end);
    message.add_uint64(mapping_field::offset, offset_of(process, of));
    message.add_int64(mapping_field::file, file);
    message.add_int64(mapping_field::build_id, build_id);
    message.add_bool(mapping_field::has_functions, known.functions);
    message.add_bool(mapping_field::has_files, known.files);
    message.add_bool(mapping_field::has_lines, known.lines);
    message.add_bool(mapping_field::has_inlines, known.inlines);
    return mapping_count_;
  }

  // As the kernel told it; a module's own range begins with its first segment, at offset 0.
  static std::uint64_t offset_of(const process_profile& process, const collect::module& of) {
    if (process.record.maps.empty()) return 0;
    for (const collect::mapping& mapped : process.record.maps.back().mappings) {
      if (mapped.begin == of.begin) return mapped.offset_bytes;
    }
    return 0;
  }

  std::uint64_t write_location(const process_profile& process, std::uint32_t index,
                               const std::vector<std::uint64_t>& mapping_ids) {
    const collect::location& place = process.record.locations[index];
    std::vector<std::pair<std::uint64_t, std::uint32_t>> lines;  // function, line
    if (index < process.frames.size()) {
      for (const analyze::frame& frame : process.frames[index]) {
        if (frame.is_named) lines.emplace_back(function(frame), frame.line);
      }
    }
    protozero::pbf_writer message(writer_, profile_field::location);
    message.add_uint64(location_field::id, ++location_count_);
    if (place.module < mapping_ids.size()) message.add_uint64(location_field::mapping_id, mapping_ids[place.module]);
    message.add_uint64(location_field::address, place.address - 1);  // of the call, not of what follows it
    for (const auto& [function_id, line] : lines) {
      protozero::pbf_writer part(message, location_field::line);
      part.add_uint64(line_field::function_id, function_id);
      part.add_int64(line_field::line, line);
    }
    return location_count_;
  }

  std::uint64_t function(const analyze::frame& frame) {
    const auto [place, is_new] =
        function_ids_.try_emplace({frame.function, frame.system_name, frame.file}, function_ids_.size() + 1);
    if (!is_new) return place->second;
    const std::int64_t name = string(frame.function), file = string(frame.file);
    const std::int64_t system_name = frame.system_name.empty() ? name : string(frame.system_name);
    protozero::pbf_writer message(writer_, profile_field::function);
    message.add_uint64(function_field::id, place->second);
    message.add_int64(function_field::name, name);
    message.add_int64(function_field::system_name, system_name);
    message.add_int64(function_field::file, file);
    return place->second;
  }

  void write_sample(const process_profile& process, const row& one, const std::vector<std::uint64_t>& locations) {
    const std::int64_t bytes_key = string("bytes"), bytes_unit = string("bytes");
    const std::int64_t thread_key = string("thread"), process_key = string("process");
    const std::int64_t process_text = string(process_name(process));
    const bool has_thread = one.thread < process.record.threads.size();
    const std::int64_t thread_name = has_thread ? string(name_of(process.record.threads[one.thread])) : 0;

    protozero::pbf_writer message(writer_, profile_field::sample);
    message.add_packed_uint64(sample_field::location_id, locations.begin(), locations.end());
    message.add_packed_int64(sample_field::value, one.values.begin(), one.values.end() - (knows_frees_ ? 0 : 2));
    if (one.requested_bytes) {
      protozero::pbf_writer label(message, sample_field::label);
      label.add_int64(label_field::key, bytes_key);
      label.add_int64(label_field::number, static_cast<std::int64_t>(*one.requested_bytes));
      label.add_int64(label_field::number_unit, bytes_unit);
    }
    if (has_thread) write_text_label(message, thread_key, thread_name);
    write_text_label(message, process_key, process_text);
  }

  static void write_text_label(protozero::pbf_writer& message, std::int64_t key, std::int64_t text) {
    protozero::pbf_writer label(message, sample_field::label);
    label.add_int64(label_field::key, key);
    label.add_int64(label_field::text, text);
  }

  static std::string name_of(const collect::thread& thread) {
    return (thread.name.empty() ? "thread" : thread.name) + " (" + std::to_string(thread.id) + ")";
  }

  const std::vector<source>& sources_;
  pprof_options options_;
  bool knows_frees_;  // then there are two sample types more
  std::string content_;
  protozero::pbf_writer writer_{content_};
  std::vector<std::string> strings_;
  std::unordered_map<std::string, std::int64_t> string_ids_;
  std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t> function_ids_;
  std::uint64_t mapping_count_ = 0;
  std::uint64_t location_count_ = 0;
};

std::expected<std::string, std::string> write(std::vector<source>& sources, std::uint32_t main,
                                              const pprof_options& options) {
  // pprof takes the first mapping for the main program's.
  if (main < sources.size()) std::rotate(sources.begin(), sources.begin() + main, sources.begin() + main + 1);
  auto compressed = gzip(pprof_writer(sources, options).write());
  if (!compressed) return std::unexpected("The pprof profile cannot be written: " + compressed.error());
  return compressed;
}

}  // namespace

std::expected<std::string, std::string> write_pprof(const analyze::profile& profile, const pprof_options& options) {
  std::vector<source> sources;
  for (const process_profile& process : profile.processes)
    sources.push_back({&process, rows_of(process, options.at_peak), process.record.sample_interval_bytes});
  return write(sources, profile.main_process, options);
}

std::expected<std::string, std::string> write_pprof(const analyze::exact_report& report, const pprof_options& options) {
  // Of an imported recording the figures may be estimates.
  const std::uint64_t interval_bytes =
      std::max<std::uint64_t>(1, report.source ? report.source->sample_interval_bytes : 1);
  std::vector<source> sources;
  for (const analyze::exact_process& process : report.processes)
    sources.push_back({&process.profile, rows_of(process, options.at_peak), interval_bytes, !process.frees.empty()});
  return write(sources, main_process_of(report), options);
}

}  // namespace tenure::exporting
