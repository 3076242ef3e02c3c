// Names in a recording: what is written is held against what is read, and what makes no sense is refused.
#include "instruments/collect/resolved_names.h"

#include <gtest/gtest.h>

#include <fstream>

#include "instruments/collect/bundle.h"
#include "instruments/collect/recording_reader.h"
#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::collect {
namespace {

using symbols::frame;

bool is_same(const frame& one, const frame& other) {
  return one.function == other.function && one.file == other.file && one.line == other.line &&
         one.is_inlined == other.is_inlined && one.system_name == other.system_name && one.is_named == other.is_named;
}

std::vector<frame> thrown_frames(test::dice& dice) {
  std::vector<frame> frames;
  for (std::uint32_t count = 1 + dice.below(4); count != 0; --count)
    frames.push_back({.function = "f" + std::to_string(dice.below(9)),
                      .file = dice.one_in(3) ? "" : "dir/f" + std::to_string(dice.below(3)) + ".cc",
                      .line = dice.below(1000),
                      .is_inlined = count != 1,
                      .system_name = dice.one_in(2) ? "" : "_Z1f" + std::to_string(dice.below(9)),
                      .is_named = !dice.one_in(5)});
  return frames;
}

TEST(ResolvedNames, GivesBackWhatWasAddedOverAnyNumberOfBlocks) {
  test::dice dice(7);
  resolved_names names;
  names_writer writer(
      [&](std::span<const std::uint8_t> block) { EXPECT_TRUE(names.take(record::byte_reader(block))); });
  std::vector<std::vector<frame>> told;
  std::vector<std::uint32_t> numbers;
  for (int i = 0; i < 2000; ++i) {
    told.push_back(thrown_frames(dice));
    numbers.push_back(writer.add(told.back()));
    if (dice.one_in(50)) writer.flush();
  }
  writer.flush();
  for (std::size_t i = 0; i < told.size(); ++i) {
    ASSERT_LT(numbers[i], names.size());
    const std::vector<frame> read = names.frames(numbers[i]);
    ASSERT_EQ(read.size(), told[i].size());
    for (std::size_t k = 0; k < read.size(); ++k) EXPECT_TRUE(is_same(read[k], told[i][k])) << i;
  }
}

TEST(ResolvedNames, EqualFramesAreOneAnswer) {
  names_writer writer([](std::span<const std::uint8_t>) {});
  const std::vector<frame> frames = {{.function = "load", .file = "load.cc", .line = 3, .is_named = true}};
  const std::uint32_t first = writer.add(frames);
  EXPECT_NE(writer.add({{.function = "load", .file = "load.cc", .line = 4, .is_named = true}}), first);
  EXPECT_EQ(writer.add(frames), first);
}

TEST(ResolvedNames, RefusesWhatNamesNothing) {
  const auto takes = [](std::initializer_list<std::uint8_t> bytes) {
    return resolved_names().take(record::byte_reader({bytes.begin(), bytes.size()}));
  };
  EXPECT_TRUE(takes({1, 1, 'f', 1, 1, 1, 0, 7, 2, 0}));
  EXPECT_FALSE(takes({1, 1, 'f', 1, 1, 2, 0, 7, 2, 0}));  // there is no text 2
  EXPECT_FALSE(takes({1, 1, 'f', 1, 1, 1, 0, 7, 4, 0}));  // nor such a flag
  EXPECT_FALSE(takes({0, 1, 0}));                         // an answer without a frame
  EXPECT_FALSE(takes({1, 1, 'f', 1, 1, 1, 0, 7, 2}));     // cut off
}

TEST(Bundle, KeepsEveryBlockAndNamesWhatHasNoBuildIdForGood) {
  const test::made_file recording, bundle, again;
  const auto blocks = test::thrown_blocks(3, 500);
  test::write_recording(recording.path(), blocks, test::made_process(), 1'000'000'000);
  const auto write = [](const std::filesystem::path& from, const std::filesystem::path& to) {
    auto writer = record::block_writer::create(to);
    symbols::symbolizer symbolizer;
    return write_bundle(from, *writer, symbolizer, [](const char*, double) {});
  };
  const auto figures = write(recording.path(), bundle.path());
  ASSERT_TRUE(figures) << figures.error();
  EXPECT_EQ(figures->places, test::made_process().locations.size());
  EXPECT_EQ(figures->named, 0u);  // the modules are no files
  EXPECT_TRUE(figures->is_complete);
  ASSERT_TRUE(write(bundle.path(), again.path()));

  const auto content = [](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_TRUE(content(bundle.path()).starts_with(content(recording.path())));
  EXPECT_EQ(content(bundle.path()), content(again.path()));

  auto reader = recording_reader::open(bundle.path());
  ASSERT_TRUE(reader);
  reader->survey();
  const process_record& process = reader->run().processes.at(0).record;
  ASSERT_EQ(process.answers.size(), process.locations.size());
  EXPECT_EQ(process.names->frames(process.answers[1]).at(0).function, "app+0x10");
  EXPECT_FALSE(reader->run().damage);
}

}  // namespace
}  // namespace tenure::collect
