#include "core/telemetry/frame_program.h"

#include <limits>

#include "core/base/check.h"
#include "core/telemetry/frame_expression.h"
#include "core/telemetry/frame_table.h"
#include "core/telemetry/machine.h"

namespace tenure::telemetry {
namespace {

// What the row says of one register.
struct register_column {
  enum class form : std::uint8_t { same, at_cfa_offset, at_expression, undefined, other } is = form::same;
  std::int64_t offset = 0;
  byte_range expression;
};
using form = register_column::form;

struct cfa_column {
  enum class form : std::uint8_t { none, register_offset, expression } is = form::none;
  std::uint64_t number = 0;
  std::int64_t offset = 0;
  byte_range expression;
};

struct row {
  cfa_column cfa;
  register_column stack, frame, return_address;
};

constexpr unsigned remembered_limit = 8;

bool fits(std::int64_t value) noexcept {
  return value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
}

class frame_machine {
 public:
  frame_machine(const frame_entry& entry, std::uint64_t instruction) noexcept
      : entry_(entry), instruction_(instruction), location_(entry.code_begin) {}

  bool run() noexcept {
    if (!run_range(entry_.initial_instructions)) return false;
    initial_ = row_;
    location_ = entry_.code_begin;
    return run_range(entry_.instructions);
  }

  const row& result() const noexcept { return row_; }

 private:
  bool run_range(byte_range range) noexcept {
    byte_reader reader(range, range.begin);
    while (!failed_ && reader.ok() && !reader.at_end() && !passed_) step(reader);
    return !failed_ && reader.ok();
  }

  void advance(std::uint64_t units) noexcept {
    std::uint64_t bytes = 0;
    std::uint64_t next = 0;
    if (__builtin_mul_overflow(units, entry_.code_alignment, &bytes) ||
        __builtin_add_overflow(location_, bytes, &next)) {
      failed_ = true;
      return;
    }
    move_to(next);
  }
  // Rows before `next` are complete: stop when the address wanted lies among them.
  void move_to(std::uint64_t next) noexcept {
    if (next > instruction_) passed_ = true;
    location_ = next;
  }

  // Null for the registers that are not followed.
  register_column* column(row& of, std::uint64_t number) const noexcept {
    if (number == entry_.return_register) return &of.return_address;
    if (number == machine::frame_register) return &of.frame;
    if (number == machine::stack_register) return &of.stack;
    return nullptr;
  }
  void set(std::uint64_t number, register_column value) noexcept {
    if (register_column* at = column(row_, number)) *at = value;
  }
  void set_offset(std::uint64_t number, std::int64_t factored) noexcept {
    std::int64_t offset = 0;
    if (__builtin_mul_overflow(factored, entry_.data_alignment, &offset)) failed_ = true;
    set(number, {form::at_cfa_offset, offset, {}});
  }
  void restore(std::uint64_t number) noexcept {
    if (const register_column* from = column(initial_, number)) set(number, *from);
  }

  void set_cfa_offset(std::int64_t offset) noexcept {
    if (row_.cfa.is != cfa_column::form::register_offset) failed_ = true;
    row_.cfa.offset = offset;
  }
  std::int64_t factored(std::int64_t value) noexcept {
    std::int64_t result = 0;
    if (__builtin_mul_overflow(value, entry_.data_alignment, &result)) failed_ = true;
    return result;
  }

  static byte_range block(byte_reader& reader) noexcept {
    const std::uint64_t bytes = reader.read_uleb();
    const std::uint64_t begin = reader.position();
    reader.skip(bytes);
    return reader.ok() ? byte_range{begin, begin + bytes} : byte_range{};
  }

  void remember() noexcept {
    if (remembered_count_ == remembered_limit) {
      failed_ = true;
    } else {
      remembered_[remembered_count_++] = row_;
    }
  }
  void recall() noexcept {
    if (remembered_count_ == 0) {
      failed_ = true;
    } else {
      TENURE_DCHECK(remembered_count_ <= remembered_limit);
      row_ = remembered_[--remembered_count_];
    }
  }

  void step(byte_reader& reader) noexcept {
    const auto code = reader.read<std::uint8_t>();
    switch (code & 0xc0) {
      case 0x40:
        return advance(code & 0x3fu);
      case 0x80:
        return set_offset(code & 0x3fu, static_cast<std::int64_t>(reader.read_uleb()));
      case 0xc0:
        return restore(code & 0x3fu);
      default:
        break;
    }
    if (code <= 0x05 || code == 0x1d) return step_location(code, reader);
    if (code >= 0x0c && code <= 0x13 && code != 0x10 && code != 0x11) return step_cfa(code, reader);
    step_register(code, reader);
  }

  void step_location(std::uint8_t code, byte_reader& reader) noexcept {
    switch (code) {
      case 0x00:
        return;     // nop
      case 0x01: {  // set_loc
        const std::uint64_t next = read_encoded(reader, entry_.pointer_encoding, 0);
        return move_to(next);
      }
      case 0x02:
        return advance(reader.read<std::uint8_t>());
      case 0x03:
        return advance(reader.read<std::uint16_t>());
      case 0x04:
        return advance(reader.read<std::uint32_t>());
      case 0x1d:
        return advance(reader.read<std::uint64_t>());
      default: {  // offset_extended
        const std::uint64_t number = reader.read_uleb();
        return set_offset(number, static_cast<std::int64_t>(reader.read_uleb()));
      }
    }
  }

  void step_cfa(std::uint8_t code, byte_reader& reader) noexcept {
    cfa_column& cfa = row_.cfa;
    switch (code) {
      case 0x0c:    // def_cfa
      case 0x12: {  // def_cfa_sf
        const std::uint64_t number = reader.read_uleb();
        const std::int64_t offset =
            code == 0x0c ? static_cast<std::int64_t>(reader.read_uleb()) : factored(reader.read_sleb());
        cfa = {cfa_column::form::register_offset, number, offset, {}};
        return;
      }
      case 0x0d:  // def_cfa_register
        if (cfa.is != cfa_column::form::register_offset) failed_ = true;
        cfa.number = reader.read_uleb();
        return;
      case 0x0e:
        return set_cfa_offset(static_cast<std::int64_t>(reader.read_uleb()));
      case 0x13:
        return set_cfa_offset(factored(reader.read_sleb()));
      default:  // def_cfa_expression
        cfa = {cfa_column::form::expression, 0, 0, block(reader)};
    }
  }

  void step_register(std::uint8_t code, byte_reader& reader) noexcept {
    switch (code) {
      case 0x06:
        return restore(reader.read_uleb());
      case 0x07:
        return set(reader.read_uleb(), {form::undefined, 0, {}});
      case 0x08:
        return set(reader.read_uleb(), {form::same, 0, {}});
      case 0x09: {  // register: in another register, which is not followed
        const std::uint64_t number = reader.read_uleb();
        static_cast<void>(reader.read_uleb());
        return set(number, {form::other, 0, {}});
      }
      case 0x0a:
        return remember();
      case 0x0b:
        return recall();
      case 0x10: {  // expression
        const std::uint64_t number = reader.read_uleb();
        return set(number, {form::at_expression, 0, block(reader)});
      }
      case 0x11: {  // offset_extended_sf
        const std::uint64_t number = reader.read_uleb();
        return set_offset(number, reader.read_sleb());
      }
      case 0x14:    // val_offset
      case 0x15: {  // val_offset_sf
        const std::uint64_t number = reader.read_uleb();
        static_cast<void>(reader.read_uleb());
        return set(number, {form::other, 0, {}});
      }
      case 0x16: {  // val_expression
        const std::uint64_t number = reader.read_uleb();
        static_cast<void>(block(reader));
        return set(number, {form::other, 0, {}});
      }
      case 0x2d:
        return;  // aarch64: the return address is signed from here
      case 0x2e:
        return static_cast<void>(reader.read_uleb());  // GNU_args_size
      case 0x2f: {                                     // GNU_negative_offset_extended
        const std::uint64_t number = reader.read_uleb();
        return set_offset(number, -static_cast<std::int64_t>(reader.read_uleb() & 0x7fffffff));
      }
      default:
        failed_ = true;
    }
  }

  const frame_entry& entry_;
  std::uint64_t instruction_;
  std::uint64_t location_;
  row row_;
  row initial_;
  row remembered_[remembered_limit];
  unsigned remembered_count_ = 0;
  bool passed_ = false;
  bool failed_ = false;
};

// A rule out of a finished row.
class rule_builder {
 public:
  rule_builder(const row& from, std::uint64_t instruction) noexcept : row_(from), instruction_(instruction) {}

  unwind_rule build(bool signal) noexcept {
    unwind_rule rule;
    if (row_.return_address.is == form::undefined) {
      rule.kind = rule_kind::complete;
      return rule;
    }
    rule.signal = signal;
    if (!set_cfa(&rule) || !set_saved(row_.return_address, &rule.return_address) ||
        !set_saved(row_.frame, &rule.frame) || !stack_is_cfa(rule)) {
      return {};
    }
    if (rule.return_address.where == place::lost) return {};
    if (rule.return_address.where == place::unchanged && !machine::has_link_register) return {};
    rule.kind = rule_kind::caller;
    return rule;
  }

 private:
  bool set_cfa(unwind_rule* rule) const noexcept {
    if (row_.cfa.is == cfa_column::form::register_offset) {
      rule->cfa_from_frame = row_.cfa.number == machine::frame_register;
      rule->cfa_offset = static_cast<std::int32_t>(row_.cfa.offset);
      return fits(row_.cfa.offset) && (rule->cfa_from_frame || row_.cfa.number == machine::stack_register);
    }
    symbolic_value value;
    if (row_.cfa.is == cfa_column::form::none || !evaluate(row_.cfa.expression, instruction_, nullptr, &value)) {
      return false;
    }
    if (value.from == symbolic_value::base::constant || !fits(value.inner) || !fits(value.offset)) return false;
    TENURE_DCHECK(value.from != symbolic_value::base::cfa);  // the CFA is what is being computed
    rule->cfa_from_frame = value.from == symbolic_value::base::frame;
    rule->cfa_dereferenced = value.dereferenced;
    rule->cfa_inner = static_cast<std::int32_t>(value.inner);
    rule->cfa_offset = static_cast<std::int32_t>(value.offset);
    return true;
  }

  bool address_of(const register_column& from, symbolic_value* address) const noexcept {
    const symbolic_value cfa{symbolic_value::base::cfa, false, 0, 0};
    if (!evaluate(from.expression, instruction_, &cfa, address)) return false;
    return address->from != symbolic_value::base::constant && !address->dereferenced && fits(address->offset);
  }

  bool set_saved(const register_column& from, saved_register* to) const noexcept {
    switch (from.is) {
      case form::same:
        *to = {place::unchanged, 0};
        return true;
      case form::undefined:
      case form::other:
        *to = {place::lost, 0};
        return true;
      case form::at_cfa_offset:
        *to = {place::cfa, static_cast<std::int32_t>(from.offset)};
        return fits(from.offset);
      case form::at_expression:
        break;
    }
    symbolic_value address;
    if (!address_of(from, &address)) return false;
    const auto offset = static_cast<std::int32_t>(address.offset);
    switch (address.from) {
      case symbolic_value::base::stack:
        *to = {place::stack, offset};
        return true;
      case symbolic_value::base::frame:
        *to = {place::frame, offset};
        return true;
      default:
        *to = {place::cfa, offset};
        return true;
    }
  }

  // The caller's stack pointer is the CFA. A rule for it is fine where it says the same: signal frames save it in the
  // very place from which they read the CFA.
  bool stack_is_cfa(const unwind_rule& rule) const noexcept {
    if (row_.stack.is == form::same) return true;
    symbolic_value address;
    if (row_.stack.is != form::at_expression || !address_of(row_.stack, &address)) return false;
    const bool from_frame = address.from == symbolic_value::base::frame;
    return rule.cfa_dereferenced && rule.cfa_offset == 0 && address.from != symbolic_value::base::cfa &&
           from_frame == rule.cfa_from_frame && address.offset == rule.cfa_inner;
  }

  const row& row_;
  std::uint64_t instruction_;
};

}  // namespace

unwind_rule run_frame_program(const frame_entry& entry, std::uint64_t instruction) noexcept {
  TENURE_DCHECK(instruction >= entry.code_begin && instruction < entry.code_end);
  frame_machine machine(entry, instruction);
  if (!machine.run()) return {};
  return rule_builder(machine.result(), instruction).build(entry.signal);
}

}  // namespace tenure::telemetry
