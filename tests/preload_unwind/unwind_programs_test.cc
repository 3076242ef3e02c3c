// Stacks captured inside real programs of Debian's, compared frame by frame with libunwind's (unwind_comparison.cc).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

struct counts {
  unsigned long long processes = 0, stacks = 0, frames = 0, complete = 0, no_rule = 0, guessed = 0, remembered = 0,
                     mismatches = 0;
  std::string first_mismatch;
};

class unwind_programs : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "unwind-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Runs `command` in the test's folder, comparing at every n-th allocation.
  void run(const std::string& command, int interval) {
    const std::string line =
        "cd '" + folder_.string() + "' && mkdir counts && LD_PRELOAD='" COMPARISON "' UNWIND_COMPARISON_FOLDER='" +
        folder_.string() + "/counts' UNWIND_COMPARISON_INTERVAL=" + std::to_string(interval) + " " + command;
    const int status = std::system(line.c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << line;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "counts")) read(entry.path());
    std::printf(
        "%llu processes, %llu stacks, %llu frames, %llu complete, %llu without a rule, %llu guessed by libunwind\n",
        all_.processes, all_.stacks, all_.frames, all_.complete, all_.no_rule, all_.guessed);
    EXPECT_GT(all_.frames, 1000u);
    EXPECT_EQ(all_.remembered, all_.stacks);
    EXPECT_EQ(all_.mismatches, 0u) << all_.first_mismatch;
  }

  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }

  counts all_;
  std::filesystem::path folder_;

 private:
  void read(const std::filesystem::path& path) {
    std::ifstream file(path);
    counts one;
    while (file >> one.stacks >> one.frames >> one.complete >> one.no_rule >> one.guessed >> one.remembered >>
           one.mismatches) {
      std::getline(file, one.first_mismatch);
      ++all_.processes;
      all_.stacks += one.stacks;
      all_.frames += one.frames;
      all_.complete += one.complete;
      all_.no_rule += one.no_rule;
      all_.guessed += one.guessed;
      all_.remembered += one.remembered;
      all_.mismatches += one.mismatches;
      if (one.mismatches != 0) all_.first_mismatch = one.first_mismatch;
    }
  }
};

TEST_F(unwind_programs, sqlite3) {
  write("script.sql",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);\n"
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000)\n"
        "INSERT INTO t SELECT x, hex(randomblob(20)), x * 0.5 FROM n;\n"
        "CREATE INDEX i ON t(b);\n"
        "SELECT count(*), max(b), sum(c) FROM t WHERE b LIKE '%A%';\n"
        "SELECT group_concat(b) FROM (SELECT b FROM t ORDER BY c DESC LIMIT 100);\n");
  run("/usr/bin/sqlite3 :memory: < script.sql > /dev/null", 7);
  EXPECT_EQ(all_.complete, all_.stacks);
}

TEST_F(unwind_programs, python3) {
  write("script.py",
        "import json, re, collections, threading, ctypes, subprocess, functools\n"
        "def walk(n):\n"
        "    return [walk(n - 1)] if n else []\n"
        "walk(60)\n"
        "data = {str(i): [i] * 5 for i in range(2000)}\n"
        "json.loads(json.dumps(data))\n"
        "re.compile('(a|b)*c+[d-z]{2,5}').findall('abcdef' * 200)\n"
        "sorted(data, key=functools.cmp_to_key(lambda a, b: (a > b) - (a < b)))\n"
        "threads = [threading.Thread(target=walk, args=(40,)) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "subprocess.run(['/bin/true'])\n");
  run("PYTHONMALLOC=malloc /usr/bin/python3 script.py", 29);
  EXPECT_EQ(all_.complete, all_.stacks);
}

TEST_F(unwind_programs, perl) {
  write("script.pl",
        "my %h; for my $i (1..3000) { $h{$i} = join(',', map { $_ * 2 } 1..10); }\n"
        "my @s = sort { $h{$a} cmp $h{$b} } keys %h;\n"
        "my $t = join('', @s); $t =~ s/(\\d)(\\d)/$2$1/g; my @w = split(/1/, $t);\n"
        "sub deep { my $n = shift; return $n ? [deep($n - 1)] : []; } deep(80); eval { die 'x' };\n");
  run("/usr/bin/perl script.pl", 13);
  EXPECT_EQ(all_.complete, all_.stacks);
}

TEST_F(unwind_programs, compiler) {
  write("unit.cc",
        "#include <map>\n#include <regex>\n#include <string>\n"
        "std::map<std::string, std::string> m;\n"
        "bool f(const std::string& s) { return std::regex_match(s, std::regex(\"(a|b)*c\")) && m.count(s); }\n");
  run("g++ -O1 -c unit.cc -o unit.o", 997);
  EXPECT_GE(all_.processes, 3u);  // the driver, the compiler, the assembler
  EXPECT_EQ(all_.complete, all_.stacks);
}

}  // namespace
