// What a program asks for, written down once and tried on other resources: replay [LOG] reads a log, or makes one.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory_resource>
#include <sstream>
#include <string>

#include <tenure/adaptor/logging_resource_adaptor.hpp>

namespace {

// Words of some text, counted: nodes of one size, strings of many, freed in another order.
std::string make_log() {
  std::ostringstream log;
  tenure::logging_resource_adaptor logged({.name = "word count", .to = &log});
  {
    std::pmr::map<std::pmr::string, int> words(&logged);
    for (unsigned i = 0; i < 20'000; ++i) {
      ++words[std::pmr::string(1 + i * 2654435761u % 60, static_cast<char>('a' + i % 26))];
    }
    for (auto word = words.begin(); word != words.end();) word = words.erase(word);
  }
  logged.flush();
  return log.str();
}

void try_on(const char* name, const tenure::resource_log& log, std::pmr::memory_resource& memory) {
  const auto figures = log.replay(memory);
  const double requests = static_cast<double>(figures.allocations + figures.releases);
  std::printf("  %-28s %6.1f ns a request, %llu refused\n", name, static_cast<double>(figures.elapsed_ns) / requests,
              static_cast<unsigned long long>(figures.refusals));
}

}  // namespace

int main(int count, char** arguments) {
  std::istringstream made;
  std::ifstream file;
  if (count > 1) {
    file.open(arguments[1]);
  } else {
    made.str(make_log());
  }
  try {
    const auto log = tenure::resource_log::read(count > 1 ? static_cast<std::istream&>(file) : made);
    std::printf("%s: %zu allocations, at most %llu bytes at once\n", log.name().c_str(), log.allocations(),
                static_cast<unsigned long long>(log.peak_bytes()));
    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::monotonic_buffer_resource buffer;
    try_on("operator new", log, *std::pmr::new_delete_resource());
    try_on("std unsynchronized_pool", log, pool);
    try_on("std monotonic_buffer", log, buffer);
    return log.allocations() == 0 ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
