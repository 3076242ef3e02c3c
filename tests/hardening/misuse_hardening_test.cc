// Each misuse of the heap, committed by a program of its own: it must end by SIGABRT, with a message on standard error
// that names the misuse, the address, and shows the stack down into the program. With TENURE_ABORT_ON_MISUSE=0 the same
// message appears and the program goes on with its heap in order.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct ending {
  int code = -1;  // exit code, or 1000 + signal
  std::string told;
  std::string message;
};

std::string read_all(int descriptor) {
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = read(descriptor, part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(got));
  close(descriptor);
  return text;
}

ending commit(const std::string& name, std::size_t size, std::size_t offset, bool abort_on_misuse) {
  int out[2], error[2];
  if (pipe(out) != 0 || pipe(error) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(out[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    for (const int each : {out[0], out[1], error[0], error[1]}) close(each);
    alarm(30);
    // The background thread is started by a large free, and may be given the memory that was freed: a second free would
    // then be of a block in use, which no heap can know for wrong.
    setenv("TENURE_BACKGROUND", "0", 1);
    setenv("TENURE_ABORT_ON_MISUSE", abort_on_misuse ? "1" : "0", 1);
    execl(std::getenv("TENURE_TEST_VICTIM"), "misuse_victim", name.c_str(), std::to_string(size).c_str(),
          std::to_string(offset).c_str(), static_cast<char*>(nullptr));
    _exit(98);
  }
  close(out[1]);
  close(error[1]);
  ending result;
  result.told = read_all(out[0]);
  result.message = read_all(error[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child) return {};
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return result;
}

struct misuse_case {
  const char* name;
  std::size_t size, offset;
  const char* expected;  // in the message
};

void PrintTo(const misuse_case& each, std::ostream* out) {
  *out << each.name << " of size " << each.size << " at " << each.offset;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t place = text.find(part); place != std::string::npos; place = text.find(part, place + 1)) ++count;
  return count;
}

// Whether the text has one of the expected parts, which stand apart by '|'.
bool says(const std::string& text, const std::string& expected) {
  std::istringstream parts(expected);
  for (std::string part; std::getline(parts, part, '|');) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

// One message: the library's name, the misuse, the address that the program told, and frames of the program itself.
void expect_message(const ending& result, const misuse_case& each) {
  ASSERT_FALSE(result.told.empty());
  const std::string address = result.told.substr(0, result.told.find('\n'));
  EXPECT_EQ(occurrences(result.message, "tenure: "), 1u) << result.message;
  EXPECT_TRUE(says(result.message, each.expected)) << "wanted: " << each.expected << "\n" << result.message;
  EXPECT_NE(result.message.find(address), std::string::npos) << "wanted: " << address << "\n" << result.message;
  EXPECT_GE(occurrences(result.message, "misuse_victim"), 1u) << result.message;
}

class misuse_test : public ::testing::TestWithParam<misuse_case> {
 protected:
  void SetUp() override { ASSERT_NE(std::getenv("TENURE_TEST_VICTIM"), nullptr); }
};

TEST_P(misuse_test, ends_in_one_message_and_abort) {
  const misuse_case& each = GetParam();
  const ending result = commit(each.name, each.size, each.offset, true);
  EXPECT_EQ(result.code, 1000 + SIGABRT) << result.message;
  expect_message(result, each);
}

TEST_P(misuse_test, is_told_and_passed_over_where_the_option_says_so) {
  const misuse_case& each = GetParam();
  const ending result = commit(each.name, each.size, each.offset, false);
  EXPECT_EQ(result.code, 0) << result.message;
  expect_message(result, each);
}

std::vector<misuse_case> double_frees() {
  std::vector<misuse_case> all;
  for (const std::size_t size : {1ul, 8ul, 16ul, 24ul, 100ul, 1000ul, 4096ul, 30000ul}) {
    for (const char* name : {"double_free", "double_free_after_others", "double_free_in_another_thread",
                             "double_free_after_the_thread_ended", "double_free_from_thread_to_thread"}) {
      all.push_back({name, size, 0, "double free"});
    }
    all.push_back({"double_free_in_a_heap", size, 0, "double free"});
  }
  for (const std::size_t size : {16ul, 100ul, 1000ul}) {
    all.push_back({"double_free_through_caches", size, 0, "double free"});
  }
  for (const std::size_t size : {300000ul, 5000000ul, 100000000ul}) {
    for (const char* name : {"double_free", "double_free_in_another_thread", "double_free_after_the_thread_ended"}) {
      // The pages of a freed large block may be cut up for others by then; the message says so.
      all.push_back({name, size, 0, "double free|freed before"});
    }
  }
  return all;
}

std::vector<misuse_case> interior_pointers() {
  std::vector<misuse_case> all;
  for (const std::size_t size : {16ul, 24ul, 100ul, 500ul, 1000ul, 4000ul, 20000ul, 200000ul, 5000000ul}) {
    for (const std::size_t offset : {std::size_t{1}, std::size_t{8}, size / 2, size - 1}) {
      all.push_back({"interior", size, offset, "interior pointer"});
    }
    if (size > 16) all.push_back({"interior", size, 16, "interior pointer"});
    if (size > 4096) all.push_back({"interior", size, 4096, "interior pointer"});
    all.push_back({"realloc_of_interior", size, 8, "interior pointer"});
    all.push_back({"interior_of_aligned", size, 8, "interior pointer"});
  }
  all.push_back({"delete_of_array", 64, 0, "interior pointer"});
  return all;
}

INSTANTIATE_TEST_SUITE_P(double_frees, misuse_test, ::testing::ValuesIn(double_frees()));
INSTANTIATE_TEST_SUITE_P(interior_pointers, misuse_test, ::testing::ValuesIn(interior_pointers()));
INSTANTIATE_TEST_SUITE_P(
    foreign_pointers, misuse_test,
    ::testing::Values(misuse_case{"stack", 64, 0, "foreign pointer"}, misuse_case{"stack", 64, 1, "foreign pointer"},
                      misuse_case{"global", 64, 0, "foreign pointer"}, misuse_case{"global", 64, 3, "foreign pointer"},
                      misuse_case{"constant", 64, 0, "foreign pointer"}, misuse_case{"code", 64, 0, "foreign pointer"},
                      misuse_case{"mapped", 64, 0, "foreign pointer"},
                      misuse_case{"mapped", 64, 4096, "foreign pointer"},
                      misuse_case{"mapped", 64, 4097, "foreign pointer"}, misuse_case{"wild", 64, 1, "foreign pointer"},
                      misuse_case{"wild", 64, 0x1000, "foreign pointer"},
                      misuse_case{"wild", 64, 0xdeadbeef000, "foreign pointer"},
                      misuse_case{"wild", 64, 0x7fffffffffff, "foreign pointer"},
                      misuse_case{"wild", 64, 0x8000000000000000, "foreign pointer"},
                      misuse_case{"wild", 64, SIZE_MAX - 15, "foreign pointer"},
                      misuse_case{"realloc_of_foreign", 64, 0, "foreign pointer"}));
INSTANTIATE_TEST_SUITE_P(reallocs_of_freed, misuse_test,
                         ::testing::Values(misuse_case{"realloc_of_freed", 100, 100, "double free"},
                                           misuse_case{"realloc_of_freed", 100, 90, "double free"},
                                           misuse_case{"realloc_of_freed", 100, 5000, "double free"},
                                           misuse_case{"realloc_of_freed", 20000, 20001, "double free"},
                                           misuse_case{"realloc_of_freed", 500000, 900000, "double free"}));
INSTANTIATE_TEST_SUITE_P(mismatches, misuse_test,
                         ::testing::Values(misuse_case{"sized_delete", 100, 5000, "size"},
                                           misuse_case{"sized_delete", 5000, 100, "size"},
                                           misuse_case{"sized_delete", 500000, 100, "size"},
                                           misuse_case{"sized_array_delete", 100, 5000, "size"},
                                           misuse_case{"sized_array_delete", 5000, 100, "size"},
                                           misuse_case{"sized_free", 100, 5000, "size"},
                                           misuse_case{"sized_free", 5000, 100000, "size"},
                                           misuse_case{"free_in_another_heap", 100, 0, "named heap"},
                                           misuse_case{"free_in_another_heap", 500000, 0, "named heap"}));

// What is written over the link of a free block is no misuse that a call commits, and not all of it is recognised. A
// sample would be a slow path between, so there are none.
class overwritten_link : public ::testing::TestWithParam<std::size_t> {
 protected:
  static ending commit_unsampled(const std::string& name) {
    const char* const interval = std::getenv("TENURE_SAMPLE_INTERVAL");
    const std::string saved = interval == nullptr ? "" : interval;
    setenv("TENURE_SAMPLE_INTERVAL", "0", 1);
    ending result = commit(name, GetParam(), 0, true);
    interval == nullptr ? unsetenv("TENURE_SAMPLE_INTERVAL") : setenv("TENURE_SAMPLE_INTERVAL", saved.c_str(), 1);
    return result;
  }
};

TEST_P(overwritten_link, is_followed_by_malloc_into_a_segmentation_fault_without_a_message) {
  const ending result = commit_unsampled("overwritten_link_in_malloc");
  EXPECT_EQ(result.code, 1000 + SIGSEGV) << result.message;
  EXPECT_EQ(result.message, "");
}

// Larger blocks than these are in one list that malloc and free share; it is counted first, which follows the link.
TEST_P(overwritten_link, is_told_when_small_blocks_go_back_to_their_span) {
  const ending result = commit_unsampled("overwritten_link_in_trim");
  const bool is_small = GetParam() <= 1024;
  EXPECT_EQ(result.code, 1000 + (is_small ? SIGABRT : SIGSEGV)) << result.message;
  EXPECT_EQ(occurrences(result.message, "tenure: check failed: "), is_small ? 1u : 0u) << result.message;
}

INSTANTIATE_TEST_SUITE_P(sizes, overwritten_link, ::testing::Values(16ul, 100ul, 1000ul, 2000ul, 4096ul));

// Known of samples alone, so most blocks are.
class mismatch : public ::testing::TestWithParam<misuse_case> {
 protected:
  // As a program is that says nothing of it where `abort_on_mismatch` is null.
  static ending commit_sampled(const misuse_case& each, const char* abort_on_mismatch, bool abort_on_misuse = true) {
    const char* const interval = std::getenv("TENURE_SAMPLE_INTERVAL");
    const std::string saved = interval == nullptr ? "" : interval;
    setenv("TENURE_SAMPLE_INTERVAL", "4096", 1);
    setenv("TENURE_SAMPLE_SPACING", "0", 1);
    if (abort_on_mismatch != nullptr) setenv("TENURE_ABORT_ON_MISMATCH", abort_on_mismatch, 1);
    ending result = commit(each.name, each.size, 0, abort_on_misuse);
    interval == nullptr ? unsetenv("TENURE_SAMPLE_INTERVAL") : setenv("TENURE_SAMPLE_INTERVAL", saved.c_str(), 1);
    unsetenv("TENURE_SAMPLE_SPACING");
    unsetenv("TENURE_ABORT_ON_MISMATCH");
    return result;
  }
  static void expect_told(const ending& result) {
    EXPECT_EQ(occurrences(result.message, "tenure: "), 1u) << result.message;
    EXPECT_EQ(occurrences(result.message, GetParam().expected), 1u) << result.message;
    EXPECT_EQ(occurrences(result.message, "it lies 0 bytes into the block"), 1u) << result.message;
    EXPECT_GE(occurrences(result.message, "misuse_victim"), 1u) << result.message;
  }
};

TEST_P(mismatch, ends_the_program) {
  const ending result = commit_sampled(GetParam(), nullptr);
  EXPECT_EQ(result.code, 1000 + SIGABRT) << result.message;
  expect_told(result);
}

TEST_P(mismatch, is_told_once_and_the_program_goes_on_where_that_is_asked_for) {
  for (const bool abort_on_misuse : {true, false}) {
    const ending result = commit_sampled(GetParam(), abort_on_misuse ? "0" : nullptr, abort_on_misuse);
    EXPECT_EQ(result.code, 0) << result.message;
    expect_told(result);
  }
}

std::vector<misuse_case> mismatches() {
  std::vector<misuse_case> all;
  for (const std::size_t size : {40ul, 300ul, 9000ul, 400000ul}) {
    all.push_back({"array_by_delete", size, 0, "operator delete of what operator new[] allocated"});
    all.push_back({"array_by_sized_delete", size, 0, "operator delete of what operator new[] allocated"});
    all.push_back({"array_by_free", size, 0, "free of what operator new[] allocated"});
    all.push_back({"object_by_array_delete", size, 0, "operator delete[] of what operator new allocated"});
    all.push_back({"object_by_free", size, 0, "free of what operator new allocated"});
    all.push_back({"malloc_by_delete", size, 0, "operator delete of what malloc allocated"});
    all.push_back({"calloc_by_array_delete", size, 0, "operator delete[] of what malloc allocated"});
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(of_functions, mismatch, ::testing::ValuesIn(mismatches()));

class matching : public mismatch {};
TEST_P(matching, is_no_mismatch) {
  const ending result = commit_sampled(GetParam(), nullptr);
  EXPECT_EQ(result.code, 0) << result.message;
  EXPECT_EQ(result.message, "");
}
INSTANTIATE_TEST_SUITE_P(of_functions, matching,
                         ::testing::Values(misuse_case{"everything_as_it_should_be", 40, 0, ""},
                                           misuse_case{"everything_as_it_should_be", 9000, 0, ""},
                                           misuse_case{"everything_as_it_should_be", 400000, 0, ""}));

TEST(usable_size, of_what_is_no_block_is_0_or_a_message) {
  const ending result = commit("usable_size_of_foreign", 64, 0, true);
  EXPECT_TRUE(result.code == 0 || (result.code == 1000 + SIGABRT && !result.message.empty())) << result.code;
}

}  // namespace
