// The readers of traces, with any bytes at all: recognised and as each format, whole and in pieces, which must not
// matter. What comes out is simulated.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "instruments/replay/simulate.h"
#include "instruments/replay/trace_reader.h"

namespace {

using namespace tenure::replay;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::uint64_t most_requests = 2000;

std::expected<trace, std::string> read(std::string_view bytes, const reader_options& options, std::size_t piece) {
  trace_reader reader("fuzz", options);
  for (; !bytes.empty() && !reader.is_full(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (const auto taken = reader.feed(bytes.substr(0, piece)); !taken) return std::unexpected(taken.error());
  }
  return reader.finish();
}

void read_as(std::string_view bytes, const reader_options& options) {
  const auto whole = read(bytes, options, bytes.size() + 1), pieces = read(bytes, options, 7);
  require(whole.has_value() == pieces.has_value());
  if (!whole) {
    require(whole.error() == pieces.error() && whole.error().ends_with('.'));
    return;
  }
  require(!whole->requests.empty() && whole->requests.size() <= most_requests);
  require(whole->requests.size() == pieces->requests.size() && whole->format == pieces->format);
  for (std::size_t i = 0; i < whole->requests.size(); ++i)
    require(whole->requests[i].identity == pieces->requests[i].identity);
  const bool is_in_bytes = whole->has_sizes;
  const auto results = simulate(*whole, {.policies = {"lru", opt_name}, .capacities = {3}, .is_in_bytes = is_in_bytes});
  require(results.size() == 2 && (is_in_bytes || results[0].hits <= results[1].hits));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size_bytes);
  read_as(bytes, {.most_requests = most_requests});
  for (const trace_format format : {trace_format::oracle_general, trace_format::csv, trace_format::integers,
                                    trace_format::arc, trace_format::lirs}) {
    read_as(bytes, {.format = format, .most_requests = most_requests});
  }
  read_as(bytes, {.format = trace_format::csv, .columns = csv_columns{2, 1}, .most_requests = most_requests});
  return 0;
}
