#include "core/telemetry/frame_expression.h"

#include "core/base/check.h"
#include "core/telemetry/machine.h"

namespace tenure::telemetry {
namespace {

using base = symbolic_value::base;

constexpr unsigned depth_limit = 16;

symbolic_value constant(std::uint64_t value) noexcept {
  return {base::constant, false, 0, static_cast<std::int64_t>(value)};
}

// Wrapping, as the machine would.
std::int64_t sum(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

class evaluator {
 public:
  evaluator(byte_range expression, std::uint64_t instruction) noexcept
      : reader_(expression, expression.begin), instruction_(instruction) {}

  bool run() noexcept {
    while (!failed_ && reader_.ok() && !reader_.at_end()) step(reader_.read<std::uint8_t>());
    return !failed_ && reader_.ok() && depth_ != 0;
  }
  void push(symbolic_value value) noexcept {
    if (depth_ == depth_limit) {
      failed_ = true;
    } else {
      stack_[depth_++] = value;
    }
  }
  symbolic_value top() const noexcept {
    TENURE_DCHECK(depth_ != 0);
    return stack_[depth_ - 1];
  }

 private:
  symbolic_value pop() noexcept {
    if (depth_ == 0) return failed_ = true, symbolic_value{};
    return stack_[--depth_];
  }

  std::uint64_t pop_constant() noexcept {
    const symbolic_value value = pop();
    if (value.from != base::constant) failed_ = true;
    return static_cast<std::uint64_t>(value.offset);
  }

  void push_register(std::uint64_t number, std::int64_t offset) noexcept {
    if (number == machine::stack_register) return push({base::stack, false, 0, offset});
    if (number == machine::frame_register) return push({base::frame, false, 0, offset});
    // rip; where the column of the return address is a register of its own, its value is not known here.
    if (number == machine::return_register && !machine::has_link_register) {
      return push(constant(instruction_ + static_cast<std::uint64_t>(offset)));
    }
    failed_ = true;
  }

  void add(symbolic_value a, symbolic_value b) noexcept {
    if (a.from != base::constant && b.from != base::constant) {
      failed_ = true;
      return;
    }
    symbolic_value result = a.from == base::constant ? b : a;
    result.offset = sum(a.offset, b.offset);
    push(result);
  }

  void dereference() noexcept {
    const symbolic_value value = pop();
    if (value.from == base::constant || value.dereferenced) {
      failed_ = true;
      return;
    }
    push({value.from, true, value.offset, 0});
  }

  void pick(unsigned from_top) noexcept {
    if (from_top >= depth_) {
      failed_ = true;
    } else {
      push(stack_[depth_ - 1 - from_top]);
    }
  }

  bool step_literal(std::uint8_t code) noexcept {
    switch (code) {
      case 0x08:
        return push(constant(reader_.read<std::uint8_t>())), true;
      case 0x09:
        return push(constant(static_cast<std::uint64_t>(reader_.read<std::int8_t>()))), true;
      case 0x0a:
        return push(constant(reader_.read<std::uint16_t>())), true;
      case 0x0b:
        return push(constant(static_cast<std::uint64_t>(reader_.read<std::int16_t>()))), true;
      case 0x0c:
        return push(constant(reader_.read<std::uint32_t>())), true;
      case 0x0d:
        return push(constant(static_cast<std::uint64_t>(reader_.read<std::int32_t>()))), true;
      case 0x0e:
      case 0x0f:
        return push(constant(reader_.read<std::uint64_t>())), true;
      case 0x10:
        return push(constant(reader_.read_uleb())), true;
      case 0x11:
        return push(constant(static_cast<std::uint64_t>(reader_.read_sleb()))), true;
      default:
        return false;
    }
  }

  // Two constants to one.
  bool step_arithmetic(std::uint8_t code) noexcept {
    if (code != 0x1a && code != 0x1e && code != 0x21 && code != 0x24 && code != 0x25 && code != 0x27 &&
        (code < 0x29 || code > 0x2e)) {
      return false;
    }
    const std::uint64_t b = pop_constant();
    const std::uint64_t a = pop_constant();
    const auto signed_a = static_cast<std::int64_t>(a);
    const auto signed_b = static_cast<std::int64_t>(b);
    std::uint64_t result = 0;
    switch (code) {
      case 0x1a:
        result = a & b;
        break;
      case 0x1e:
        result = a * b;
        break;
      case 0x21:
        result = a | b;
        break;
      case 0x24:
        result = b < 64 ? a << b : 0;
        break;
      case 0x25:
        result = b < 64 ? a >> b : 0;
        break;
      case 0x27:
        result = a ^ b;
        break;
      case 0x29:
        result = a == b;
        break;
      case 0x2a:
        result = signed_a >= signed_b;
        break;
      case 0x2b:
        result = signed_a > signed_b;
        break;
      case 0x2c:
        result = signed_a <= signed_b;
        break;
      case 0x2d:
        result = signed_a < signed_b;
        break;
      default:
        result = a != b;
        break;
    }
    push(constant(result));
    return true;
  }

  void step(std::uint8_t code) noexcept {
    if (code >= 0x30 && code <= 0x4f) return push(constant(code - 0x30u));                      // lit0 ..
    if (code >= 0x70 && code <= 0x8f) return push_register(code - 0x70u, reader_.read_sleb());  // breg0 ..
    if (step_literal(code) || step_arithmetic(code)) return;
    switch (code) {
      case 0x06:
        return dereference();
      case 0x12:
        return pick(0);
      case 0x13:
        return static_cast<void>(pop());
      case 0x14:
        return pick(1);
      case 0x1c:
        return subtract();
      case 0x22:
        return add(pop(), pop());
      case 0x23:
        return add(pop(), constant(reader_.read_uleb()));
      case 0x92: {
        const std::uint64_t number = reader_.read_uleb();
        return push_register(number, reader_.read_sleb());
      }
      case 0x96:
        return;  // nop
      default:
        failed_ = true;
    }
  }

  void subtract() noexcept {
    const std::uint64_t b = pop_constant();
    add(pop(), constant(0 - b));
  }

  byte_reader reader_;
  std::uint64_t instruction_;
  symbolic_value stack_[depth_limit];
  unsigned depth_ = 0;
  bool failed_ = false;
};

}  // namespace

bool evaluate(byte_range expression, std::uint64_t instruction, const symbolic_value* start,
              symbolic_value* result) noexcept {
  evaluator machine(expression, instruction);
  if (start != nullptr) machine.push(*start);
  if (!machine.run()) return false;
  *result = machine.top();
  return true;
}

}  // namespace tenure::telemetry
