// Traces in each format, recognised and told, whole and in pieces; and what is said of those that are damaged.
#include <gtest/gtest.h>

#include <cstring>

#include "instruments/replay/trace_reader.h"

namespace tenure::replay {
namespace {

using outcome = std::expected<trace, std::string>;

outcome read(const std::string& bytes, const reader_options& options = {}, std::size_t piece = 1 << 20) {
  trace_reader reader("t", options);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (const auto taken = reader.feed(std::string_view(bytes).substr(at, piece)); !taken)
      return std::unexpected(taken.error());
  }
  return reader.finish();
}

std::string error_of(const outcome& result) { return result ? "none" : result.error(); }

std::vector<std::uint64_t> identities(const std::vector<std::uint64_t>& numbers) {
  std::vector<std::uint64_t> all;
  for (const std::uint64_t one : numbers) all.push_back(identity_of(one));
  return all;
}
std::vector<std::uint64_t> identities(const trace& of) {
  std::vector<std::uint64_t> all;
  for (const request& one : of.requests) all.push_back(one.identity);
  return all;
}
std::vector<std::uint32_t> sizes(const trace& of) {
  std::vector<std::uint32_t> all;
  for (const request& one : of.requests) all.push_back(one.size_bytes);
  return all;
}

// As libCacheSim packs it.
std::string record(std::uint32_t time, std::uint64_t object, std::uint32_t size, std::int64_t next) {
  std::string bytes(24, '\0');
  std::memcpy(&bytes[0], &time, 4);
  std::memcpy(&bytes[4], &object, 8);
  std::memcpy(&bytes[12], &size, 4);
  std::memcpy(&bytes[16], &next, 8);
  return bytes;
}

const std::string oracle = record(1, 70, 100, 2) + record(1, 80, 300, -1) + record(5, 70, 100, -1);

struct example {
  const char* what;
  std::string text;
  trace_format format;
  std::vector<std::uint64_t> objects;
  std::vector<std::uint32_t> object_sizes;
};

const std::vector<example>& examples() {
  static const std::vector<example> all = {
      {"oracleGeneral", oracle, trace_format::oracle_general, {70, 80, 70}, {100, 300, 100}},
      {"integers", "70\n80\r\n# a remark\n\n 70 ", trace_format::integers, {70, 80, 70}, {1, 1, 1}},
      {"lirs", "70\n*\n80\n*\n70\n", trace_format::lirs, {70, 80, 70}, {1, 1, 1}},
      {"arc", "70 2 0 1\n90 1 0 2\n", trace_format::arc, {70, 71, 90}, {1, 1, 1}},
      {"arc, one line", "70 3 0 0", trace_format::arc, {70, 71, 72}, {1, 1, 1}},
      {"csv as of libCacheSim", "1,70,100\n1,80,300\n5,70,100\n", trace_format::csv, {70, 80, 70}, {100, 300, 100}},
      {"csv with names", "size;time;Object_ID\n100;1;70\n300;1;80\n", trace_format::csv, {70, 80}, {100, 300}},
      {"csv with names that are not known", "when,what,how much\n1,70,5\n", trace_format::csv, {70}, {5}},
      {"csv of two columns", "70\t100\n80\t300\n", trace_format::csv, {70, 80}, {100, 300}},
      {"csv in quotes", "\"1\",\"70\", \"100\"\n", trace_format::csv, {70}, {100}},
  };
  return all;
}

TEST(trace_reader, recognises_each_format) {
  for (const example& one : examples()) {
    const outcome result = read(one.text);
    ASSERT_TRUE(result) << one.what << ": " << result.error();
    EXPECT_EQ(name_of(result->format), name_of(one.format)) << one.what;
    EXPECT_EQ(identities(*result), identities(one.objects)) << one.what;
    EXPECT_EQ(sizes(*result), one.object_sizes) << one.what;
    EXPECT_EQ(result->has_sizes, one.object_sizes.front() != 1) << one.what;
  }
}

TEST(trace_reader, reads_the_same_when_it_is_told_the_format_and_gets_single_bytes) {
  for (const example& one : examples()) {
    const outcome result = read(one.text, {.format = one.format}, 1);
    ASSERT_TRUE(result) << one.what << ": " << result.error();
    EXPECT_EQ(identities(*result), identities(one.objects)) << one.what;
    EXPECT_EQ(sizes(*result), one.object_sizes) << one.what;
    EXPECT_EQ(format_named(name_of(one.format)), one.format);
  }
}

// More than is looked at to recognise it.
TEST(trace_reader, reads_long_ones_in_pieces) {
  std::string text, binary;
  std::vector<std::uint64_t> expected;
  for (std::uint64_t i = 0; i < 30'000; ++i) {
    expected.push_back(i * 7 % 5000);
    text += std::to_string(expected.back()) + "\n";
    binary += record(static_cast<std::uint32_t>(i), expected.back(), 1, -1);
  }
  for (const std::size_t piece : {999u, 4096u, 1u << 20}) {
    const outcome of_text = read(text, {}, piece), of_binary = read(binary, {}, piece);
    ASSERT_TRUE(of_text && of_binary);
    EXPECT_EQ(identities(*of_text), identities(expected));
    EXPECT_EQ(identities(*of_binary), identities(expected));
  }
}

TEST(trace_reader, takes_names_as_objects) {
  const outcome result = read("/index,10\n/about,20\n/index,10\n");
  ASSERT_TRUE(result) << result.error();
  EXPECT_EQ(result->requests[0].identity, result->requests[2].identity);
  EXPECT_NE(result->requests[0].identity, result->requests[1].identity);
  EXPECT_EQ(summary_of(*result).distinct_objects, 2u);
  EXPECT_EQ(summary_of(*result).distinct_bytes, 30u);
  EXPECT_EQ(summary_of(*result).requested_bytes, 40u);
}

TEST(trace_reader, takes_the_columns_it_is_told) {
  const auto columns = parse_columns("size=1,id=3");
  ASSERT_TRUE(columns);
  const outcome result = read("5,x,70\n6,y,80\n", {.columns = *columns});
  ASSERT_TRUE(result) << result.error();
  EXPECT_EQ(identities(*result), identities({70, 80}));
  EXPECT_EQ(sizes(*result), (std::vector<std::uint32_t>{5, 6}));
  for (const char* const wrong : {"", "id", "id=0", "id=x", "size=2", "id=2,size=2", "id=1,color=2", "id=1001"})
    EXPECT_FALSE(parse_columns(wrong)) << wrong;
}

TEST(trace_reader, stops_after_as_many_as_are_wanted) {
  for (const example& one : examples()) {
    const outcome result = read(one.text + (one.format == trace_format::oracle_general ? "cut" : "\nx y z"),
                                {.format = one.format, .most_requests = 1});
    ASSERT_TRUE(result) << one.what << ": " << result.error();
    EXPECT_EQ(result->requests.size(), 1u) << one.what;
  }
}

TEST(trace_reader, says_what_is_damaged_and_where) {
  EXPECT_EQ(error_of(read(oracle.substr(0, 60))), "'t' is cut off: 12 of 24 bytes of record 3 are there.");
  EXPECT_EQ(error_of(read(oracle + record(6, 90, 1, 2), {.format = trace_format::oracle_general})),
            "'t' is damaged, or no oracleGeneral: record 4 says that its object is asked for next by request 2.");
  EXPECT_EQ(error_of(read("1\n2\nthree\n", {.format = trace_format::integers})),
            "'t', read as integers: line 3 is no number: 'three'.");
  EXPECT_EQ(error_of(read("1\n-2\n", {.format = trace_format::lirs})), "'t', read as lirs: line 2 is no number: '-2'.");
  EXPECT_EQ(error_of(read("1 2 3 4\n1 x 3 4\n", {.format = trace_format::arc})),
            "'t', read as arc: line 2 does not begin with the first block and how many there are.");
  EXPECT_EQ(error_of(read("1 9999999 3 4\n")), "'t', read as arc: line 1 asks for more than 1048576 blocks at once.");
  EXPECT_EQ(error_of(read("1,2,3\n1,2\n")),
            "'t', read as csv: line 2 has 2 columns, and the one numbered 3 is needed.");
  EXPECT_EQ(
      error_of(read("1,2,3\n1,2,4294967296\n")),
      "'t', read as csv: line 2 has '4294967296' as the size of its object, which is no number up to 4294967295.");
  EXPECT_EQ(error_of(read("1,2,3\n1,,3\n")), "'t', read as csv: line 2 names no object.");
  EXPECT_EQ(error_of(read(std::string(70'000, '7'), {.format = trace_format::integers})),
            "'t', read as integers: line 1 is longer than 64 KiB.");
  EXPECT_EQ(error_of(read("")), "'t' holds no requests.");
  EXPECT_EQ(error_of(read("\n# nothing\n")), "'t' holds no requests.");
  EXPECT_EQ(error_of(read("id,size\n")), "'t' holds no requests.");
  EXPECT_EQ(error_of(read(std::string("\x7f"
                                      "ELF\0\0\0",
                                      7))),
            "'t' is in no format that is known.");
  EXPECT_EQ(error_of(read("\x28\xb5\x2f\xfd and so on")),
            "'t' is compressed by zstd: `zstdcat FILE | tenure simulate -`.");
  EXPECT_EQ(error_of(read("1 2\n3 4\n")),
            "'t' is in no format that is known; where it is a table or a list of names, give --format csv.");
  EXPECT_EQ(error_of(read_trace("/nowhere/t", {})), "'/nowhere/t' cannot be read: No such file or directory.");
  EXPECT_EQ(error_of(read_trace("/", {})), "'/' cannot be read: Is a directory.");
}

}  // namespace
}  // namespace tenure::replay
