// What Tenure uses of the kernel and the C library, whether it is there, and what it costs when it is not.
#pragma once

#include <string>
#include <vector>

namespace tenure::cli {

enum class fact_grade {
  good,
  missing,      // something works less well; `cost` says what
  information,  // neither good nor bad
};

struct machine_fact {
  std::string name;
  std::string value;
  fact_grade grade = fact_grade::information;
  std::string cost;  // empty when nothing is lost
};

// Each is probed with a call that changes nothing, since version numbers tell little about patched kernels and
// containers.
std::vector<machine_fact> memory_facts();      // kernel features for the heap
std::vector<machine_fact> limit_facts();       // what bounds the memory of programs
std::vector<machine_fact> instrument_facts();  // what the instruments need

}  // namespace tenure::cli
