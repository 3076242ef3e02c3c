#include "instruments/import/pprof_message.h"

#include "instruments/record/byte_stream.h"

namespace tenure::importing {
namespace {

using record::byte_reader;

// One field of a protobuf message.
struct field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;             // of a varint
  byte_reader part = byte_reader({});  // of what has a length
  bool has_length = false;
};

// Numbers of fields, as profile.proto has them.
enum profile_field : std::uint64_t {
  sample_type = 1,
  sample = 2,
  mapping = 3,
  location = 4,
  function = 5,
  string_table = 6,
  period_type = 11,
  period = 12,
};

// Calls take(field) for each field of a message; false when it makes no sense.
template <class Take>
bool each_field(byte_reader message, Take&& take) {
  constexpr std::uint64_t varint = 0, eight_bytes = 1, with_length = 2, four_bytes = 5;
  while (message.ok() && message.left() != 0) {
    const std::uint64_t key = message.number();
    field one;
    one.number = key >> 3;
    switch (key & 7) {
      case varint:
        one.value = message.number();
        break;
      case with_length:
        one.part = message.part();
        one.has_length = true;
        break;
      case eight_bytes:
        message.skip(8);
        continue;
      case four_bytes:
        message.skip(4);
        continue;
      default:
        return false;
    }
    if (!message.ok() || one.number == 0 || !take(one)) return false;
  }
  return message.ok();
}

// Numbers one by one, or many in one field.
bool take_numbers(field& from, std::vector<std::uint64_t>& into) {
  if (!from.has_length) {
    into.push_back(from.value);
    return true;
  }
  while (from.part.ok() && from.part.left() != 0) into.push_back(from.part.number());
  return from.part.ok();
}

// A message whose fields of interest are plain numbers: those of the fields 1, 2, ...
template <std::size_t count>
bool take_plain(const byte_reader& message, std::uint64_t* const (&into)[count]) {
  return each_field(message, [&](field& one) {
    if (one.number <= count) {
      if (one.has_length) return false;
      *into[one.number - 1] = one.value;
    }
    return true;
  });
}

bool take_sample(const byte_reader& message, pprof_profile& into) {
  pprof_profile::sample& one = into.samples.emplace_back();
  return each_field(message, [&](field& part) {
    if (part.number == 1) return take_numbers(part, one.locations);
    return part.number != 2 || take_numbers(part, one.values);
  });
}

bool take_location(const byte_reader& message, pprof_profile& into) {
  pprof_profile::location& one = into.locations.emplace_back();
  return take_plain(message, {&one.id, &one.mapping, &one.address}) && each_field(message, [&](field& part) {
           if (part.number != 4) return true;
           pprof_profile::line& line = one.lines.emplace_back();
           return part.has_length && take_plain(part.part, {&line.function, &line.number});
         });
}

bool take_mapping(const byte_reader& message, pprof_profile& into) {
  pprof_profile::mapping& one = into.mappings.emplace_back();
  return take_plain(message, {&one.id, &one.begin, &one.end, &one.offset, &one.file, &one.build_id});
}

bool take_function(const byte_reader& message, pprof_profile& into) {
  pprof_profile::function& one = into.functions.emplace_back();
  return take_plain(message, {&one.id, &one.name, &one.system_name, &one.file});
}

bool take_type(const byte_reader& message, pprof_profile::value_type& into) {
  return take_plain(message, {&into.type, &into.unit});
}

}  // namespace

std::optional<pprof_profile> parse_pprof(std::span<const std::uint8_t> bytes) {
  pprof_profile profile;
  const bool is_one = each_field(byte_reader(bytes), [&](field& one) {
    if (one.number == period) profile.period = one.value;
    const bool has_length = one.number <= string_table || one.number == period_type;
    if (!has_length) return true;
    if (!one.has_length) return false;
    switch (one.number) {
      case sample_type:
        return take_type(one.part, profile.types.emplace_back());
      case sample:
        return take_sample(one.part, profile);
      case mapping:
        return take_mapping(one.part, profile);
      case location:
        return take_location(one.part, profile);
      case function:
        return take_function(one.part, profile);
      case string_table:
        profile.texts.push_back(one.part.rest());
        return true;
      default:
        return take_type(one.part, profile.period_type);
    }
  });
  // The first text of every profile is empty.
  if (!is_one || profile.types.empty() || profile.texts.empty() || !profile.texts.front().empty()) return std::nullopt;
  return profile;
}

}  // namespace tenure::importing
