#include "core/base/check.h"

#include <cstdlib>

#include "core/base/format.h"

namespace tenure::core {

void check_failed(const char* condition, const char* file, int line) noexcept {
  message text;
  text.add("tenure: check failed: ")
      .add(condition)
      .add(" at ")
      .add(file)
      .add(":")
      .add_decimal(static_cast<unsigned long>(line));
  text.add("\n");
  text.write_to(2);
  std::abort();
}

}  // namespace tenure::core
