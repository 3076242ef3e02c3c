#include "instruments/export/speedscope.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <tuple>

namespace tenure::exporting {
namespace {

constexpr std::array measures = {exact_measure::allocated, exact_measure::at_moment, exact_measure::at_end,
                                 exact_measure::freed};

class frame_list {
 public:
  std::uint32_t number_of(std::string_view function, const std::string& file, std::uint32_t line) {
    const auto [place, is_new] =
        numbers_.try_emplace({std::string(function), file, line}, static_cast<std::uint32_t>(numbers_.size()));
    if (!is_new) return place->second;
    text_ += fmt::format("{}{{\"name\":", numbers_.size() == 1 ? "" : ",\n");
    append_json_string(text_, function);
    if (!file.empty()) {
      text_ += ",\"file\":";
      append_json_string(text_, file);
    }
    if (line != 0) text_ += fmt::format(",\"line\":{}", line);
    text_ += '}';
    return place->second;
  }
  const std::string& text() const { return text_; }

 private:
  std::map<std::tuple<std::string, std::string, std::uint32_t>, std::uint32_t> numbers_;
  std::string text_;
};

// "[3,1,2]", outermost first.
std::string numbers_of(const analyze::process_profile& process, std::uint32_t stack, frame_list& frames) {
  const std::vector<stack_frame> of = frames_of(process, stack);
  std::string text;
  const auto add = [&](std::uint32_t number) { text += fmt::format("{}{}", text.empty() ? "" : ",", number); };
  if (of.empty()) add(frames.number_of(no_frames, "", 0));
  if (is_cut_off(process, stack)) add(frames.number_of(more_frames, "", 0));
  for (auto one = of.rbegin(); one != of.rend(); ++one)
    add(frames.number_of(one->what->function, one->what->file, one->what->line));
  return "[" + text + "]";
}

std::string profile_of(const analyze::exact_process& process, exact_measure by, const measure_names& names,
                       frame_list& frames) {
  std::string samples, weights;
  std::uint64_t total = 0;
  for_each_stack(process, by, [&](std::uint32_t stack, const analyze::exact_amount& amount) {
    if (amount.bytes == 0) return;
    const char* const comma = total == 0 ? "" : ",";
    samples += comma + numbers_of(process.profile, stack, frames);
    weights += fmt::format("{}{}", comma, amount.bytes);
    total += amount.bytes;
  });
  return fmt::format(
      R"({{"type":"sampled","name":{},"unit":"bytes","startValue":0,"endValue":{},"samples":[{}],"weights":[{}]}})",
      json_string(names.of(by) + ", " + process_name(process.profile)), total, samples, weights);
}

}  // namespace

std::string write_speedscope(const analyze::exact_report& report, exact_measure by, const measure_names& names) {
  frame_list frames;
  std::string profiles;
  std::size_t count = 0, shown_first = 0;
  for (std::uint32_t i = 0; i < report.processes.size(); ++i) {
    for (const exact_measure one : measures) {
      if (one == exact_measure::freed && report.processes[i].frees.empty()) continue;
      if (one == by && i == main_process_of(report)) shown_first = count;
      profiles += (count++ == 0 ? "" : ",\n") + profile_of(report.processes[i], one, names, frames);
    }
  }
  std::string command;
  for (const std::string& word : report.command) command += (command.empty() ? "" : " ") + word;
  return fmt::format(
      "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"tenure\",\"name\":{},\n"
      "\"activeProfileIndex\":{},\n\"shared\":{{\"frames\":[\n{}\n]}},\n\"profiles\":[\n{}\n]}}\n",
      json_string(command), shown_first, frames.text(), profiles);
}

}  // namespace tenure::exporting
