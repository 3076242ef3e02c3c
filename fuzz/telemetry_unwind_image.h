// Unwind information in a buffer of its exact size: a search table with one row, a CIE, and one FDE whose call frame
// instructions are the caller's bytes. What the fuzz target mutates and the unit test writes by hand.
//
//   .eh_frame_hdr | CIE | FDE + program | end mark          the code it describes follows the buffer, and is never read
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/telemetry/byte_range.h"
#include "core/telemetry/frame_program.h"
#include "core/telemetry/frame_table.h"

namespace tenure::fuzzing {

class unwind_image {
 public:
  static constexpr std::uint64_t code_bytes = 64;

  explicit unwind_image(const std::vector<std::uint8_t>& program) {
    // x86-64's own CIE: CFA = rsp + 8, return address (column 16) at CFA - 8.
    const std::uint8_t cie[] = {20, 0,    0,  0, 0,    0,    0, 0, 1,    'z', 'R', 0,
                                1,  0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1,   0,   0};
    const std::uint8_t header[] = {1, 0x1b, 0x03, 0x3b};
    append(header, sizeof header);
    append_number(0);  // .eh_frame, not needed
    append_number(1);
    const std::size_t row = bytes_.size();
    append_number(0);
    append_number(0);
    const std::size_t cie_at = bytes_.size();
    append(cie, sizeof cie);
    const std::size_t fde_at = bytes_.size();
    const std::size_t padded = (program.size() + 4) / 4 * 4 + 3;  // ends with nops
    append_number(static_cast<std::uint32_t>(4 + 4 + 4 + 1 + padded));
    append_number(static_cast<std::uint32_t>(bytes_.size() - cie_at));
    const std::size_t begin_at = bytes_.size();
    append_number(0);
    append_number(code_bytes);
    bytes_.push_back(0);
    append(program.data(), program.size());
    bytes_.resize(bytes_.size() + padded - program.size());
    append_number(0);
    // The code begins at the next multiple of 16 behind the buffer, which has its final place now.
    bytes_.shrink_to_fit();
    const std::uint64_t base = reinterpret_cast<std::uint64_t>(bytes_.data());
    code_ = (base + bytes_.size() + 15) / 16 * 16;
    put(row, static_cast<std::uint32_t>(code_ - base));
    put(row + 4, static_cast<std::uint32_t>(fde_at));
    put(begin_at, static_cast<std::uint32_t>(code_ - base - begin_at));
  }
  unwind_image(const unwind_image&) = delete;
  unwind_image& operator=(const unwind_image&) = delete;

  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint64_t header() const { return reinterpret_cast<std::uint64_t>(bytes_.data()); }
  std::uint64_t code() const { return code_; }
  telemetry::byte_range range() const { return {header(), header() + bytes_.size()}; }

 private:
  void append(const std::uint8_t* data, std::size_t size) { bytes_.insert(bytes_.end(), data, data + size); }
  void append_number(std::uint32_t number) {
    bytes_.resize(bytes_.size() + 4);
    put(bytes_.size() - 4, number);
  }
  void put(std::size_t at, std::uint32_t number) { std::memcpy(&bytes_[at], &number, sizeof number); }

  std::vector<std::uint8_t> bytes_;
  std::uint64_t code_ = 0;
};

// As the unwinder asks: table, entry, program.
inline telemetry::unwind_rule rule_in_image(telemetry::byte_range range, std::uint64_t header, std::uint64_t address) {
  const std::uint64_t entry_address = telemetry::find_entry(range, header, address);
  telemetry::frame_entry entry;
  if (entry_address == 0 || !telemetry::parse_entry(range, entry_address, &entry)) return {};
  if (address < entry.code_begin || address >= entry.code_end) return {};
  return telemetry::run_frame_program(entry, address);
}

}  // namespace tenure::fuzzing
