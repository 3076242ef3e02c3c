// Unwind information made by hand: what each form means, and that broken bytes end in no rule.
#include "core/telemetry/frame_table.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/telemetry/frame_expression.h"
#include "core/telemetry/machine.h"
#include "fuzz/telemetry_unwind_image.h"

using namespace tenure::telemetry;
using tenure::fuzzing::rule_in_image;
using tenure::fuzzing::unwind_image;

namespace {

#if defined(__x86_64__)

unwind_rule rule_of(std::vector<std::uint8_t> program, std::uint64_t offset_in_code = 8) {
  unwind_image image(program);
  return rule_in_image(image.range(), image.header(), image.code() + offset_in_code);
}

TEST(frame_table, reads_what_a_compiler_writes_for_a_plain_frame) {
  // push rbx; sub rsp, 32: advance 1, def_cfa_offset 16, offset rbx, advance 4, def_cfa_offset 48
  const std::vector<std::uint8_t> program{0x41, 0x0e, 16, 0x83, 2, 0x44, 0x0e, 48};
  const unwind_rule body = rule_of(program);
  EXPECT_EQ(body.kind, rule_kind::caller);
  EXPECT_FALSE(body.cfa_from_frame);
  EXPECT_EQ(body.cfa_offset, 48);
  EXPECT_EQ(body.return_address, (saved_register{place::cfa, -8}));
  EXPECT_EQ(body.frame.where, place::unchanged);
  EXPECT_EQ(rule_of(program, 0).cfa_offset, 8);
  EXPECT_EQ(rule_of(program, 1).cfa_offset, 16);
  EXPECT_EQ(rule_of(program, 4).cfa_offset, 16);
  EXPECT_EQ(rule_of(program, 5).cfa_offset, 48);
}

TEST(frame_table, reads_a_frame_pointer_and_remembered_rows) {
  // push rbp; mov rbp, rsp | remember, leave | recall
  const std::vector<std::uint8_t> program{0x41, 0x0e, 16,   0x86, 2, 0x43, 0x0d, 6,
                                          0x42, 0x0a, 0x0c, 7,    8, 0xc6, 0x42, 0x0b};
  const unwind_rule body = rule_of(program, 5);
  EXPECT_TRUE(body.cfa_from_frame);
  EXPECT_EQ(body.cfa_offset, 16);
  EXPECT_EQ(body.frame, (saved_register{place::cfa, -16}));
  const unwind_rule left = rule_of(program, 6);
  EXPECT_FALSE(left.cfa_from_frame);
  EXPECT_EQ(left.cfa_offset, 8);
  EXPECT_EQ(left.frame.where, place::unchanged);
  EXPECT_EQ(rule_of(program, 9), body);
}

TEST(frame_table, evaluates_the_linkage_tables_expression_by_the_address) {
  // rsp + 8 + ((rip & 15) >= 11) << 3
  const std::vector<std::uint8_t> program{0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
  EXPECT_EQ(rule_of(program, 10).cfa_offset, 8);
  EXPECT_EQ(rule_of(program, 11).cfa_offset, 16);
  EXPECT_EQ(rule_of(program, 16 + 3).cfa_offset, 8);
}

TEST(frame_table, reads_a_realigned_frame) {
  // CFA = *(rbp - 8); rbp saved at rbp + 0
  const unwind_rule rule = rule_of({0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0});
  EXPECT_EQ(rule.kind, rule_kind::caller);
  EXPECT_TRUE(rule.cfa_from_frame);
  EXPECT_TRUE(rule.cfa_dereferenced);
  EXPECT_EQ(rule.cfa_inner, -8);
  EXPECT_EQ(rule.frame, (saved_register{place::frame, 0}));
}

TEST(frame_table, has_the_end_of_the_stack_where_the_return_address_is_undefined) {
  EXPECT_EQ(rule_of({0x07, 16}).kind, rule_kind::complete);
}

TEST(frame_table, has_no_rule_for_what_a_rule_cannot_say) {
  EXPECT_EQ(rule_of({0x0c, 3, 16}).kind, rule_kind::none);                // CFA from rbx
  EXPECT_EQ(rule_of({0x0f, 2, 0x73, 0}).kind, rule_kind::none);           // expression on rbx
  EXPECT_EQ(rule_of({0x0f, 3, 0x30, 0x06, 0x96}).kind, rule_kind::none);  // *0
  EXPECT_EQ(rule_of({0x0b}).kind, rule_kind::none);                       // recalls what was not remembered
  EXPECT_EQ(rule_of({0x3c}).kind, rule_kind::none);                       // no such instruction
  EXPECT_EQ(rule_of({0x0f, 50, 0x30}).kind, rule_kind::none);             // longer than the entry
  EXPECT_EQ(rule_of({0x09, 16, 3}).kind, rule_kind::none);                // return address in a register
  EXPECT_EQ(rule_of({0x0e}).kind, rule_kind::caller);                     // operand 0 from the entry's padding: CFA + 0
}

TEST(frame_table, knows_only_the_code_its_entries_cover) {
  unwind_image image({});
  EXPECT_EQ(rule_in_image(image.range(), image.header(), image.code() - 1).kind, rule_kind::none);
  EXPECT_EQ(rule_in_image(image.range(), image.header(), image.code() + unwind_image::code_bytes).kind,
            rule_kind::none);
}

#endif

TEST(frame_table, stays_inside_whatever_the_bytes_say) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 100000; ++round) {
    std::vector<std::uint8_t> program(random() % 40);
    for (std::uint8_t& byte : program) byte = static_cast<std::uint8_t>(random());
    unwind_image image(program);
    const int damages = static_cast<int>(random() % 6);
    for (int i = 0; i < damages; ++i)
      image.bytes()[random() % image.bytes().size()] = static_cast<std::uint8_t>(random());
    rule_in_image(image.range(), image.header(), image.code() + random() % unwind_image::code_bytes);
  }
}

}  // namespace
