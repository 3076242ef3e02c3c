// main() of the programs that have the tests of a folder.
#include "support/chosen_sources.h"

int main(int count, char** arguments) { return tenure::testing::run_chosen_sources(count, arguments); }
