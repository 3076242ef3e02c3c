#include "instruments/import/import.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "instruments/import/heaptrack.h"

namespace tenure::importing {
namespace {

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::expected<import_figures, import_error> import_file(record::unpacked_file& file, const std::string& name,
                                                        record::block_writer&& into, const import_progress& progress) {
  const auto wrong = [&](const std::string& why) {
    return std::unexpected(import_error{fmt::format("{} cannot be imported: {}.", name, why)});
  };
  std::string_view bytes = text_of(file.next());
  if (const auto& failed = file.error()) return wrong(*failed);
  if (bytes.empty()) return wrong("it is empty");
  if (!heaptrack_reader::recognises(bytes)) return wrong("it does not begin as heaptrack's data do");
  collect::recording_writer writer(std::move(into));
  const auto not_written = [&]() -> std::unexpected<import_error> {
    return std::unexpected(import_error{writer.error().value_or(""), true});
  };
  imported_run run(writer);
  heaptrack_reader reader(run);
  for (; !bytes.empty(); bytes = text_of(file.next())) {
    const auto taken = reader.feed(bytes);
    if (run.has_failed()) return not_written();
    if (!taken) return wrong(taken.error());
    progress("reading", file.progress());
  }
  if (const auto& failed = file.error()) return wrong(*failed);
  const auto finished = reader.finish();
  if (!finished) return wrong(finished.error());
  if (!*finished) return not_written();
  return import_figures{run.tool(), run.allocations(), run.frees(), run.stacks(), writer.written_bytes()};
}

}  // namespace tenure::importing
