// The progress line on a terminal of the test's own. What is waited for is what appears there, however long that takes.
#include "instruments/cli/progress_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "instruments/symbols/symbolizer.h"

namespace tenure::cli {
namespace {

constexpr const char* clear_line = "\r\033[K";
constexpr std::chrono::milliseconds at_once{0};

// For as long as a line that is wrongly there would take to appear; on a machine so busy that it takes longer, it is
// not seen.
bool stays_empty(int descriptor) {
  constexpr int wait_ms = 500;
  pollfd one{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&one, 1, wait_ms) == 0;
}

class ProgressLineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    reads_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    ASSERT_GE(reads_, 0);
    ASSERT_EQ(grantpt(reads_), 0);
    ASSERT_EQ(unlockpt(reads_), 0);
    terminal_ = open(ptsname(reads_), O_RDWR | O_NOCTTY);
    ASSERT_GE(terminal_, 0);
  }
  void TearDown() override {
    close(terminal_);
    close(reads_);
  }

  // What is there now.
  std::string take() {
    char bytes[4096];
    for (ssize_t count; (count = read(reads_, bytes, sizeof bytes)) > 0;)
      seen_.append(bytes, static_cast<std::size_t>(count));
    return seen_;
  }
  // Waits until the terminal shows it.
  void await(const std::string& text) {
    while (take().find(text) == std::string::npos) {
      pollfd one{.fd = reads_, .events = POLLIN, .revents = 0};
      ASSERT_GT(poll(&one, 1, -1), 0);
    }
  }

  int reads_ = -1;     // what the terminal shows
  int terminal_ = -1;  // of the line
  std::string seen_;
};

TEST_F(ProgressLineTest, ShowsWhatIsDoneAndIsGoneAtTheEnd) {
  std::optional<progress_line> line;
  line.emplace("reading", progress_line::place{terminal_, at_once});
  await(std::string(clear_line) + "reading");
  line->show("reading", 0.25);
  await(std::string(clear_line) + "reading: 25 %");
  line->show_symbols_of("/usr/lib/libshop.so");
  await(std::string(clear_line) + "reading: 25 % (symbols of libshop.so)");
  line->show("finding names", 0.5);
  await(std::string(clear_line) + "finding names: 50 %");
  line->show("waiting for process 4711");
  await(std::string(clear_line) + "waiting for process 4711");
  line.reset();
  EXPECT_TRUE(take().ends_with(clear_line));
}

TEST_F(ProgressLineTest, IsThereInTheMiddleOfWhatTellsNothing) {
  const progress_line line("reading what is left", {terminal_, at_once});
  await("reading what is left");
}

TEST_F(ProgressLineTest, DoesNotAppearBeforeItsTime) {
  {
    progress_line line("reading", {terminal_, std::chrono::hours(1)});
    line.show("reading", 0.5);
    EXPECT_TRUE(stays_empty(reads_));
  }
  EXPECT_EQ(take(), "");
}

TEST_F(ProgressLineTest, IsForTerminalsAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    progress_line line("reading", {ends[1], at_once});
    line.show("reading", 0.5);
    line.function()("reading", 0.75);
    line.lookups()("/usr/lib/libshop.so");
    EXPECT_TRUE(stays_empty(ends[0]));
  }
  close(ends[1]);
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

TEST_F(ProgressLineTest, ControlCharactersOfAPathDoNotMoveTheCursor) {
  progress_line line("reading", {terminal_, at_once});
  line.show_symbols_of("/tmp/a\n\033[2Jb");
  await("(symbols of a  [2Jb)");
}

TEST_F(ProgressLineTest, TheSymbolizerSaysWhoseSymbolsAreLookedUp) {
  progress_line line("finding names", {terminal_, at_once});
  symbols::symbolizer_options options;
  options.observer = line.lookups();
  symbols::symbolizer symbolizer(std::move(options));
  symbolizer.resolve({.path = "/nowhere/libshop.so", .begin = 0x1000, .end = 0x2000}, 0x1500);
  await("finding names (symbols of libshop.so)");
}

}  // namespace
}  // namespace tenure::cli
