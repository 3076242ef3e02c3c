#include "instruments/collect/session_folder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace tenure::collect {
namespace {

TEST(SessionFolder, IsPrivateAndGoesWithItsOwner) {
  std::filesystem::path path;
  {
    const auto folder = session_folder::create();
    ASSERT_TRUE(folder) << folder.error();
    path = folder->path();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    std::ofstream(path / "1.0.region") << "x";
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SessionFolder, ClearsAwayWhatAKilledRunLeft) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto folder = session_folder::create();
    const std::string name = folder->path().string();
    [[maybe_unused]] const ssize_t written = ::write(pipe_ends[1], name.data(), name.size());
    ::pause();
  }
  char name[4096];
  const ssize_t got = ::read(pipe_ends[0], name, sizeof name);
  ASSERT_GT(got, 0);
  const std::filesystem::path left(std::string(name, static_cast<std::size_t>(got)));
  {
    const auto beside = session_folder::create();
    EXPECT_TRUE(std::filesystem::exists(left)) << "its owner still runs";
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(std::filesystem::exists(left));
  const auto next = session_folder::create();
  EXPECT_FALSE(std::filesystem::exists(left));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

}  // namespace
}  // namespace tenure::collect
