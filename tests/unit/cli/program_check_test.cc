#include "instruments/cli/program_check.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "../../support/shell.h"

namespace tenure::cli {
namespace {

using testing::output_of;
using testing::read_file;
using testing::temporary_folder;
using testing::write_file;

class ProgramCheckTest : public ::testing::Test {
 protected:
  std::string make(const std::string& name, const std::string& content) {
    const std::string path = (folder_ / name).string();
    write_file(path, content);
    chmod(path.c_str(), 0755);
    return path;
  }

  static void expect_refused(const std::string& command, refusal_kind kind, int exit_code, const std::string& word) {
    const auto checked = check_program(command);
    ASSERT_FALSE(checked) << command;
    EXPECT_EQ(checked.error().kind, kind) << checked.error().sentence;
    EXPECT_EQ(checked.error().exit_code, exit_code);
    EXPECT_NE(checked.error().sentence.find(word), std::string::npos) << checked.error().sentence;
    EXPECT_TRUE(checked.error().sentence.ends_with(".")) << checked.error().sentence;
  }

  temporary_folder folder_;
};

TEST_F(ProgramCheckTest, TakesProgramsOfThisMachine) {
  for (const std::string command : {"ls", "/bin/ls", "/proc/self/exe"}) {
    const auto checked = check_program(command);
    ASSERT_TRUE(checked) << checked.error().sentence;
    EXPECT_NE(checked->loader.string().find("ld-linux"), std::string::npos);
  }
}

TEST_F(ProgramCheckTest, FollowsScriptsToTheirInterpreter) {
  make("outer", "#! /bin/sh -e\necho\n");
  const auto checked = check_program((folder_ / "outer").string());
  ASSERT_TRUE(checked) << checked.error().sentence;
  EXPECT_EQ(checked->path, folder_ / "outer");
  EXPECT_EQ(checked->chain.back(), "/bin/sh");
  expect_refused(make("orphan", "#!/nowhere/sh\n"), refusal_kind::not_found, 126, "/nowhere/sh");
  expect_refused(make("circle", "#!" + (folder_ / "circle").string() + "\n"), refusal_kind::unknown_format, 126,
                 "script");
}

TEST_F(ProgramCheckTest, SaysWhatIsNotThere) {
  expect_refused("no-such-command-here", refusal_kind::not_found, 127, "PATH");
  expect_refused("/no/such/file", refusal_kind::not_found, 127, "there is no file");
  expect_refused("", refusal_kind::not_found, 127, "empty");
  expect_refused(folder_.path().string(), refusal_kind::not_executable, 126, "folder");
  write_file(folder_ / "plain", "text");
  expect_refused((folder_ / "plain").string(), refusal_kind::not_executable, 126, "chmod");
  expect_refused(make("data", std::string("just\0data", 9)), refusal_kind::unknown_format, 126, "neither");
  const std::string pipe = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0755), 0);
  expect_refused(pipe, refusal_kind::not_executable, 126, "is no file");
}

TEST_F(ProgramCheckTest, GivesTextWithoutAnInterpreterToTheShell) {
  for (const std::string& script : {make("text", "echo hello\n"), make("nothing", "")}) {
    const auto checked = check_program(script);
    ASSERT_TRUE(checked) << checked.error().sentence;
    EXPECT_TRUE(checked->is_shell_script);
    EXPECT_EQ(checked->path, script);
    EXPECT_EQ(checked->chain.back(), "/bin/sh");
  }
  EXPECT_FALSE(check_program("/bin/ls")->is_shell_script);
  expect_refused(make("nested", "#!" + (folder_ / "text").string() + "\n"), refusal_kind::unknown_format, 126,
                 "neither");
}

TEST_F(ProgramCheckTest, RefusesStaticPrograms) {
  for (const std::string flags : {"-static", "-static-pie"}) {
    output_of("cd " + folder_.path().string() + " && echo 'int main(){}' > m.c && gcc " + flags + " m.c -o program");
    expect_refused((folder_ / "program").string(), refusal_kind::static_program, 126, "statically");
  }
}

TEST_F(ProgramCheckTest, SeesAMallocOfTheProgramsOwn) {
  const std::string folder = folder_.path().string();
  write_file(folder_ / "own.c",
             "void* malloc(unsigned long n) { static char m[4096]; return n > 4096 ? 0 : m; }\n"
             "void free(void* p) { (void)p; }\nint main(void) { return malloc(1) == 0; }\n");
  write_file(folder_ / "plain.c",
             "#include <stdlib.h>\nvoid* (*volatile f)(unsigned long) = malloc;\n"
             "int main(void) { return f(1) == 0; }\n");
  for (const std::string flags : {"-Wl,--hash-style=gnu", "-Wl,--hash-style=sysv", "-no-pie -Wl,--hash-style=both"}) {
    output_of("cd " + folder + " && gcc -fno-builtin " + flags + " own.c -o own && gcc " + flags + " plain.c -o plain");
    const auto own = check_program(folder + "/own");
    ASSERT_TRUE(own) << own.error().sentence;
    EXPECT_TRUE(own->brings_malloc) << flags;
    EXPECT_NE(own_malloc_sentence(*own).find(folder + "/own"), std::string::npos);
    const auto plain = check_program(folder + "/plain");
    ASSERT_TRUE(plain) << plain.error().sentence;
    EXPECT_FALSE(plain->brings_malloc) << flags;
  }
  make("script", "#!" + folder + "/own\n");
  EXPECT_TRUE(check_program(folder + "/script")->brings_malloc);
}

// A table that leads out of the file, or in circles, holds nothing.
TEST_F(ProgramCheckTest, TrustsNoSymbolTable) {
  const std::string whole = read_file("/bin/ls");
  for (std::size_t at = 64; at < 4096; at += 4) {
    std::string broken = whole;
    broken.replace(at, 4, "\xff\xff\xff\x7f");
    const auto checked = check_program(make("broken", broken));
    EXPECT_FALSE(checked && checked->brings_malloc) << at;
  }
}

TEST_F(ProgramCheckTest, RefusesForeignMachinesAndLoaders) {
  const std::string own = read_file("/bin/ls");
  Elf64_Ehdr header;
  std::memcpy(&header, own.data(), sizeof header);
  const auto changed = [&](auto change) {
    Elf64_Ehdr copy = header;
    change(copy);
    std::string content = own;
    std::memcpy(content.data(), &copy, sizeof copy);
    return make("changed", content);
  };
  expect_refused(changed([](Elf64_Ehdr& h) { h.e_machine = EM_S390; }), refusal_kind::foreign_machine, 126, "S/390");
  expect_refused(changed([](Elf64_Ehdr& h) { h.e_machine = EM_386, h.e_ident[EI_CLASS] = ELFCLASS32; }),
                 refusal_kind::foreign_machine, 126, "32-bit x86");
  expect_refused(make("cut", own.substr(0, 40)), refusal_kind::unknown_format, 126, "damaged");
  expect_refused(changed([](Elf64_Ehdr& h) { h.e_phoff = ~std::uint64_t{0} / 2; }), refusal_kind::unknown_format, 126,
                 "damaged");
  std::string musl = own;
  const std::string loader = "/lib64/ld-linux-x86-64.so.2", other = "/lib/ld-musl-x86_64.so.1";
  const std::size_t at = musl.find(loader);
  if (at == std::string::npos) GTEST_SKIP() << "another machine's loader";
  musl.replace(at, loader.size(), other + std::string(loader.size() - other.size(), '\0'));
  expect_refused(make("musl", musl), refusal_kind::foreign_loader, 126, "ld-musl");
}

TEST_F(ProgramCheckTest, RefusesRaisedRights) {
  if (getuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const std::string path = make("raised", read_file("/bin/ls"));
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  chmod(path.c_str(), 04755);
  expect_refused(path, refusal_kind::raised_rights, 126, "set-user-id");
  chmod(path.c_str(), 02755);
  expect_refused(path, refusal_kind::raised_rights, 126, "set-group-id");
  // The same bits of one's own file raise nothing.
  ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  chmod(path.c_str(), 06755);
  EXPECT_TRUE(check_program(path));
}

}  // namespace
}  // namespace tenure::cli
