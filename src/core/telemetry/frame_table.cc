#include "core/telemetry/frame_table.h"

#include "core/base/check.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint8_t encoding_omitted = 0xff;
constexpr std::uint8_t encoding_table = 0x3b;  // data-relative, 4 bytes, signed

struct table_row {
  std::int32_t code;
  std::int32_t entry;
};

std::uint64_t relative_to(std::uint64_t base, std::int32_t offset) noexcept {
  return base + static_cast<std::uint64_t>(static_cast<std::int64_t>(offset));
}

// One record of .eh_frame: its body behind the length. False at the end mark or when it is broken.
bool record_body(byte_range readable, std::uint64_t address, byte_range* body) noexcept {
  byte_reader reader(readable, address);
  std::uint64_t bytes = reader.read<std::uint32_t>();
  if (bytes == 0xffffffffu) bytes = reader.read<std::uint64_t>();
  if (!reader.ok() || bytes < 4 || !readable.holds(reader.position(), bytes)) return false;
  *body = {reader.position(), reader.position() + bytes};
  return true;
}

// The letters of the augmentation, behind 'z' and the length of their data.
bool parse_augmentation(byte_reader& letters, byte_reader& reader, frame_entry* entry) noexcept {
  for (auto letter = letters.read<char>(); letter != '\0'; letter = letters.read<char>()) {
    switch (letter) {
      case 'R':
        entry->pointer_encoding = reader.read<std::uint8_t>();
        break;
      case 'L':
        reader.skip(1);
        break;
      case 'P': {
        const auto encoding = reader.read<std::uint8_t>();
        static_cast<void>(read_encoded(reader, encoding & 0x7f, 0));
        break;
      }
      case 'S':
        entry->signal = true;
        break;
      case 'B':
      case 'G':
        break;  // aarch64: which key signs, tagged stack
      default:
        return letters.ok() && reader.ok();  // unknown: the data's length lets us step over the rest
    }
  }
  return letters.ok() && reader.ok();
}

bool parse_common(byte_range readable, std::uint64_t address, frame_entry* entry, bool* augmented) noexcept {
  byte_range body;
  if (!record_body(readable, address, &body)) return false;
  byte_reader reader(body, body.begin);
  if (reader.read<std::uint32_t>() != 0) return false;
  const auto version = reader.read<std::uint8_t>();
  if (version != 1 && version != 3 && version != 4) return false;
  byte_reader letters = reader;
  while (reader.read<char>() != '\0') {
  }
  if (version == 4) reader.skip(2);  // sizes of address and segment selector
  entry->code_alignment = reader.read_uleb();
  entry->data_alignment = reader.read_sleb();
  entry->return_register = version == 1 ? reader.read<std::uint8_t>() : reader.read_uleb();
  const auto first = letters.read<char>();
  *augmented = first == 'z';
  if (*augmented) {
    const std::uint64_t bytes = reader.read_uleb();
    const std::uint64_t begin = reader.position();
    reader.skip(bytes);
    if (!reader.ok()) return false;
    byte_reader data(byte_range{begin, begin + bytes}, begin);
    if (!parse_augmentation(letters, data, entry)) return false;
  } else if (first != '\0') {
    return false;
  }
  entry->initial_instructions = {reader.position(), body.end};
  return reader.ok();
}

}  // namespace

std::uint64_t read_encoded(byte_reader& reader, std::uint8_t encoding, std::uint64_t data_base) noexcept {
  const std::uint64_t here = reader.position();
  std::uint64_t value = 0;
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
      value = reader.read<std::uint64_t>();
      break;
    case 0x01:
      value = reader.read_uleb();
      break;
    case 0x02:
      value = reader.read<std::uint16_t>();
      break;
    case 0x03:
      value = reader.read<std::uint32_t>();
      break;
    case 0x09:
      value = static_cast<std::uint64_t>(reader.read_sleb());
      break;
    case 0x0a:
      value = static_cast<std::uint64_t>(reader.read<std::int16_t>());
      break;
    case 0x0b:
      value = static_cast<std::uint64_t>(reader.read<std::int32_t>());
      break;
    default:
      reader.fail();
      return 0;
  }
  switch (encoding & 0xf0) {
    case 0x00:
      return value;
    case 0x10:
      return value + here;
    case 0x30:
      return value + data_base;
    default:
      reader.fail();
      return 0;
  }
}

std::uint64_t find_entry(byte_range readable, std::uint64_t header_address, std::uint64_t instruction) noexcept {
  byte_reader reader(readable, header_address);
  const auto version = reader.read<std::uint8_t>();
  const auto frame_encoding = reader.read<std::uint8_t>();
  const auto count_encoding = reader.read<std::uint8_t>();
  const auto table_encoding = reader.read<std::uint8_t>();
  if (version != 1 || count_encoding == encoding_omitted || table_encoding != encoding_table) return 0;
  if (frame_encoding != encoding_omitted) static_cast<void>(read_encoded(reader, frame_encoding, header_address));
  const std::uint64_t count = read_encoded(reader, count_encoding, header_address);
  const std::uint64_t table = reader.position();
  if (!reader.ok() || count == 0 || count > (readable.end - table) / sizeof(table_row)) return 0;

  const auto row_at = [&](std::uint64_t index) noexcept {
    return byte_reader(readable, table + index * sizeof(table_row)).read<table_row>();
  };
  if (relative_to(header_address, row_at(0).code) > instruction) return 0;
  std::uint64_t low = 0;  // begins at or before the instruction
  std::uint64_t high = count;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (relative_to(header_address, row_at(middle).code) <= instruction) {
      low = middle;
    } else {
      high = middle;
    }
  }
  TENURE_DCHECK(low < count);
  return relative_to(header_address, row_at(low).entry);
}

bool parse_entry(byte_range readable, std::uint64_t entry_address, frame_entry* entry) noexcept {
  *entry = {};
  byte_range body;
  if (!record_body(readable, entry_address, &body)) return false;
  byte_reader reader(body, body.begin);
  const auto distance = reader.read<std::uint32_t>();
  bool augmented = false;
  if (distance == 0 || !parse_common(readable, body.begin - distance, entry, &augmented)) return false;
  entry->code_begin = read_encoded(reader, entry->pointer_encoding, 0);
  const std::uint64_t code_bytes = read_encoded(reader, entry->pointer_encoding & 0x0f, 0);
  if (augmented) reader.skip(reader.read_uleb());
  if (!reader.ok() || __builtin_add_overflow(entry->code_begin, code_bytes, &entry->code_end)) return false;
  entry->instructions = {reader.position(), body.end};
  return true;
}

}  // namespace tenure::telemetry
