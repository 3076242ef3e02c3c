#include "instruments/cli/doctor_command.h"

#include <iostream>
#include <optional>

#include "instruments/cli/engagement.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/machine_facts.h"
#include "instruments/cli/program_check.h"
#include "instruments/cli/version.h"

namespace tenure::cli {
namespace {

using checked_program = std::expected<program_facts, program_refusal>;

constexpr int name_columns = 24;

struct section {
  const char* title;
  const char* key;
  std::vector<machine_fact> facts;
};

std::vector<machine_fact> heap_facts(const engagement& heap) {
  std::vector<machine_fact> facts = {
      {"library", heap.library.string(), fact_grade::information, ""},
      {"engine", heap.engine_version, fact_grade::information, ""},
      {"thread storage", heap.tls_model + ", " + std::to_string(heap.tls_bytes) + " bytes a thread",
       fact_grade::information, ""}};
  if (heap.tls_model != "initial-exec") {
    facts[2].grade = fact_grade::missing;
    facts[2].cost = "Each malloc and free asks the loader where its thread's cache is.";
  }
  return facts;
}

std::vector<section> gather(const engagement& heap) {
  std::vector<section> sections;
  if (heap.engages()) sections.push_back({"The heap", "heap", heap_facts(heap)});
  sections.push_back({"What the kernel gives the heap", "memory", memory_facts()});
  sections.push_back({"What bounds memory", "limits", limit_facts()});
  sections.push_back({"What the instruments need", "instruments", instrument_facts()});
  return sections;
}

std::string mark(fact_grade grade, const palette& paint) {
  if (grade == fact_grade::good) return std::string(paint.good) + "+" + std::string(paint.reset);
  if (grade == fact_grade::missing) return std::string(paint.warning) + "-" + std::string(paint.reset);
  return " ";
}

std::string verdict_on(const engagement& heap, const palette& paint) {
  if (heap.engages()) {
    return std::string(paint.good) + "Tenure engages" + std::string(paint.reset) +
           ": a test program ran on its heap and could be watched.\n";
  }
  return std::string(paint.bad) + "Tenure does not engage" + std::string(paint.reset) + ": " + heap.failure + "\n";
}

// Empty where it can.
std::string why_not(const checked_program& checked) {
  if (!checked) return checked.error().sentence;
  return checked->brings_malloc ? own_malloc_sentence(*checked) : "";
}

std::string program_verdict(const std::string& name, const checked_program& checked, const palette& paint) {
  if (const std::string reason = why_not(checked); !reason.empty()) {
    return std::string(paint.bad) + "It cannot engage for " + name + std::string(paint.reset) + ": " + reason + "\n";
  }
  std::string text = std::string(paint.good) + "It can engage for " + name + std::string(paint.reset) + ":";
  for (const auto& file : checked->chain) text += " " + file.string() + (file == checked->chain.back() ? "" : " by");
  return text + ", loaded by " + checked->loader.string() + ".\n";
}

void print_text(const doctor_request& request, const engagement& heap, const std::optional<checked_program>& program) {
  const palette& paint = colors(request.color);
  std::cout << wrapped(verdict_on(heap, paint), request.columns, 0);
  if (program) std::cout << wrapped(program_verdict(request.program.front(), *program, paint), request.columns, 0);
  std::cout << paint.dim << "Below, + is there and - is not, with what that costs.\n" << paint.reset;
  for (const section& one : gather(heap)) {
    std::cout << "\n" << paint.bold << one.title << paint.reset << "\n";
    for (const machine_fact& fact : one.facts) {
      const std::string text = fact.value + (fact.cost.empty() ? "" : ". " + fact.cost);
      std::string line = two_columns(fact.name, text, name_columns, request.columns, colors(false));
      line.erase(0, 2);
      std::cout << mark(fact.grade, paint) << " " << line;
    }
  }
}

void print_json(const doctor_request& request, const engagement& heap, const std::optional<checked_program>& program) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.doctor/1");
  json.member("version", version_number());
  json.member("engages", heap.engages());
  if (!heap.engages()) json.member("failure", heap.failure);
  if (program) {
    json.begin_object("program");
    json.member("command", request.program.front());
    const std::string reason = why_not(*program);
    json.member("can_engage", reason.empty());
    if (*program) json.member("loader", (*program)->loader.string());
    if (!reason.empty()) json.member("reason", reason);
    json.end_object();
  }
  for (const section& one : gather(heap)) {
    json.begin_array(one.key);
    for (const machine_fact& fact : one.facts) {
      json.begin_object();
      json.member("name", fact.name);
      json.member("value", fact.value);
      if (fact.grade != fact_grade::information) json.member("good", fact.grade == fact_grade::good);
      if (!fact.cost.empty()) json.member("cost", fact.cost);
      json.end_object();
    }
    json.end_array();
  }
  json.end_object();
  std::cout << json.text();
}

}  // namespace

int doctor_command(const doctor_request& request) {
  const engagement heap = check_engagement();
  std::optional<checked_program> program;
  if (!request.program.empty()) program = check_program(request.program.front());
  if (request.as_json) {
    print_json(request, heap, program);
  } else {
    print_text(request, heap, program);
  }
  return heap.engages() && (!program || why_not(*program).empty()) ? 0 : 1;
}

}  // namespace tenure::cli
