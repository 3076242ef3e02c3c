// main() of the GoogleTest programs that run under the preload library.
#include <gtest/gtest.h>

#include "support/engaged.h"

int main(int count, char** arguments) {
  tenure::testing::require_engaged();
  ::testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
