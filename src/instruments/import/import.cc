#include "instruments/import/import.h"

#include <fmt/format.h>

#include <new>
#include <string_view>
#include <utility>

#include "instruments/import/heaptrack.h"
#include "instruments/import/pprof.h"

namespace tenure::importing {
namespace {

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// False when the recording could not be written.
using outcome = std::expected<bool, std::string>;

outcome read_heaptrack(record::unpacked_file& file, std::string_view bytes, imported_run& run,
                       symbols::symbolizer& symbolizer, const import_progress& progress) {
  heaptrack_reader reader(run, symbolizer);
  for (; !bytes.empty(); bytes = text_of(file.next())) {
    const auto taken = reader.feed(bytes);
    if (!taken) return std::unexpected(taken.error());
    progress("reading", file.progress());
  }
  if (const auto& failed = file.error()) return std::unexpected(*failed);
  return reader.finish();
}

outcome read_profile(record::unpacked_file& file, std::string_view bytes, imported_run& run,
                     symbols::symbolizer& symbolizer, const import_progress& progress) {
  std::string whole;
  for (; !bytes.empty(); bytes = text_of(file.next())) {
    whole += bytes;
    if (whole.size() > pprof_limit_bytes) return std::unexpected("it is longer than a pprof profile may be, 1 GiB");
    progress("reading", file.progress());
  }
  if (const auto& failed = file.error()) return std::unexpected(*failed);
  return read_pprof({reinterpret_cast<const std::uint8_t*>(whole.data()), whole.size()}, run, symbolizer);
}

}  // namespace

std::expected<import_figures, import_error> import_file(record::unpacked_file& file, const std::string& name,
                                                        record::block_writer&& into, symbols::symbolizer& symbolizer,
                                                        const import_progress& progress) {
  const auto wrong = [&](const std::string& why) {
    return std::unexpected(import_error{fmt::format("{} cannot be imported: {}.", name, why)});
  };
  std::string_view bytes = text_of(file.next());
  if (const auto& failed = file.error()) return wrong(*failed);
  if (bytes.empty()) return wrong("it is empty");
  collect::recording_writer writer(std::move(into));
  const auto not_written = [&]() -> std::unexpected<import_error> {
    return std::unexpected(import_error{writer.error().value_or(""), true});
  };
  imported_run run(writer);
  const auto finished = [&]() -> outcome {
    try {
      return heaptrack_reader::recognises(bytes) ? read_heaptrack(file, bytes, run, symbolizer, progress)
                                                 : read_profile(file, bytes, run, symbolizer, progress);
    } catch (const std::bad_alloc&) {
      return std::unexpected("there is not enough memory for what it tells");
    }
  }();
  if (run.has_failed()) return not_written();
  if (!finished) return wrong(finished.error());
  if (!*finished) return not_written();
  return import_figures{.tool = run.tool(),
                        .allocations = run.allocations(),
                        .frees = run.frees(),
                        .tells_sums = run.tells_sums(),
                        .live_bytes = run.live_bytes(),
                        .stacks = run.stacks(),
                        .written_bytes = writer.written_bytes()};
}

}  // namespace tenure::importing
