#include "instruments/cli/top_command.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "instruments/analyze/analyze.h"
#include "instruments/analyze/format.h"
#include "instruments/cli/attach_command.h"
#include "instruments/cli/cgroup_limit.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/top_json.h"
#include "instruments/cli/top_screen.h"
#include "instruments/collect/attachment.h"
#include "instruments/collect/process_files.h"

namespace tenure::cli {
namespace {

constexpr std::uint64_t cost_divisor = 5;
constexpr std::size_t most_stacks = 30;
constexpr int list_pause_ms = 2000;
constexpr std::uint64_t answer_patience_ns = 10'000'000'000;
constexpr std::uint64_t first_pause_ns = 30'000'000;

void take_limit(top_figures& figures) {
  const cgroup_limit limit = read_cgroup_limit(fmt::format("/proc/{}/cgroup", figures.pid), "/sys/fs/cgroup");
  struct sysinfo machine {};
  ::sysinfo(&machine);
  figures.limit_bytes = static_cast<double>(machine.totalram) * static_cast<double>(machine.mem_unit);
  figures.limit_name = "the machine";
  if (!limit.bytes || static_cast<double>(*limit.bytes) >= figures.limit_bytes) return;
  figures.limit_bytes = static_cast<double>(*limit.bytes);
  figures.limit_name = "the control group's limit";
}

std::string text_of(const std::vector<top_line>& picture, const palette& paint) {
  std::string text;
  for (const top_line& line : picture) {
    std::string whole;
    for (const top_text& one : line) {
      const std::string_view begin = one.style == top_style::bold      ? paint.bold
                                     : one.style == top_style::dim     ? paint.dim
                                     : one.style == top_style::good    ? paint.good
                                     : one.style == top_style::warning ? paint.warning
                                                                       : std::string_view();
      whole += begin.empty() ? one.text : fmt::format("{}{}{}", begin, one.text, paint.reset);
    }
    whole.erase(whole.find_last_not_of(' ') + 1);
    text += whole + "\n";
  }
  return text;
}

// Makes the pictures while the process is watched, and does what the keys say.
class looker : public collect::attach_observer {
 public:
  looker(const top_options& options, std::uint32_t pid, std::unique_ptr<top_screen> screen)
      : options_(options), pid_(pid), screen_(std::move(screen)), symbolizer_(symbol_options(options.uses_debuginfod)) {
    state_.order = options.order;
    state_.table = options.table;
    state_.filter = options.filter;
  }

  int descriptor() const override { return screen_ == nullptr ? -1 : STDIN_FILENO; }
  bool look(const std::function<collect::recording()>& moment) override;
  void give_terminal_back() { screen_.reset(); }
  const std::string& once() const { return once_; }

 private:
  void refresh(const std::function<collect::recording()>& moment);
  void choose_process();
  bool obey(const top_key& key);
  void show();
  void print();

  const top_options& options_;
  std::uint32_t pid_;
  std::unique_ptr<top_screen> screen_;  // null: one picture, as text
  symbols::symbolizer symbolizer_;
  analyze::profile profile_;  // of the last moment
  std::map<std::pair<std::uint32_t, std::uint32_t>, top_history> histories_;
  std::vector<top_figures> all_;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> watched_;  // the process that is shown; the main one without
  std::size_t shown_ = 0;                                           // its place
  top_figures figures_;
  top_state state_;
  std::uint64_t told_moments_ = 0;  // that told anything
  std::uint64_t next_ns_ = 0;
  std::string once_;
};

void looker::refresh(const std::function<collect::recording()>& moment) {
  const std::uint64_t begin_ns = collect::own_processor_ns();
  // The counters are those of when the process last allocated or freed and had been asked for them.
  analyze::profile now = analyze::analyze(moment(), symbolizer_, {.bounds_live = false});
  std::vector<top_figures> all;
  for (const analyze::process_profile& one : now.processes)
    all.push_back(histories_[{one.record.pid, one.record.generation}].add(one, one.record.end_ns));
  if (!all.empty()) ++told_moments_;
  const std::uint64_t cost_ns = collect::own_processor_ns() - begin_ns;
  // One that has not answered yet may do so at once.
  const std::uint64_t pause_ns = told_moments_ == 0 ? first_pause_ns : options_.every_ns;
  next_ns_ = collect::monotonic_ns() + std::max(pause_ns, cost_ns * cost_divisor);
  if (state_.is_paused) return;
  profile_ = std::move(now);
  all_ = std::move(all);
  choose_process();
}

void looker::choose_process() {
  if (all_.empty()) {
    figures_ = {};
    figures_.pid = pid_;
    figures_.command = "is not heard of yet: it answers when it next allocates or frees";
    take_limit(figures_);
    return;
  }
  shown_ = profile_.main_process < all_.size() ? profile_.main_process : all_.size() - 1;
  for (std::size_t i = 0; watched_ && i < all_.size(); ++i) {
    const collect::process_record& record = profile_.processes[i].record;
    if (std::pair(record.pid, record.generation) == *watched_) shown_ = i;
  }
  figures_ = all_[shown_];
  figures_.process = shown_;
  figures_.process_count = all_.size();
  take_limit(figures_);
}

bool looker::obey(const top_key& key) {
  const top_wish wish = press(key, figures_, state_, screen_->lines());
  if (wish == top_wish::quit) return false;
  if (wish == top_wish::stacks && shown_ < profile_.processes.size()) {
    state_.stacks = stacks_of(profile_.processes[shown_], symbolizer_, state_.table, state_.chosen, most_stacks);
    state_.stacks_name = state_.chosen;
    state_.shows_stacks = true;
    state_.first_line = 0;
  }
  if ((wish == top_wish::next_process || wish == top_wish::previous_process) && all_.size() > 1) {
    shown_ = (shown_ + (wish == top_wish::next_process ? 1 : all_.size() - 1)) % all_.size();
    watched_ = {profile_.processes[shown_].record.pid, profile_.processes[shown_].record.generation};
    choose_process();
  }
  return true;
}

void looker::show() {
  screen_->show(draw(figures_, state_, screen_->columns(), screen_->lines(), screen_->is_unicode()));
}

void looker::print() {
  if (options_.is_json) {
    once_ = top_json(figures_, state_, options_.rows);
    return;
  }
  const auto columns = static_cast<std::size_t>(text_columns(STDOUT_FILENO, 100));
  constexpr std::size_t around = 9;
  // Without the line of keys.
  std::vector<top_line> picture = draw(figures_, state_, columns, options_.rows + around, has_unicode());
  picture.pop_back();
  while (!picture.empty() && picture.back().empty()) picture.pop_back();
  once_ = text_of(picture, colors(use_color(options_.color, STDOUT_FILENO)));
}

bool looker::look(const std::function<collect::recording()>& moment) {
  bool is_changed = false;
  if (screen_ != nullptr) {
    if (screen_->is_gone()) return false;
    while (const auto input = screen_->read()) {
      is_changed = true;
      if (input->key && !obey(*input->key)) return false;
    }
  }
  const std::uint64_t now_ns = collect::monotonic_ns();
  if (now_ns >= next_ns_) {
    refresh(moment);
    is_changed |= !state_.is_paused;
  }
  if (screen_ != nullptr) {
    if (is_changed) show();
    return true;
  }
  // The second one that tells anything has rates.
  if (!is_changed || told_moments_ < 2) return true;
  print();
  return false;
}

std::string command_of(std::uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  return in_one_line(text);
}

std::string process_line(const collect::attachable& one) {
  const double resident = static_cast<double>(collect::read_resident_bytes(one.pid).value_or(0));
  return fmt::format("{:>8}{:>13}  {}", one.pid, analyze::format_bytes(resident), command_of(one.pid));
}

constexpr std::string_view list_head = "     pid     resident  command";

// The process that a person chooses; absent when they do not.
std::optional<std::uint32_t> choose_from_list(top_screen& screen) {
  std::uint32_t chosen = 0;
  for (;;) {
    const auto processes = collect::find_all_attachable();
    const auto found = std::find_if(processes.begin(), processes.end(), [&](const auto& p) { return p.pid == chosen; });
    std::size_t place = found == processes.end() ? 0 : static_cast<std::size_t>(found - processes.begin());
    std::vector<top_line> picture = {
        {{"Processes that run on Tenure's heap", top_style::bold}}, {}, {{std::string(list_head), top_style::bold}}};
    for (std::size_t i = 0; i < processes.size(); ++i)
      picture.push_back({{keep_front(process_line(processes[i]), static_cast<int>(screen.columns())),
                          i == place ? top_style::chosen : top_style::plain}});
    picture.emplace_back();
    picture.push_back({{"Up, Down choose   Enter watch   q quit", top_style::dim}});
    screen.show(picture);
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    ::poll(&keys, 1, list_pause_ms);
    if (screen.is_gone()) return std::nullopt;
    while (const auto input = screen.read()) {
      if (!input->key) continue;
      const top_key& key = *input->key;
      if (key.what == top_key::escape || key.what == top_key::interrupt ||
          (key.what == top_key::character && key.of == 'q'))
        return std::nullopt;
      if (processes.empty()) continue;
      if (key.what == top_key::enter) return processes[place].pid;
      if (key.what == top_key::up && place > 0) --place;
      if (key.what == top_key::down && place + 1 < processes.size()) ++place;
      chosen = processes[place].pid;
    }
  }
}

int list_processes() {
  std::string text = std::string(list_head) + "\n";
  for (const collect::attachable& one : collect::find_all_attachable()) text += process_line(one) + "\n";
  return write_answer(std::nullopt, text);
}

int watch(const top_options& options, std::uint32_t pid, std::unique_ptr<top_screen> screen,
          const std::string& library) {
  const auto process = collect::find_attachable(pid, library);
  if (!process) {
    screen.reset();
    return fail(failure_of(process.error()));
  }
  looker observer(options, pid, std::move(screen));
  collect::attach_options to_attach;
  to_attach.process = *process;
  to_attach.interval_bytes = options.interval_bytes;
  // Nobody is there to give up waiting for one that does not allocate.
  if (options.is_once) to_attach.duration_ns = options.every_ns * 2 + answer_patience_ns;
  to_attach.observer = &observer;
  const auto watched = collect::attach_and_collect(to_attach);
  observer.give_terminal_back();
  if (!watched) return fail(failure_of(watched.error()));
  if (!options.is_once) return 0;
  if (observer.once().empty())
    return fail(exit_internal, fmt::format("process {} has neither allocated nor freed while it was looked at.", pid));
  return write_answer(std::nullopt, observer.once());
}

}  // namespace

int top_command(const top_options& options) {
  const auto library = find_preload_library();
  const std::string library_name = library ? library->string() : "libtenure-malloc.so";
  std::optional<std::uint32_t> pid = options.pid;
  if (options.is_once) return pid ? watch(options, *pid, nullptr, library_name) : list_processes();
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    return fail(exit_usage, "top needs a terminal; with --once it prints one picture.");
  // Before the screen is taken, so that a refusal is all there is to see.
  if (pid)
    if (const auto process = collect::find_attachable(*pid, library_name); !process)
      return fail(failure_of(process.error()));
  auto screen = top_screen::open(use_color(options.color, STDOUT_FILENO));
  if (screen == nullptr)
    return fail(exit_usage, "this terminal is not known by its name in TERM; with --once one picture is printed.");
  if (!pid) pid = choose_from_list(*screen);
  return pid ? watch(options, *pid, std::move(screen), library_name) : 0;
}

}  // namespace tenure::cli
