// The readers of other tools' files, with any bytes at all. What is imported must be a whole recording.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "instruments/collect/recording_reader.h"
#include "instruments/import/import.h"

namespace {

using namespace tenure;

void require(bool holds) {
  if (!holds) std::abort();
}

void read_all(const std::string& path) {
  auto reader = collect::recording_reader::open(path);
  require(reader.has_value());
  std::uint64_t events = 0;
  reader->read([&](std::size_t, std::span<const record::event> some) {
    events += some.size();
    return true;
  });
  const collect::recorded_run& run = reader->run();
  require(!run.damage && run.is_complete && run.source && run.processes.size() == 1);
  const collect::process_record& process = run.processes[0].record;
  require(run.processes[0].events == events && process.answers.size() == process.locations.size());
  for (const collect::stack_sum& sum : run.processes[0].sums) require(sum.stack < process.stacks.size());
  for (const std::uint32_t answer : process.answers) require(!process.names->frames(answer).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int descriptor = ::memfd_create("recording", MFD_CLOEXEC);
  if (descriptor < 0) return 0;
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  if (auto writer = record::block_writer::create(path)) {
    auto file = record::unpacked_file::over({data, size});
    symbols::symbolizer symbolizer;
    const auto figures = importing::import_file(file, "it", std::move(*writer), symbolizer, [](const char*, double) {});
    if (figures) read_all(path);
  }
  ::close(descriptor);
  return 0;
}
