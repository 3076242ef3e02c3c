// main() of the GoogleTest programs that run under the preload library.
#include "support/chosen_sources.h"
#include "support/engaged.h"

int main(int count, char** arguments) {
  tenure::testing::require_engaged();
  return tenure::testing::run_chosen_sources(count, arguments);
}
