#include "instruments/cli/cgroup_limit.h"

#include <gtest/gtest.h>

#include "../../support/shell.h"

namespace tenure::cli {
namespace {

using testing::temporary_folder;

class CgroupLimitTest : public ::testing::Test {
 protected:
  void put(const std::string& name, const std::string& content) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    testing::write_file(folder_ / name, content + "\n");
  }
  cgroup_limit read(const std::string& membership) {
    put("membership", membership);
    return read_cgroup_limit(folder_ / "membership", folder_ / "mount");
  }
  temporary_folder folder_;
};

TEST_F(CgroupLimitTest, TheLowestLimitOnTheWayCounts) {
  put("mount/cgroup.controllers", "cpu memory pids");
  put("mount/a/memory.max", "500000");
  put("mount/a/b/memory.max", "max");
  put("mount/a/b/c/memory.max", "900000");
  EXPECT_EQ(read("0::/a/b/c").version, 2);
  EXPECT_EQ(read("0::/a/b/c").bytes, 500000u);
  EXPECT_EQ(read("0::/a/b").bytes, 500000u);
  put("mount/a/b/c/memory.max", "300000");
  EXPECT_EQ(read("0::/a/b/c").bytes, 300000u);
}

TEST_F(CgroupLimitTest, AContainerSeesItsOwnGroupAtTheRoot) {
  put("mount/cgroup.controllers", "memory");
  put("mount/memory.max", "700000");
  EXPECT_EQ(read("0::/docker/4711").bytes, 700000u);
}

TEST_F(CgroupLimitTest, TheFirstVersionSaysUnlimitedByAGreatNumber) {
  put("mount/memory/memory.limit_in_bytes", "9223372036854771712");
  put("mount/memory/x/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_EQ(read("3:cpu,cpuacct:/x\n2:memory:/x\n0::/").version, 1);
  EXPECT_FALSE(read("2:memory:/x").bytes);
  put("mount/memory/x/memory.limit_in_bytes", "123456");
  EXPECT_EQ(read("2:memory:/x").bytes, 123456u);
}

TEST_F(CgroupLimitTest, NothingIsSaidWhereNothingIsSeen) {
  EXPECT_EQ(read("0::/a").version, 0);
  EXPECT_EQ(read("garbage").version, 0);
  EXPECT_EQ(read_cgroup_limit("/nowhere", "/nowhere").version, 0);
}

}  // namespace
}  // namespace tenure::cli
