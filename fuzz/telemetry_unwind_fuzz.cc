// The unwinder's parsers on arbitrary bytes: first as a whole .eh_frame_hdr with what follows, then as the call frame
// instructions of an entry that is otherwise sound, then as one expression.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/telemetry/frame_expression.h"
#include "fuzz/telemetry_unwind_image.h"

using namespace tenure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of its exact size, so that a read beyond either end is seen.
  const std::vector<std::uint8_t> bytes(data, data + size);
  const auto begin = reinterpret_cast<std::uint64_t>(bytes.data());
  const telemetry::byte_range whole{begin, begin + size};
  for (std::uint64_t distance = 0; distance < 4096; distance += 512) {
    fuzzing::rule_in_image(whole, begin, begin + distance);
    telemetry::frame_entry entry;
    telemetry::parse_entry(whole, begin + distance / 128, &entry);
  }
  fuzzing::unwind_image image(bytes);
  for (std::uint64_t offset = 0; offset < fuzzing::unwind_image::code_bytes; offset += 9) {
    const telemetry::unwind_rule rule = fuzzing::rule_in_image(image.range(), image.header(), image.code() + offset);
    if (rule.kind == telemetry::rule_kind::caller && rule.return_address.where == telemetry::place::lost) std::abort();
  }
  const telemetry::symbolic_value cfa{telemetry::symbolic_value::base::cfa, false, 0, 0};
  telemetry::symbolic_value value;
  telemetry::evaluate(whole, begin, &cfa, &value);
  return 0;
}
