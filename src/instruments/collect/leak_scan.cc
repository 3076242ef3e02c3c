#include "instruments/collect/leak_scan.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "instruments/collect/scan_file.h"

namespace tenure::collect {
namespace {

bool make_sense(const wire::leak_record& one) {
  return one.reach != static_cast<std::uint32_t>(wire::block_reach::reachable) && one.reach < wire::block_reach_count &&
         one.bytes != 0;
}

void take(const wire::leak_record& one, leak_scan& into) {
  if (!make_sense(one)) {
    ++into.refused_records;
    return;
  }
  leaked_block& block = into.blocks.emplace_back();
  block.address = one.address;
  block.bytes = one.bytes;
  block.sample_id = one.sample_id;
  block.reach = static_cast<wire::block_reach>(one.reach);
  block.leader = one.leader;
  block.held = one.held;
}

void take(const wire::held_record& one, leak_scan& into) {
  const bool is_held = one.reach == static_cast<std::uint32_t>(wire::block_reach::reachable) ||
                       one.reach == static_cast<std::uint32_t>(wire::block_reach::possible);
  if (!is_held || one.bytes == 0 || one.inside >= one.bytes || one.address + one.bytes < one.address) {
    ++into.refused_records;
    return;
  }
  held_block& block = into.held.emplace_back();
  block.address = one.address;
  block.bytes = one.bytes;
  block.sample_id = one.sample_id;
  block.reach = static_cast<wire::block_reach>(one.reach);
  block.place = one.place;
  block.inside = one.inside;
}

void take(const wire::root_range& one, leak_scan& into) {
  if (one.begin >= one.end || one.kind >= wire::root_kind_count) {
    ++into.refused_records;
    return;
  }
  into.roots.push_back({one.begin, one.end, static_cast<wire::root_kind>(one.kind), one.thread, one.base});
}

// As many as are there, whatever the header says.
template <class Record>
void take_records(const scan_file& file, std::uint64_t count, std::uint64_t& offset, leak_scan& into) {
  std::uint64_t wanted = std::min(count, wire::leak_record_limit);
  std::vector<Record> portion(1024);
  while (wanted != 0) {
    const std::size_t asked = std::min<std::uint64_t>(wanted, portion.size());
    const std::size_t got = file.read(portion.data(), asked * sizeof(Record), offset) / sizeof(Record);
    for (std::size_t i = 0; i < got; ++i) take(portion[i], into);
    wanted -= got;
    offset += got * sizeof(Record);
    if (got < asked) break;
  }
  into.refused_records += wanted;
}

// Where the pointers lie: in which of the blocks before, or in which root. Registers first, which may lie within what
// else counts as a root.
class place_finder {
 public:
  explicit place_finder(const leak_scan& scan) : scan_(scan), blocks_(scan.held.size()), roots_(scan.roots.size()) {
    for (std::uint32_t i = 0; i < blocks_.size(); ++i) blocks_[i] = i;
    for (std::uint32_t i = 0; i < roots_.size(); ++i) roots_[i] = i;
    std::stable_sort(blocks_.begin(), blocks_.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return scan.held[a].address < scan.held[b].address; });
    std::stable_sort(roots_.begin(), roots_.end(), [&](std::uint32_t a, std::uint32_t b) {
      const scan_root &one = scan.roots[a], &other = scan.roots[b];
      return is_of_registers(one) != is_of_registers(other) ? is_of_registers(one) : one.begin < other.begin;
    });
    first_other_ = static_cast<std::size_t>(
        std::partition_point(roots_.begin(), roots_.end(),
                             [&](std::uint32_t one) { return is_of_registers(scan.roots[one]); }) -
        roots_.begin());
  }
  std::uint32_t block_at(std::uint64_t place) const {
    const auto behind =
        std::upper_bound(blocks_.begin(), blocks_.end(), place,
                         [&](std::uint64_t wanted, std::uint32_t one) { return wanted < scan_.held[one].address; });
    if (behind == blocks_.begin()) return no_index;
    const held_block& found = scan_.held[*(behind - 1)];
    return place - found.address < found.bytes ? *(behind - 1) : no_index;
  }
  std::uint32_t root_at(std::uint64_t place) const {
    const std::uint32_t of_registers = root_among(place, 0, first_other_);
    return of_registers != no_index ? of_registers : root_among(place, first_other_, roots_.size());
  }

 private:
  static bool is_of_registers(const scan_root& one) { return one.kind == wire::root_kind::registers; }
  std::uint32_t root_among(std::uint64_t place, std::size_t first, std::size_t end) const {
    const auto from = roots_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto behind =
        std::upper_bound(from, roots_.begin() + static_cast<std::ptrdiff_t>(end), place,
                         [&](std::uint64_t wanted, std::uint32_t one) { return wanted < scan_.roots[one].begin; });
    return behind != from && place < scan_.roots[*(behind - 1)].end ? *(behind - 1) : no_index;
  }

  const leak_scan& scan_;
  std::vector<std::uint32_t> blocks_, roots_;
  std::size_t first_other_ = 0;
};

// A block whose holder does not come before it makes no sense: ways would not end.
void find_holders(leak_scan& scan) {
  const place_finder places(scan);
  for (std::uint32_t i = 0; i < scan.held.size(); ++i) {
    held_block& one = scan.held[i];
    const std::uint32_t holder = places.block_at(one.place);
    if (holder != no_index && holder < i) {
      one.holder = holder;
    } else {
      one.root = places.root_at(one.place);
    }
  }
}

}  // namespace

scan_state look_for_scan(const std::filesystem::path& path) {
  const scan_file file(path);
  wire::leak_scan_header header{};
  if (file.read_header(header)) return scan_state::there;
  if (file.is_locked()) return scan_state::awaited;
  // It may have been finished in between.
  return file.read_header(header) ? scan_state::there : scan_state::none;
}

std::optional<leak_scan> read_leak_scan(const std::filesystem::path& path) {
  const scan_file file(path);
  leak_scan result;
  if (!file.read_header(result.header)) return std::nullopt;
  std::uint64_t offset = wire::leak_records_offset_bytes;
  take_records<wire::leak_record>(file, result.header.record_count, offset, result);
  take_records<wire::held_record>(file, result.header.held_count, offset, result);
  take_records<wire::root_range>(file, result.header.root_count, offset, result);
  find_holders(result);
  return result;
}

}  // namespace tenure::collect
