#include "instruments/analyze/heap_picture.h"

#include <algorithm>

namespace tenure::analyze {
namespace {

// Bytes of one piece, by what they are.
struct piece {
  std::uint64_t live = 0, in_spans = 0, cached = 0, large = 0, dirty = 0;

  char shown() const {
    if (large > in_spans && large >= dirty) return 'L';
    if (dirty > in_spans + large) return 'd';
    if (in_spans == 0) return '_';
    if (live == 0) return cached != 0 ? 'c' : 'd';
    if (live * 4 >= in_spans * 3) return '#';
    return live * 4 >= in_spans ? '+' : '.';
  }
};

std::uint64_t share(std::uint64_t of, std::uint64_t part_bytes, std::uint64_t whole_bytes) {
  return static_cast<std::uint64_t>(static_cast<double>(of) * static_cast<double>(part_bytes) /
                                    static_cast<double>(whole_bytes));
}

void add_part(piece& to, const collect::mapped_span& of, std::uint64_t bytes) {
  switch (of.kind) {
    case wire::mapped_kind::large:
    case wire::mapped_kind::named_large:
      to.large += bytes;
      return;
    case wire::mapped_kind::free_dirty:
      to.dirty += bytes;
      return;
    case wire::mapped_kind::free_clean:
      return;
    default:
      to.in_spans += bytes;
      to.live += share(of.live_blocks * of.block_bytes, bytes, of.bytes);
      to.cached += share((std::uint64_t{of.cached_blocks} + of.batch_blocks) * of.block_bytes, bytes, of.bytes);
  }
}

}  // namespace

std::string heap_picture(const std::vector<collect::mapped_span>& spans, std::size_t most_pieces,
                         std::uint64_t* piece_bytes) {
  *piece_bytes = 0;
  if (spans.empty() || most_pieces == 0) return {};
  constexpr std::uint64_t least_bytes = 16 << 10;
  const std::uint64_t begin = spans.front().begin;
  const std::uint64_t whole = spans.back().begin + spans.back().bytes - begin;
  std::uint64_t bytes = least_bytes;
  while (bytes <= whole / most_pieces) bytes *= 2;
  std::vector<piece> pieces((whole + bytes - 1) / bytes);
  for (const collect::mapped_span& one : spans) {
    const std::uint64_t end = one.begin + one.bytes - begin;
    for (std::uint64_t at = one.begin - begin; at < end;) {
      const std::uint64_t stop = std::min(end, (at / bytes + 1) * bytes);
      add_part(pieces[at / bytes], one, stop - at);
      at = stop;
    }
  }
  *piece_bytes = bytes;
  std::string text;
  for (const piece& one : pieces) text += one.shown();
  return text;
}

}  // namespace tenure::analyze
