// CSV: one row a stack, for spreadsheets and data frames (RFC 4180). The first row names the columns.
#pragma once

#include <string>

#include "instruments/export/exact_stacks.h"

namespace tenure::exporting {

std::string write_csv(const analyze::exact_report& report);

}  // namespace tenure::exporting
