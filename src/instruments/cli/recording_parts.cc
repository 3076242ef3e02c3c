#include "instruments/cli/recording_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/analyze/losses.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {

std::string size_of(std::uint64_t bytes) { return analyze::format_bytes(static_cast<double>(bytes)); }

std::string pid_text(const collect::process_record& record) {
  return record.pid == 0 ? "not known" : std::to_string(record.pid);
}

std::uint64_t since_start_of(const collect::process_record& record, std::uint64_t time_ns) {
  return time_ns > record.start_ns ? time_ns - record.start_ns : 0;
}

std::string_view origin_text(wire::origin origin) {
  if (origin == wire::origin::attached) return "attached to";
  return origin == wire::origin::fork ? "forked" : "started";
}

std::string_view origin_code(wire::origin origin) {
  if (origin == wire::origin::attached) return "attached";
  return origin == wire::origin::fork ? "fork" : "exec";
}

std::string losses_text(const collect::process_record& record, const collect::tape_losses& lost, bool is_complete,
                        std::uint64_t stray_frees, const palette& paint) {
  std::string text;
  const auto line = [&](const std::string& sentence) {
    text += fmt::format("  {}not exact{}     {}\n", paint.warning, paint.reset, sentence);
  };
  if (lost.allocations != 0 || lost.frees != 0)
    line(
        fmt::format("{} allocations of {} and {} frees were lost, because their rings were full: allocated figures "
                    "are low by that much, live ones by up to that much either way",
                    lost.allocations, size_of(lost.bytes), lost.frees));
  if (const std::string losers = analyze::losers_text(record, lost); !losers.empty()) line(losers);
  if (lost.frames != 0) line(fmt::format("{} frames found no room: their stacks are cut off", lost.frames));
  if (lost.refused_records != 0 || lost.is_corrupt)
    line(fmt::format("{} records made no sense{}", lost.refused_records,
                     lost.is_corrupt ? ", and a ring could not be read to its end" : ""));
  if (!is_complete) line("the end of this process is not in the recording: what it did after that is missing");
  if (stray_frees != 0)
    text += fmt::format("  other frees   {}: of blocks that it had before it was recorded, or that its parent had\n",
                        stray_frees);
  return text;
}

std::string notes_text(const std::optional<std::string>& damage, bool is_complete,
                       const std::vector<std::string>& notes, const palette& paint) {
  std::string text;
  if (damage) text += fmt::format("{}The recording is damaged:{} {}.\n", paint.warning, paint.reset, *damage);
  if (!is_complete)
    text += fmt::format(
        "{}The recording was cut off:{} `tenure record` did not come to its end. What is here is "
        "what it had written.\n",
        paint.warning, paint.reset);
  for (const std::string& note : notes) text += fmt::format("  {}note{}  {}\n", paint.dim, paint.reset, note);
  return text;
}

std::string chain_text(const std::vector<analyze::frame>& chain) {
  constexpr int name_width = 32;
  std::string text;
  for (const analyze::frame& one : chain) {
    const bool is_first = &one == &chain.front();
    if (is_first && (one.file.empty() || one.line == 0)) continue;
    text += is_first ? fmt::format("{}:{}", one.file.substr(one.file.rfind('/') + 1), one.line)
                     : fmt::format("{}< {}", text.empty() ? "" : " ", shorten_function(one.function, name_width));
  }
  return text;
}

std::string callers_text(const std::string& place, const std::vector<std::string>& identity) {
  constexpr std::size_t frame_limit = 6;
  constexpr int name_width = 32;
  std::string text = place;
  for (std::size_t i = 1; i < std::min(frame_limit, identity.size()); ++i) {
    const std::string& frame = identity[i];
    // A module's name has no '!', a function's may.
    const std::string function = frame.ends_with("!?") ? frame : frame.substr(frame.find('!') + 1);
    text += fmt::format("{}< {}", text.empty() ? "" : " ", shorten_function(function, name_width));
  }
  return text;
}

void write_stack(json_writer& json, const std::vector<analyze::frame>& chain) {
  json.begin_array("stack");
  for (const analyze::frame& one : chain) {
    json.begin_object();
    json.member("function", one.function);
    if (!one.file.empty()) json.member("file", one.file);
    if (one.line != 0) json.member("line", static_cast<std::int64_t>(one.line));
    json.end_object();
  }
  json.end_array();
}

void write_notes(json_writer& json, const std::vector<std::string>& notes) {
  json.begin_array("notes");
  for (const std::string& note : notes) {
    json.begin_object();
    json.member("text", note);
    json.end_object();
  }
  json.end_array();
}

void write_amount(json_writer& json, const char* name, const analyze::exact_amount& amount) {
  json.begin_object(name);
  json.member("blocks", static_cast<std::int64_t>(amount.blocks));
  json.member("bytes", static_cast<std::int64_t>(amount.bytes));
  json.end_object();
}

void write_losses_by_thread(json_writer& json, const char* name, const collect::process_record& record,
                            const collect::tape_losses& lost) {
  json.begin_array(name);
  for (const analyze::thread_loss& one : analyze::losses_by_thread(record, lost)) {
    json.begin_object();
    if (one.thread) {
      json.member("thread", static_cast<std::int64_t>(one.thread->id));
      json.member("name", one.thread->name);
    }
    json.member("allocations", static_cast<std::int64_t>(one.allocations));
    json.member("bytes", static_cast<std::int64_t>(one.bytes));
    json.member("frees", static_cast<std::int64_t>(one.frees));
    json.end_object();
  }
  json.end_array();
}

void write_losses(json_writer& json, const collect::process_record& record, const collect::tape_losses& lost) {
  const auto figure = [&](const char* name, std::uint64_t value) {
    json.member(name, static_cast<std::int64_t>(value));
  };
  json.begin_object("lost");
  figure("allocations", lost.allocations);
  figure("bytes", lost.bytes);
  figure("frees", lost.frees);
  figure("frames", lost.frames);
  figure("refused_records", lost.refused_records);
  json.member("is_corrupt", lost.is_corrupt);
  write_losses_by_thread(json, "by_thread", record, lost);
  json.end_object();
}

}  // namespace tenure::cli
