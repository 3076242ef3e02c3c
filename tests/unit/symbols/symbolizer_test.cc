// Oracles: addr2line and nm of binutils, on programs compiled here and on Debian's own libraries.
#include "instruments/symbols/symbolizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "../../support/shell.h"
#include "instruments/symbols/elf_file.h"

namespace tenure::symbols {
namespace {

using testing::lines_of;
using testing::output_of;
using testing::temporary_folder;
using testing::write_file;

constexpr const char* fixture_source = R"(
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
namespace shop {
struct shelf {
  std::vector<std::string> items;
  inline void put(int i) { items.push_back(std::string(static_cast<std::size_t>(20 + i), 'x')); }
  __attribute__((noinline)) void fill(int n) { for (int i = 0; i < n; ++i) put(i); }
};
static inline void* grab(std::size_t n) { return std::malloc(n); }
__attribute__((noinline)) void* fetch(std::size_t n) { return static_cast<char*>(grab(n + 1)) + 1; }
namespace {
__attribute__((noinline)) int hidden(int n) { return std::rand() % n + std::puts("hidden"); }
inline int hidden_inline(int n) { return hidden(n) + std::puts("inlined"); }
}
int open_door(int n) { return hidden_inline(n) * 3; }
}
int main(int argc, char**) {
  shop::shelf s;
  s.fill(argc * 10);
  std::printf("%p %zu %d\n", shop::fetch(100), s.items.size(), shop::open_door(argc + 3));
}
)";

std::string hexadecimal(std::uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

class SymbolizerTest : public ::testing::Test {
 protected:
  void SetUp() override { write_file(folder_ / "shop.cc", fixture_source); }

  std::string compile(const std::string& flags, const std::string& name = "shop") {
    const std::string program = (folder_ / name).string();
    output_of("cd " + folder_.path().string() + " && g++ " + flags + " shop.cc -o " + program);
    return program;
  }

  static module module_of(const std::string& path) {
    module result;
    result.path = path;
    result.build_id = elf_file::open(path)->build_id();
    return result;
  }

  // The symbolizer under test, without the debug files that this machine happens to have.
  symbolizer_options options() const {
    symbolizer_options result;
    result.debug_folders = {folder_ / "debug"};
    return result;
  }

  // Return addresses: what stands behind each call instruction, as objdump sees it.
  static std::vector<std::uint64_t> return_addresses(const std::string& program) {
    std::vector<std::uint64_t> result;
    bool after_call = false;
    for (const std::string& line : lines_of(output_of("objdump -d --no-show-raw-insn -j .text " + program))) {
      const std::size_t colon = line.find(":\t");
      if (colon == std::string::npos) continue;
      if (after_call) result.push_back(std::stoull(line.substr(0, colon), nullptr, 16));
      after_call = line.find("\tcall") != std::string::npos;
    }
    return result;
  }

  struct source_frame {
    std::string function, place;
  };

  static std::map<std::uint64_t, std::vector<source_frame>> ask_addr2line(const std::string& program,
                                                                          const std::vector<std::uint64_t>& addresses) {
    std::string list;
    for (const std::uint64_t address : addresses) list += " " + hexadecimal(address - 1);
    std::map<std::uint64_t, std::vector<source_frame>> result;
    std::vector<source_frame>* current = nullptr;
    const std::vector<std::string> lines = lines_of(output_of("addr2line -a -i -f -C -e " + program + list));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].starts_with("0x")) {
        current = &result[std::stoull(lines[i], nullptr, 16) + 1];
      } else {
        std::string place = lines.at(i + 1);
        place = place.substr(0, place.find(" (discriminator"));
        current->push_back({lines[i++], place});
      }
    }
    return result;
  }

  static std::string innermost_by_elfutils(const std::string& program, std::uint64_t address) {
    const std::string text = output_of("eu-addr2line -i -f -C -e " + program + " " + hexadecimal(address - 1));
    return text.substr(0, text.find_first_of(" \n"));
  }

  // Without scopes and parameters, which addr2line leaves out for functions without a linkage name.
  static std::string base_name(std::string name) {
    int depth = 0;
    std::string flat;
    for (const char c : name) {
      if (c == '<') ++depth;
      if (depth == 0) flat += c;
      if (c == '>') --depth;
    }
    const std::string anonymous = "(anonymous namespace)::";
    for (std::size_t at; (at = flat.find(anonymous)) != std::string::npos;) flat.erase(at, anonymous.size());
    flat = flat.substr(0, flat.find('('));
    const std::size_t last = flat.find_last_of(": ");
    return last == std::string::npos ? flat : flat.substr(last + 1);
  }

  void expect_like_addr2line(symbolizer& under_test, const std::string& program, const std::string& oracle_program,
                             std::size_t least_inlined) {
    const std::vector<std::uint64_t> addresses = return_addresses(program);
    const auto oracle = ask_addr2line(oracle_program, addresses);
    std::size_t inlined = 0, compared = 0;
    for (const std::uint64_t address : addresses) {
      const std::vector<source_frame>& want = oracle.at(address);
      if (want.front().function == "??" || want.front().place.starts_with("??")) continue;
      const std::vector<frame> got = under_test.resolve(module_of(program), address);
      ASSERT_EQ(got.size(), want.size()) << std::hex << address << " " << want.front().function;
      for (std::size_t i = 0; i < got.size(); ++i) {
        std::string function = want[i].function;
        // binutils gives an inlined function without a linkage name the name of the symbol that holds it; elfutils not.
        if (i == 0 && got.size() > 1 && got[0].system_name.empty())
          function = innermost_by_elfutils(oracle_program, address);
        EXPECT_EQ(base_name(got[i].function), base_name(function)) << std::hex << address;
        if (want[i].place.ends_with(":?")) continue;  // a symbol's file, not a line table's
        EXPECT_EQ(got[i].file + ":" + std::to_string(got[i].line), want[i].place) << std::hex << address;
        EXPECT_EQ(got[i].is_inlined, i + 1 < got.size());
        inlined += got[i].is_inlined;
      }
      ++compared;
    }
    EXPECT_GE(compared, 10u);
    EXPECT_GE(inlined, least_inlined);
  }

  temporary_folder folder_;
};

TEST_F(SymbolizerTest, InlinedFramesAgreeWithAddr2line) {
  for (const std::string flags : {"-O2 -g", "-O2 -gdwarf-4", "-O3 -g -fno-plt", "-O2 -g -gz", "-O0 -g"}) {
    SCOPED_TRACE(flags);
    const std::string program = compile(flags);
    symbolizer under_test(options());
    expect_like_addr2line(under_test, program, program, flags == "-O0 -g" ? 0 : 20);
    EXPECT_TRUE(under_test.notes().empty());
  }
}

TEST_F(SymbolizerTest, BiasIsTakenOff) {
  const std::string program = compile("-O2 -g");
  module moved = module_of(program);
  moved.bias = 0x7f1234000000;
  symbolizer under_test(options());
  for (const std::uint64_t address : return_addresses(program)) {
    EXPECT_EQ(under_test.resolve(moved, address + moved.bias).front().function,
              under_test.resolve(module_of(program), address).front().function);
  }
}

TEST_F(SymbolizerTest, SaysWhereAByteOfTheFileIsLoaded) {
  const std::string program = compile("-O1");
  symbolizer under_test(options());
  std::size_t segments = 0, moved = 0;
  for (const std::string& line : lines_of(output_of("readelf -lW " + program))) {
    std::istringstream words(line);
    std::string kind, offset, address;
    if (!(words >> kind >> offset >> address) || kind != "LOAD") continue;
    const std::uint64_t at = std::stoull(offset, nullptr, 16), loaded = std::stoull(address, nullptr, 16);
    EXPECT_EQ(under_test.address_at(module_of(program), at), loaded) << line;
    EXPECT_EQ(under_test.address_at(module_of(program), at + 1), loaded + 1) << line;
    ++segments;
    moved += at != loaded ? 1 : 0;
  }
  EXPECT_GE(segments, 2u);
  EXPECT_GE(moved, 1u);
  EXPECT_EQ(under_test.address_at(module_of(program), 1ull << 40), std::nullopt);
  module other = module_of(program);
  other.build_id = "00112233";
  EXPECT_EQ(under_test.address_at(other, 0), std::nullopt);
}

TEST_F(SymbolizerTest, QualifiesNamesThatHaveNoLinkageName) {
  const std::string program = compile("-O2 -g");
  std::set<std::string> seen;
  symbolizer under_test(options());
  for (const std::uint64_t address : return_addresses(program)) {
    for (const frame& f : under_test.resolve(module_of(program), address)) seen.insert(f.function);
  }
  EXPECT_TRUE(seen.contains("shop::(anonymous namespace)::hidden(int)")) << ::testing::PrintToString(seen);
  EXPECT_TRUE(seen.contains("shop::(anonymous namespace)::hidden_inline"));
  EXPECT_TRUE(seen.contains("shop::fetch(unsigned long)"));
  EXPECT_TRUE(seen.contains("shop::grab"));
}

TEST_F(SymbolizerTest, ReadsTheDebugFileOfADebugLink) {
  const std::string whole = compile("-O2 -g", "whole");
  output_of("cd " + folder_.path().string() +
            " && objcopy --only-keep-debug whole whole.debug && strip -o shop whole && objcopy "
            "--add-gnu-debuglink=whole.debug shop");
  const std::string stripped = (folder_ / "shop").string();
  symbolizer under_test(options());
  expect_like_addr2line(under_test, stripped, whole, 20);
}

TEST_F(SymbolizerTest, ReadsTheDebugFileOfABuildId) {
  const std::string whole = compile("-O2 -g", "whole");
  const std::string id = module_of(whole).build_id;
  output_of("cd " + folder_.path().string() + " && mkdir -p debug/.build-id/" + id.substr(0, 2) +
            " && objcopy --only-keep-debug whole debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) +
            ".debug && strip -o shop whole");
  symbolizer under_test(options());
  expect_like_addr2line(under_test, (folder_ / "shop").string(), whole, 20);
}

TEST_F(SymbolizerTest, RefusesTheDebugFileOfAnotherProgram) {
  for (const std::string build_id : {"", "-Wl,--build-id=none"}) {
    SCOPED_TRACE(build_id);
    compile("-O2 -g " + build_id, "whole");
    compile("-O3 -g " + build_id, "other");
    output_of("cd " + folder_.path().string() +
              " && objcopy --only-keep-debug whole linked.debug && strip -o shop whole && objcopy "
              "--add-gnu-debuglink=linked.debug shop && objcopy --only-keep-debug other linked.debug");
    const std::string stripped = (folder_ / "shop").string();
    symbolizer under_test(options());
    for (const std::uint64_t address : return_addresses(stripped)) {
      for (const frame& f : under_test.resolve(module_of(stripped), address)) EXPECT_EQ(f.file, "") << f.function;
    }
  }
}

TEST_F(SymbolizerTest, ReadsTheAlternateFileOfDwz) {
  const std::string whole = compile("-O2 -g", "whole");
  compile("-O3 -g", "second");
  output_of("cd " + folder_.path().string() +
            " && cp whole plain && dwz -m shared.debug whole second && mkdir -p debug && readelf -p .gnu_debugaltlink "
            "whole");
  symbolizer under_test(options());
  expect_like_addr2line(under_test, whole, (folder_ / "plain").string(), 20);
}

TEST_F(SymbolizerTest, NamesFunctionsOfSymbolTablesWithoutDwarf) {
  const std::string program = compile("-O2");
  const auto oracle = ask_addr2line(program, return_addresses(program));
  symbolizer under_test(options());
  std::size_t named = 0;
  for (const auto& [address, want] : oracle) {
    const std::vector<frame> got = under_test.resolve(module_of(program), address);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(base_name(got[0].function), base_name(want[0].function)) << std::hex << address;
    named += got[0].is_named;
  }
  EXPECT_GE(named, 10u);
}

TEST_F(SymbolizerTest, NamesNothingThatItHasNotSeen) {
  compile("-O2 -rdynamic", "whole");
  output_of("cd " + folder_.path().string() + " && strip -o shop whole");
  const std::string stripped = (folder_ / "shop").string();
  symbolizer under_test(options());
  std::set<std::string> named;
  bool saw_hidden = false;
  for (const auto& [address, want] : ask_addr2line((folder_ / "whole").string(), return_addresses(stripped))) {
    const frame got = under_test.resolve(module_of(stripped), address).front();
    const std::string offset = "shop+" + hexadecimal(address - 1);
    if (want[0].function.find("hidden") != std::string::npos) {
      // Not exported: the nearest exported function before it must not lend its name.
      EXPECT_EQ(got.function, offset);
      EXPECT_FALSE(got.is_named);
      saw_hidden = true;
    } else if (got.is_named) {
      EXPECT_EQ(base_name(got.function), base_name(want[0].function));
      named.insert(got.function);
    }
  }
  EXPECT_TRUE(saw_hidden);
  EXPECT_TRUE(named.contains("main")) << ::testing::PrintToString(named);
}

TEST_F(SymbolizerTest, SaysWhenTheFileOnDiskIsNotTheOneThatRan) {
  const std::string program = compile("-O2 -g");
  module recorded = module_of(program);
  const std::uint64_t address = return_addresses(program).front();
  recorded.build_id = "00112233445566778899aabbccddeeff00112233";
  symbolizer under_test(options());
  const std::vector<frame> got = under_test.resolve(recorded, address);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_FALSE(got[0].is_named);
  EXPECT_TRUE(got[0].function.starts_with("shop+0x")) << got[0].function;
  under_test.resolve(recorded, address + 1);
  ASSERT_EQ(under_test.notes().size(), 1u);
  EXPECT_NE(under_test.notes()[0].find(recorded.build_id), std::string::npos) << under_test.notes()[0];
  EXPECT_NE(under_test.notes()[0].find(module_of(program).build_id), std::string::npos);
}

TEST_F(SymbolizerTest, SurvivesFilesThatAreMissingOrDamaged) {
  const std::string program = compile("-O2 -g");
  const std::vector<std::uint64_t> addresses = return_addresses(program);
  const std::string content = testing::read_file(program);
  for (const std::string& path : {std::string("/nowhere/at/all"), folder_.path().string(), std::string("/dev/null")}) {
    symbolizer under_test(options());
    EXPECT_FALSE(under_test.resolve({.path = path}, 0x1234).front().is_named);
    EXPECT_EQ(under_test.notes().size(), 1u);
  }
  for (const std::size_t length : {std::size_t{3}, std::size_t{64}, content.size() / 3, content.size() * 9 / 10}) {
    write_file(folder_ / "cut", content.substr(0, length));
    symbolizer under_test(options());
    for (const std::uint64_t address : addresses) {
      EXPECT_FALSE(under_test.resolve({.path = (folder_ / "cut").string()}, address).empty());
    }
  }
}

TEST_F(SymbolizerTest, ModulesThatAreNoFilesAreOffsets) {
  symbolizer under_test(options());
  EXPECT_EQ(under_test.resolve({.path = "[vdso]", .bias = 0x1000}, 0x1801).front().function, "[vdso]+0x800");
  EXPECT_EQ(under_test.resolve({}, 0x1801).front().function, "0x1800");
  EXPECT_TRUE(under_test.notes().empty());
}

TEST_F(SymbolizerTest, CacheAnswersWithoutReadingTheProgram) {
  const std::string program = compile("-O2 -g");
  symbolizer_options cached = options();
  cached.cache_folder = folder_ / "cache";
  const std::vector<std::uint64_t> addresses = return_addresses(program);
  const module of = module_of(program);
  std::vector<std::vector<frame>> first;
  {
    symbolizer under_test(cached);
    for (const std::uint64_t address : addresses) first.push_back(under_test.resolve(of, address));
    EXPECT_EQ(under_test.statistics().modules_opened, 1u);
  }
  const auto expect_same = [&](std::uint64_t modules_opened) {
    symbolizer under_test(cached);
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      const std::vector<frame> again = under_test.resolve(of, addresses[i]);
      ASSERT_EQ(again.size(), first[i].size());
      for (std::size_t k = 0; k < again.size(); ++k) {
        EXPECT_EQ(again[k].function, first[i][k].function);
        EXPECT_EQ(again[k].system_name, first[i][k].system_name);
        EXPECT_EQ(again[k].file, first[i][k].file);
        EXPECT_EQ(again[k].line, first[i][k].line);
        EXPECT_EQ(again[k].is_inlined, first[i][k].is_inlined);
      }
    }
    EXPECT_EQ(under_test.statistics().modules_opened, modules_opened);
  };
  // The few addresses without a name are not kept, so that symbols installed later are seen.
  const bool all_named = std::all_of(first.begin(), first.end(), [](const auto& f) { return f.front().is_named; });
  expect_same(all_named ? 0 : 1);

  const std::filesystem::path table = cached.cache_folder / (of.build_id + ".symbols");
  const std::string content = testing::read_file(table);
  for (std::size_t at = 0; at < content.size(); at += content.size() / 23 + 1) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    write_file(table, damaged);
    expect_same(1);
    EXPECT_EQ(testing::read_file(table), content) << "rebuilt after byte " << at;
    write_file(table, content.substr(0, at));
    expect_same(1);
  }
  // Another debug file beside the program, or another program, is another fingerprint.
  std::filesystem::last_write_time(program, std::filesystem::last_write_time(program) - std::chrono::hours(1));
  expect_same(1);
  // When the file is gone the table is still right about its build-id.
  std::filesystem::remove(program);
  symbolizer without_file(cached);
  EXPECT_EQ(without_file.resolve(of, addresses[addresses.size() / 2]).front().function,
            first[addresses.size() / 2].front().function);
}

TEST_F(SymbolizerTest, DebuginfodIsAskedOnlyOnDemand) {
  const std::string whole = compile("-O2 -g", "whole");
  const std::string id = module_of(whole).build_id;
  output_of("cd " + folder_.path().string() + " && mkdir -p server/buildid/" + id +
            " && objcopy --only-keep-debug whole server/buildid/" + id + "/debuginfo && strip -o shop whole");
  const std::string stripped = (folder_ / "shop").string();
  setenv("DEBUGINFOD_URLS", ("file://" + (folder_ / "server").string()).c_str(), 1);
  setenv("DEBUGINFOD_CACHE_PATH", (folder_ / "client").string().c_str(), 1);
  {
    symbolizer under_test(options());
    EXPECT_EQ(under_test.resolve(module_of(stripped), return_addresses(stripped).at(5)).front().file, "");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "client"));
  }
  symbolizer_options asking = options();
  asking.use_debuginfod = true;
  symbolizer under_test(asking);
  expect_like_addr2line(under_test, stripped, whole, 20);
  unsetenv("DEBUGINFOD_URLS");
  unsetenv("DEBUGINFOD_CACHE_PATH");
}

// Each exported function of a library of Debian's, at an address within it, bears one of the names nm gives it.
TEST_F(SymbolizerTest, NamesExportedFunctionsOfDebiansLibraries) {
  for (const std::string soname : {"libc.so.6", "libstdc++.so.6", "libsqlite3.so.0"}) {
    const std::string path = "/usr/lib/x86_64-linux-gnu/" + soname;
    if (!std::filesystem::exists(path)) continue;
    SCOPED_TRACE(path);
    std::map<std::uint64_t, std::set<std::string>> names;
    for (const std::string& line : lines_of(output_of("nm -D --defined-only -S " + path))) {
      std::istringstream words(line);
      std::string value, size, type, name;
      if (!(words >> value >> size >> type >> name) || std::string("TtWi").find(type) == std::string::npos) continue;
      if (std::stoull(size, nullptr, 16) > 0)
        names[std::stoull(value, nullptr, 16)].insert(name.substr(0, name.find('@')));
    }
    EXPECT_GT(names.size(), 200u);
    symbolizer under_test(options());
    const module of = module_of(std::filesystem::canonical(path));
    std::size_t wrong = 0;
    for (const auto& [begin, aliases] : names) {
      const frame got = under_test.resolve(of, begin + 1).back();
      const std::string& name = got.system_name.empty() ? got.function : got.system_name;
      wrong += !aliases.contains(name);
    }
    EXPECT_EQ(wrong, 0u) << "of " << names.size();
  }
}

}  // namespace
}  // namespace tenure::symbols
