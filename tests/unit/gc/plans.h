// The plans that collect, as a parameter of tests, and a heap of any of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <tenure/gc.hpp>

namespace tenure::test {

// Also of the plans for which programs use heap_of, which asks the compiler about each type.
class any_heap final : public gc::heap {
 public:
  explicit any_heap(const gc::heap_options& options) : gc::heap(options, options.plan) {}
};

struct named_plan {
  gc::plan plan;
  const char* name;
  bool moves;  // objects: such a heap is for one thread
};
inline constexpr named_plan all_collecting[] = {
    {gc::plan::mark_sweep, "mark_sweep", false},
    {gc::plan::mark_sweep_lazy, "mark_sweep_lazy", false},
    {gc::plan::sticky_concurrent, "sticky_concurrent", false},
    {gc::plan::mark_compact, "mark_compact", true},
    {gc::plan::semispace, "semispace", true},
    {gc::plan::immix, "immix", true},
    {gc::plan::refcount, "refcount", false},
};

inline const named_plan& named(gc::plan plan) {
  for (const named_plan& each : all_collecting) {
    if (each.plan == plan) return each;
  }
  ADD_FAILURE() << "a plan without a name";
  return all_collecting[0];
}

inline auto plans_where(bool (*wanted)(const named_plan&)) {
  std::vector<gc::plan> found;
  for (const named_plan& each : all_collecting) {
    if (wanted(each)) found.push_back(each.plan);
  }
  return ::testing::ValuesIn(found);
}
inline auto collecting_plans() {
  return plans_where([](const named_plan&) { return true; });
}
inline auto moving_plans() {
  return plans_where([](const named_plan& each) { return each.moves; });
}
// For programs with many threads.
inline auto shared_plans() {
  return plans_where([](const named_plan& each) { return !each.moves; });
}

inline std::string plan_name(const testing::TestParamInfo<gc::plan>& of) { return named(of.param).name; }

}  // namespace tenure::test
