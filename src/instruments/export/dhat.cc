#include "instruments/export/dhat.h"

#include <fmt/format.h>

#include <map>
#include <unordered_map>

namespace tenure::exporting {
namespace {

// What lives no longer than this on average the viewer calls short-lived.
constexpr std::uint64_t short_life_us = 500;

constexpr std::uint64_t ns_per_us = 1000;

std::uint64_t us_since(std::uint64_t start_ns, std::uint64_t time_ns) {
  return time_ns > start_ns ? (time_ns - start_ns) / ns_per_us : 0;
}

class frame_table {
 public:
  frame_table() { number_of("[root]"); }

  std::uint32_t number_of(const std::string& text) {
    const auto [place, is_new] = numbers_.try_emplace(text, static_cast<std::uint32_t>(numbers_.size()));
    if (is_new) text_ += (text_.empty() ? " [" : "\n ,") + json_string(text);
    return place->second;
  }
  // As DHAT writes them: "0x40113A: load (table.cc:42)".
  std::uint32_t number_of(const stack_frame& one, const collect::location& at) {
    std::string text = fmt::format("0x{:X}: {}", at.address, one.what->function);
    if (!one.what->file.empty()) text += fmt::format(" ({}:{})", one.what->file, one.what->line);
    return number_of(text);
  }
  std::string text() const { return text_ + "\n ]"; }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::string text_;
};

std::string point_of(const std::vector<std::uint32_t>& frames, const analyze::exact_site& site) {
  std::string numbers;
  for (const std::uint32_t number : frames) numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", number);
  return fmt::format(
      "{{\"tb\":{},\"tbk\":{},\"tl\":{}\n  ,\"mb\":{},\"mbk\":{}\n  ,\"gb\":{},\"gbk\":{}\n  ,\"eb\":{},\"ebk\":{}\n"
      "  ,\"fs\":[{}]\n  }}",
      site.allocated.bytes, site.allocated.blocks, site.lifetime_ns / ns_per_us, site.peak.bytes, site.peak.blocks,
      site.at_moment.bytes, site.at_moment.blocks, site.at_end.bytes, site.at_end.blocks, numbers);
}

}  // namespace

std::string write_dhat(const analyze::exact_process& process) {
  const collect::process_record& record = process.profile.record;
  frame_table frames;
  // The viewer refuses a sequence of frames that comes twice.
  std::map<std::vector<std::uint32_t>, analyze::exact_site> points;
  for (const analyze::exact_site& site : process.sites) {
    std::vector<std::uint32_t> numbers;
    for (const stack_frame& one : frames_of(process.profile, site.stack))
      numbers.push_back(frames.number_of(one, record.locations[one.location]));
    if (is_cut_off(process.profile, site.stack)) numbers.push_back(frames.number_of(std::string(more_frames)));
    if (numbers.empty()) numbers.push_back(frames.number_of(std::string(no_frames)));
    points[std::move(numbers)] += site;
  }
  std::string list;
  for (const auto& [numbers, site] : points) list += (list.empty() ? " [" : "\n ,") + point_of(numbers, site);
  std::string command;
  for (const std::string& word : record.command_line) command += (command.empty() ? "" : " ") + word;
  return fmt::format(
      "{{\"dhatFileVersion\":2\n,\"mode\":\"heap\",\"verb\":\"Allocated\"\n,\"bklt\":true,\"bkacc\":false\n"
      ",\"tu\":\"us\",\"Mtu\":\"s\"\n,\"tuth\":{}\n,\"cmd\":{}\n,\"pid\":{}\n,\"te\":{}\n,\"tg\":{}\n,\"pps\":\n{}\n"
      ",\"ftbl\":\n{}\n}}\n",
      short_life_us, json_string(command), record.pid, us_since(record.start_ns, process.end_ns),
      us_since(record.start_ns, process.moment_ns), list.empty() ? " [\n ]" : list + "\n ]", frames.text());
}

}  // namespace tenure::exporting
