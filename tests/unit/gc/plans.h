// The plans that collect, as a parameter of tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include <tenure/gc.hpp>

namespace tenure::test {

inline auto collecting_plans() { return testing::Values(gc::plan::mark_sweep, gc::plan::sticky_concurrent); }

inline std::string plan_name(const testing::TestParamInfo<gc::plan>& of) {
  return of.param == gc::plan::mark_sweep ? "mark_sweep" : "sticky_concurrent";
}

}  // namespace tenure::test
