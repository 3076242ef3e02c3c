#include "instruments/cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../support/shell.h"

namespace tenure::cli {
namespace {

class TerminalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("NO_COLOR");
    unsetenv("CLICOLOR_FORCE");
    unsetenv("COLUMNS");
    setenv("TERM", "xterm", 1);
    terminal_ = posix_openpt(O_RDWR | O_NOCTTY);
    ASSERT_EQ(pipe(pipe_), 0);
  }
  void TearDown() override {
    close(terminal_);
    close(pipe_[0]);
    close(pipe_[1]);
  }
  int terminal_ = -1;
  int pipe_[2] = {-1, -1};
};

TEST_F(TerminalTest, ColoursOnlyATerminal) {
  EXPECT_TRUE(use_color(color_choice::automatic, terminal_));
  EXPECT_FALSE(use_color(color_choice::automatic, pipe_[1]));
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(use_color(color_choice::automatic, terminal_));
  unsetenv("TERM");
  EXPECT_FALSE(use_color(color_choice::automatic, terminal_));
}

TEST_F(TerminalTest, FollowsTheVariablesAndTheOptionAboveThem) {
  setenv("CLICOLOR_FORCE", "1", 1);
  EXPECT_TRUE(use_color(color_choice::automatic, pipe_[1]));
  setenv("CLICOLOR_FORCE", "0", 1);
  EXPECT_FALSE(use_color(color_choice::automatic, pipe_[1]));
  setenv("CLICOLOR_FORCE", "1", 1);
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(use_color(color_choice::automatic, pipe_[1]));
  EXPECT_FALSE(use_color(color_choice::automatic, terminal_));
  EXPECT_TRUE(use_color(color_choice::always, pipe_[1]));
  unsetenv("NO_COLOR");
  EXPECT_FALSE(use_color(color_choice::never, terminal_));
  setenv("NO_COLOR", "", 1);  // set to nothing is not set
  unsetenv("CLICOLOR_FORCE");
  EXPECT_TRUE(use_color(color_choice::automatic, terminal_));
}

TEST_F(TerminalTest, ColumnsAreBounded) {
  EXPECT_EQ(text_columns(pipe_[1]), 80);
  setenv("COLUMNS", "100", 1);
  EXPECT_EQ(text_columns(pipe_[1]), 100);
  setenv("COLUMNS", "3", 1);
  EXPECT_EQ(text_columns(pipe_[1]), 40);
  setenv("COLUMNS", "5000", 1);
  EXPECT_EQ(text_columns(pipe_[1]), 120);
}

TEST_F(TerminalTest, WrapsAtBlanks) {
  EXPECT_EQ(wrapped("one two three", 9, 0), "one two\nthree\n");
  EXPECT_EQ(wrapped("one two three", 9, 2), "  one two\n  three\n");
  EXPECT_EQ(wrapped("unbreakable", 4, 0), "unbreakable\n");
  EXPECT_EQ(wrapped("a\n\nb", 10, 2), "  a\n\n  b\n");
  EXPECT_EQ(wrapped("größe über alles", 10, 0), "größe über\nalles\n");
  EXPECT_EQ(wrapped("", 10, 0), "");
}

}  // namespace
}  // namespace tenure::cli
