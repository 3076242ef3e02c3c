#include "core/base/format.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <string>

namespace tenure::core {
namespace {

std::string text_of(const text_writer& writer) { return {writer.data(), writer.size_bytes()}; }

template <class... Values>
std::string printed(const char* format, Values... values) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

TEST(Format, WritesNumbersAsPrintfDoes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t value = i == 0 ? 0 : i == 1 ? ~0ull : random() >> (random() % 64);
    char buffer[64];
    text_writer decimal(buffer, sizeof buffer);
    ASSERT_EQ(text_of(decimal.add_decimal(value)), printed("%" PRIu64, value));
    text_writer wide(buffer, sizeof buffer);
    ASSERT_EQ(text_of(wide.add_decimal(value, 12)), printed("%12" PRIu64, value));
    text_writer hex(buffer, sizeof buffer);
    ASSERT_EQ(text_of(hex.add_hex(value)), printed("0x%" PRIx64, value));
  }
}

TEST(Format, WritesBytesInTheUnitAPersonReads) {
  const auto written = [](std::uint64_t bytes) {
    char buffer[64];
    text_writer text(buffer, sizeof buffer);
    return text_of(text.add_bytes(bytes));
  };
  EXPECT_EQ(written(0), "0 B");
  EXPECT_EQ(written(1023), "1023 B");
  EXPECT_EQ(written(1024), "1.0 KiB");
  EXPECT_EQ(written(1536), "1.5 KiB");
  EXPECT_EQ(written(5 * 1024 * 1024), "5.0 MiB");
  EXPECT_EQ(written(std::uint64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(written(std::uint64_t{1} << 45), "32.0 TiB");
}

TEST(Format, BytesAreRightToATenthOfTheirUnitForEverySize) {
  std::mt19937_64 random(2);
  const double units[] = {1, 0x1p10, 0x1p20, 0x1p30, 0x1p40};
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t bytes = random() >> (8 + random() % 56);
    char buffer[64];
    text_writer text(buffer, sizeof buffer);
    double number = 0;
    char unit = 0;
    ASSERT_EQ(std::sscanf(text_of(text.add_bytes(bytes)).c_str(), "%lf %c", &number, &unit), 2);
    const double scale = units[std::string("BKMGT").find(unit)];
    ASSERT_NEAR(number * scale, static_cast<double>(bytes), scale * 0.06) << bytes;
    ASSERT_LE(number, unit == 'T' ? 1e9 : 1024.0) << bytes;
  }
}

TEST(Format, CutsWhatDoesNotFitAndSaysHowMuchItNeeded) {
  for (std::size_t capacity = 0; capacity <= 12; ++capacity) {
    std::string buffer(16, '#');
    text_writer text(buffer.data(), capacity);
    text.add("abc").add_decimal(42).add("-").add_hex(0xbeef);
    const std::string whole = "abc42-0xbeef";
    EXPECT_EQ(text.needed_bytes(), whole.size());
    EXPECT_EQ(text_of(text), whole.substr(0, capacity));
    EXPECT_EQ(buffer.substr(capacity), std::string(16 - capacity, '#'));
  }
}

class pipe_pair {
 public:
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  int ends[2] = {-1, -1};
};

TEST(Format, MessageGoesToItsDescriptorWholeAndLeavesErrnoAlone) {
  pipe_pair pipe;
  message text;
  text.add("one line of ").add_decimal(4).add(" words\n");
  errno = ERANGE;
  text.write_to(pipe.ends[1]);
  EXPECT_EQ(errno, ERANGE);
  char read_back[64];
  const ssize_t bytes = ::read(pipe.ends[0], read_back, sizeof read_back);
  EXPECT_EQ(std::string(read_back, static_cast<std::size_t>(bytes)), "one line of 4 words\n");
}

TEST(Format, RefusedWriteIsReportedAndLeavesErrnoAlone) {
  errno = ERANGE;
  EXPECT_FALSE(write_all(-1, "x", 1));
  EXPECT_EQ(errno, ERANGE);
}

}  // namespace
}  // namespace tenure::core
