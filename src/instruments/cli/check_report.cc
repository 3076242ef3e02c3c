#include "instruments/cli/check_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "instruments/analyze/format.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {
namespace {

using analyze::changed_site;
using analyze::judged_figure;
using analyze::measure;
using analyze::verdict;

constexpr std::size_t most_sentences = 20;  // of one limit that many functions break
constexpr int exit_broken = 1, exit_untold = 3;

std::string limit_text(double value, measure of) {
  return of == measure::allocated_blocks ? fmt::format("{:.0f}", value) : analyze::format_bytes(value);
}

// "66.1 MiB held at the peak"
std::string measured_text(double value, measure of, const check_answer& answer) {
  const std::string text = limit_text(value, of);
  if (of == measure::allocated_blocks) return fmt::format("{} {} allocated", text, value == 1 ? "block" : "blocks");
  if (of == measure::allocated_bytes) return text + " allocated";
  if (of == measure::held_bytes) return text + " held at the peak";
  return text + (answer.ends_early ? " left at the window's end" : " never freed");
}

// "66.1 MiB held at the peak, 60.0 MiB in the baseline; 63.0 MiB allowed, 3.1 MiB too much"
std::string sentence_of(const judged_figure& figure, const analyze::gate& gate, const check_answer& answer) {
  std::string text = gate.name.empty() ? "" : figure.site->frames.front() + ": ";
  text += measured_text(figure.measured, gate.of, answer);
  if (gate.limit.is_growth) text += fmt::format(", {} in the baseline", limit_text(figure.before, gate.of));
  text += fmt::format("; {} allowed", limit_text(figure.allowed, gate.of));
  if (figure.over() > 0) text += fmt::format(", {} too much", limit_text(figure.over(), gate.of));
  return text;
}

const char* judged_name(const analyze::gate& gate) { return gate.takes_sites ? "call site" : "function"; }

std::string kept_sentence(const judged_gate& one, const check_answer& answer) {
  const analyze::gate& gate = one.of.gate;
  const verdict& told = one.verdict;
  if (told.judged == 0) return fmt::format("no {} fits '{}'", judged_name(gate), gate.name);
  std::string text;
  if (!gate.name.empty())
    text = told.judged == 1 ? "" : fmt::format("the nearest of {} {}s is ", told.judged, judged_name(gate));
  return text + sentence_of(told.worst, gate, answer);
}

std::string signed_text(double value, measure of) { return (value < 0 ? "-" : "+") + limit_text(std::abs(value), of); }

// A line a call site behind a figure: what it has, or by how much it grew.
std::string sites_text(const judged_figure& figure, const analyze::gate& gate, std::string_view margin) {
  std::string text;
  for (const changed_site* const site : figure.sites) {
    const analyze::change& of = site->of(gate.of);
    const std::string value =
        gate.limit.is_growth ? signed_text(of.difference(), gate.of) : limit_text(of.after, gate.of);
    const std::string callers = callers_text(site->place(), site->frames);
    text +=
        fmt::format("{}{:>10}  {}{}{}\n", margin, value, site->frames.front(), callers.empty() ? "" : "  ", callers);
  }
  return text;
}

// Of a figure that is a call site itself, where it is.
std::string own_place(const judged_figure& figure, const analyze::gate& gate) {
  if (!gate.takes_sites || gate.name.empty()) return {};
  const std::string callers = callers_text(figure.site->place(), figure.site->frames);
  return callers.empty() ? "" : fmt::format(" ({})", callers);
}

template <class Take>
void for_each_sentence(const judged_gate& one, const check_answer& answer, Take&& take) {
  const std::vector<judged_figure>& figures = one.verdict.too_much;
  for (std::size_t i = 0; i < std::min(figures.size(), most_sentences); ++i)
    take(sentence_of(figures[i], one.of.gate, answer) + own_place(figures[i], one.of.gate), &figures[i]);
  if (figures.size() > most_sentences)
    take(fmt::format("and {} more {}s", figures.size() - most_sentences, judged_name(one.of.gate)), nullptr);
}

}  // namespace

std::size_t check_answer::broken_count() const {
  return static_cast<std::size_t>(
      std::count_if(gates.begin(), gates.end(), [](const judged_gate& one) { return !one.verdict.is_kept(); }));
}

int check_answer::exit_code() const {
  if (broken_count() != 0) return exit_broken;
  return untold.empty() ? 0 : exit_untold;
}

std::string check_text(const check_answer& answer, bool is_quiet, const palette& paint) {
  const std::size_t broken = answer.broken_count();
  std::string text;
  if (!is_quiet || answer.exit_code() != 0) {
    text = fmt::format("{}Checked{}  {}{}: ", paint.bold, paint.reset, answer.subject,
                       answer.baseline.empty() ? "" : ", over " + answer.baseline);
    text += broken != 0 ? fmt::format("{} of {} limits broken\n", broken, answer.gates.size())
            : answer.untold.empty()
                ? fmt::format("{}\n", answer.gates.size() == 1 ? "the limit is kept"
                                                               : fmt::format("all {} limits kept", answer.gates.size()))
                : "not all is known\n";
    if (!answer.selected.empty()) text += fmt::format("  only    what was {}\n", answer.selected);
  }
  for (const judged_gate& one : answer.gates) {
    if (one.verdict.is_kept()) {
      if (!is_quiet)
        text +=
            fmt::format("  {}kept{}    {}: {}\n", paint.good, paint.reset, one.of.written, kept_sentence(one, answer));
      continue;
    }
    for_each_sentence(one, answer, [&](const std::string& sentence, const judged_figure* figure) {
      text += fmt::format("  {}broken{}  {}: {}\n", paint.bad, paint.reset, one.of.written, sentence);
      if (figure != nullptr) text += sites_text(*figure, one.of.gate, "        ");
    });
  }
  for (const std::string& why : answer.untold)
    text += fmt::format("  {}unknown{} {}\n", paint.warning, paint.reset, why);
  const bool asks_for_leaks = std::any_of(answer.gates.begin(), answer.gates.end(),
                                          [](const judged_gate& one) { return one.of.gate.of == measure::left_bytes; });
  if (!is_quiet && asks_for_leaks && answer.suppressed.blocks != 0)
    text += fmt::format("  not counted as never freed: {} in {} blocks, of the runtime libraries or suppressed\n",
                        size_of(answer.suppressed.bytes), answer.suppressed.blocks);
  return text;
}

namespace {

void write_identity(json_writer& json, const changed_site& site) {
  json.begin_array("frames");
  for (const std::string& frame : site.frames) json.member({}, frame);
  json.end_array();
  if (!site.place().empty()) json.member("place", site.place());
}

void write_figure(json_writer& json, const judged_figure& figure, const analyze::gate& gate) {
  if (!figure.site->frames.empty()) write_identity(json, *figure.site);
  json.number("measured", figure.measured);
  if (gate.limit.is_growth) json.number("baseline", figure.before);
  json.number("allowed", figure.allowed);
  json.number("over", std::max(0.0, figure.over()));
}

void write_gate(json_writer& json, const judged_gate& one) {
  const analyze::gate& gate = one.of.gate;
  json.begin_object();
  json.member("limit", one.of.written);
  json.member("measure", analyze::json_name(gate.of));
  json.member("per", gate.name.empty() ? "total" : gate.takes_sites ? "site" : "function");
  if (!gate.name.empty()) json.member("name", gate.name);
  json.member("is_growth", gate.limit.is_growth);
  json.member("is_kept", one.verdict.is_kept());
  json.member("judged", static_cast<std::int64_t>(one.verdict.judged));
  if (one.verdict.judged != 0) {
    json.begin_object("worst");
    write_figure(json, one.verdict.worst, gate);
    json.end_object();
  }
  json.begin_array("violations");
  for (const judged_figure& figure : one.verdict.too_much) {
    json.begin_object();
    write_figure(json, figure, gate);
    json.begin_array("sites");
    for (const changed_site* const site : figure.sites) {
      json.begin_object();
      write_identity(json, *site);
      json.number("measured", site->of(gate.of).after);
      if (gate.limit.is_growth) json.number("baseline", site->of(gate.of).before);
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

// Text as XML has it; bytes that XML knows no way to write are left out.
std::string xml_text(std::string_view text) {
  std::string result;
  for (const char byte : text) {
    if (byte == '&')
      result += "&amp;";
    else if (byte == '<')
      result += "&lt;";
    else if (byte == '>')
      result += "&gt;";
    else if (byte == '"')
      result += "&quot;";
    else if (byte == '\n')
      result += "&#10;";
    else if (static_cast<unsigned char>(byte) >= 0x20)
      result += byte;
  }
  return result;
}

std::string junit_case(const judged_gate& one, const check_answer& answer) {
  const std::string head = fmt::format("  <testcase classname=\"tenure.check\" name=\"{} ({})\"",
                                       xml_text(one.of.written), analyze::json_name(one.of.gate.of));
  if (one.verdict.is_kept())
    return fmt::format("{}>\n    <system-out>{}</system-out>\n  </testcase>\n", head,
                       xml_text(kept_sentence(one, answer)));
  std::string first, all;
  for_each_sentence(one, answer, [&](const std::string& sentence, const judged_figure* figure) {
    if (first.empty()) first = sentence;
    all += sentence + "\n";
    if (figure != nullptr) all += sites_text(*figure, one.of.gate, "  ");
  });
  return fmt::format("{}>\n    <failure type=\"limit\" message=\"{}\">{}</failure>\n  </testcase>\n", head,
                     xml_text(first), xml_text(all));
}

}  // namespace

std::string check_json(const check_answer& answer) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.check/1");
  json.member("subject", answer.subject);
  if (!answer.baseline.empty()) json.member("baseline", answer.baseline);
  if (!answer.selected.empty()) json.member("selected", answer.selected);
  json.member("is_kept", answer.exit_code() == 0);
  json.begin_array("gates");
  for (const judged_gate& one : answer.gates) write_gate(json, one);
  json.end_array();
  json.begin_array("unknown");
  for (const std::string& why : answer.untold) json.member({}, why);
  json.end_array();
  write_amount(json, "suppressed", answer.suppressed);
  json.end_object();
  return json.text();
}

std::string check_junit(const check_answer& answer) {
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"tenure check {}\" tests=\"{}\" failures=\"{}\" "
      "errors=\"{}\">\n",
      xml_text(answer.subject), answer.gates.size() + answer.untold.size(), answer.broken_count(),
      answer.untold.size());
  for (const judged_gate& one : answer.gates) text += junit_case(one, answer);
  for (const std::string& why : answer.untold)
    text += fmt::format(
        "  <testcase classname=\"tenure.check\" name=\"recording\">\n    <error type=\"recording\" message=\"{}\"/>\n  "
        "</testcase>\n",
        xml_text(why));
  return text + "</testsuite>\n";
}

}  // namespace tenure::cli
