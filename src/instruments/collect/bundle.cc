#include "instruments/collect/bundle.h"

#include <algorithm>
#include <map>
#include <utility>

#include "instruments/collect/recording_reader.h"
#include "instruments/collect/resolved_names.h"

namespace tenure::collect {
namespace {

using record::block_kind;

// All but the names: they are written anew, with those that are found now.
void copy_blocks(record::block_reader& from, std::uint64_t good_bytes, record::block_writer& into,
                 const bundle_progress& progress) {
  // None is unpacked; the checksums are looked at.
  from.skip_payloads_of({block_kind::run, block_kind::process, block_kind::dictionary, block_kind::events,
                         block_kind::end, block_kind::run_end, block_kind::checkpoint, block_kind::rotated,
                         block_kind::round, block_kind::names, block_kind::named, block_kind::source, block_kind::sums,
                         block_kind::memory});
  while (from.position() < good_bytes && !into.error()) {
    const auto block = from.next();
    if (!block) return;
    if (block->kind != block_kind::names && block->kind != block_kind::named) into.copy(*block);
    progress("copying", static_cast<double>(from.position()) / static_cast<double>(from.size_bytes()));
  }
}

class namer {
 public:
  namer(record::block_writer& into, symbols::symbolizer& symbolizer)
      : into_(into),
        symbolizer_(symbolizer),
        names_([&into](std::span<const std::uint8_t> block) { into.write(block_kind::names, 0, block); }) {}

  void name(std::uint32_t number, const process_record& process) {
    std::vector<std::uint32_t> answers;
    for (std::uint32_t location = 0; location < process.locations.size(); ++location)
      answers.push_back(answer_of(process, location));
    if (answers.empty()) return;
    names_.flush();
    into_.write(block_kind::named, number, encode_answers(answers).bytes());
  }

  bundle_figures figures() {
    for (auto& [path, places] : unnamed_) figures_.unnamed.push_back({path, places});
    std::stable_sort(figures_.unnamed.begin(), figures_.unnamed.end(),
                     [](const auto& left, const auto& right) { return left.places > right.places; });
    return std::move(figures_);
  }

 private:
  std::uint32_t answer_of(const process_record& process, std::uint32_t location) {
    ++figures_.places;
    const collect::location& place = process.locations[location];
    const bool is_answered = location < process.answers.size() && process.answers[location] != no_index;
    std::vector<symbols::frame> frames;
    if (is_answered) {
      frames = process.names->frames(process.answers[location]);
    } else if (place.module != no_index) {
      frames = symbolizer_.resolve(process.modules[place.module], place.address);
    }
    if (!frames.empty() && frames.front().is_named) {
      ++figures_.named;
      return names_.add(frames);
    }
    ++unnamed_[place.module != no_index ? process.modules[place.module].path : ""];
    // By its build-id it may be found where the bundle is read. By the path alone another file would be taken for it.
    const bool is_final = is_answered || (place.module != no_index && process.modules[place.module].build_id.empty());
    return is_final ? names_.add(frames) : no_index;
  }

  record::block_writer& into_;
  symbols::symbolizer& symbolizer_;
  names_writer names_;
  bundle_figures figures_;
  std::map<std::string, std::uint64_t> unnamed_;  // places by path
};

}  // namespace

std::expected<bundle_figures, std::string> write_bundle(const std::filesystem::path& recording,
                                                        record::block_writer& into, symbols::symbolizer& symbolizer,
                                                        const bundle_progress& progress) {
  auto reader = recording_reader::open(recording);
  if (!reader) return std::unexpected(reader.error());
  auto blocks = record::block_reader::open(recording);
  if (!blocks) return std::unexpected(blocks.error());
  reader->survey();
  const recorded_run& run = reader->run();
  copy_blocks(*blocks, run.good_bytes, into, progress);
  namer names(into, symbolizer);
  for (std::size_t i = 0; i < run.processes.size() && !into.error(); ++i) {
    names.name(static_cast<std::uint32_t>(i + 1), run.processes[i].record);
    progress("finding names", static_cast<double>(i + 1) / static_cast<double>(run.processes.size()));
  }
  if (const auto& failed = into.error()) return std::unexpected(*failed);
  bundle_figures figures = names.figures();
  figures.is_complete = run.is_complete;
  figures.damage = run.damage;
  return figures;
}

}  // namespace tenure::collect
