// heaptrack's data, thrown and written as heaptrack writes them, held against a model that counts them itself; in
// pieces of every length.
#include "instruments/import/heaptrack.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "instruments/collect/recording_reader.h"
#include "instruments/import/import.h"
#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::importing {
namespace {

struct sum {
  std::uint64_t blocks = 0, bytes = 0;
  bool operator==(const sum&) const = default;
};

// Counted while the text is thrown.
struct model {
  std::string text;
  std::map<std::string, sum> allocated, live;  // by "f1;f2", innermost first
  std::uint64_t live_bytes = 0, peak_bytes = 0, strays = 0;
};

model thrown_data(std::uint32_t seed, int version) {
  test::dice dice(seed);
  model made;
  const auto line = [&](const std::string& one) { made.text += one + "\n"; };
  const auto text = [&](const std::string& one) {
    line(version >= 3 ? fmt::format("s {:x} {}", one.size(), one) : "s " + one);
  };
  line(fmt::format("v 10300 {:x}", version));
  line("X app with words");
  text("/bin/app");
  for (int i = 0; i < 8; ++i) text(fmt::format("f{}", i));  // texts 2 to 9
  text("a file.cc");                                        // 10
  struct trace {
    std::string names;
  };
  std::vector<std::string> places = {""};
  std::vector<trace> traces = {{}};
  struct kind {
    std::uint64_t bytes;
    std::string stack;
    std::uint64_t live;
  };
  std::vector<kind> kinds;
  const auto number = [](std::size_t below, test::dice& of) { return of.below(static_cast<std::uint32_t>(below)); };
  for (int step = 0; step < 3000; ++step) {
    const std::uint32_t what = dice.below(20);
    if (what == 0 || places.size() == 1) {
      const std::uint32_t outer = dice.below(8), inner = dice.below(8);
      const bool is_inlined = dice.one_in(2);
      line(is_inlined ? fmt::format("i {:x} 1 {:x} a {:x} {:x} a 7", step + 1, inner + 2, step, outer + 2)
                      : fmt::format("i {:x} 1 {:x}", step + 1, outer + 2));
      places.push_back(is_inlined ? fmt::format("f{};f{};", inner, outer) : fmt::format("f{};", outer));
    } else if (what == 1 || traces.size() == 1) {
      const std::uint32_t place = 1 + number(places.size() - 1, dice), parent = number(traces.size(), dice);
      line(fmt::format("t {:x} {:x}", place, parent));
      traces.push_back({places[place] + traces[parent].names});
    } else if (what == 2 || kinds.empty()) {
      const std::uint32_t of = number(traces.size(), dice), bytes = dice.below(100'000);
      line(fmt::format("a {:x} {:x}", bytes, of));
      kinds.push_back({bytes, traces[of].names, 0});
    } else if (what == 3) {
      line(fmt::format("c {:x}", step));
    } else {
      const std::uint32_t which = number(kinds.size(), dice);
      kind& of = kinds[which];
      const bool comes = dice.below(10) < (step < 2000 ? 6 : 3);
      line(fmt::format("{} {:x}", comes ? '+' : '-', which));
      sum& live = made.live[of.stack];
      if (comes) {
        ++of.live;
        live = {live.blocks + 1, live.bytes + of.bytes};
        sum& all = made.allocated[of.stack];
        all = {all.blocks + 1, all.bytes + of.bytes};
        made.live_bytes += of.bytes;
        made.peak_bytes = std::max(made.peak_bytes, made.live_bytes);
      } else if (of.live == 0) {
        ++made.strays;
      } else {
        --of.live;
        live = {live.blocks - 1, live.bytes - of.bytes};
        made.live_bytes -= of.bytes;
      }
    }
  }
  std::erase_if(made.live, [](const auto& one) { return one.second.blocks == 0; });
  return made;
}

// What a recording says, counted event by event.
model counted(const std::filesystem::path& path) {
  model found;
  auto reader = collect::recording_reader::open(path);
  EXPECT_TRUE(reader);
  reader->survey();
  const collect::process_record process = reader->run().processes.at(0).record;
  const auto names_of = [&](std::uint32_t stack) {
    std::string names;
    for (const std::uint32_t place : process.stacks[stack].locations)
      for (const symbols::frame& one : process.names->frames(process.answers.at(place))) names += one.function + ";";
    return names;
  };
  std::vector<record::event> blocks;
  reader->read([&](std::size_t, std::span<const record::event> events) {
    for (const record::event& one : events) {
      if (one.kind == record::event_kind::stray_free) {
        ++found.strays;
        continue;
      }
      if (one.slot >= blocks.size()) blocks.resize(one.slot + std::size_t{1});
      if (one.kind == record::event_kind::allocation) blocks[one.slot] = one;
      const record::event& block = blocks[one.slot];
      const std::string names = names_of(block.stack);
      sum& live = found.live[names];
      if (one.kind == record::event_kind::allocation) {
        live = {live.blocks + 1, live.bytes + block.bytes};
        sum& all = found.allocated[names];
        all = {all.blocks + 1, all.bytes + block.bytes};
        found.live_bytes += block.bytes;
        found.peak_bytes = std::max(found.peak_bytes, found.live_bytes);
      } else {
        live = {live.blocks - 1, live.bytes - block.bytes};
        found.live_bytes -= block.bytes;
      }
    }
    return true;
  });
  EXPECT_FALSE(reader->run().damage) << *reader->run().damage;
  EXPECT_TRUE(reader->run().is_complete);
  EXPECT_TRUE(reader->run().source);
  std::erase_if(found.live, [](const auto& one) { return one.second.blocks == 0; });
  return found;
}

std::expected<import_figures, import_error> import_text(const std::string& text, const std::filesystem::path& path) {
  auto file = record::unpacked_file::over({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  auto writer = record::block_writer::create(path);
  symbols::symbolizer symbolizer;
  return import_file(file, "it", std::move(*writer), symbolizer, [](const char*, double) {});
}

TEST(Heaptrack, CountsAsAModelDoes) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    const model made = thrown_data(seed, 1 + static_cast<int>(seed % 3));
    const test::made_file recording;
    const auto figures = import_text(made.text, recording.path());
    ASSERT_TRUE(figures) << figures.error().sentence;
    EXPECT_EQ(figures->tool, "heaptrack 1.3.0");
    const model found = counted(recording.path());
    EXPECT_EQ(found.allocated, made.allocated);
    EXPECT_EQ(found.live, made.live);
    EXPECT_EQ(found.peak_bytes, made.peak_bytes);
    EXPECT_EQ(found.strays, made.strays);
  }
}

TEST(Heaptrack, ReadsTheSameInPiecesOfEveryLength) {
  const model made = thrown_data(9, 3);
  for (const std::size_t length : {1u, 2u, 7u, 4096u}) {
    const test::made_file recording;
    collect::recording_writer writer(*record::block_writer::create(recording.path()));
    imported_run run(writer);
    symbols::symbolizer symbolizer;
    heaptrack_reader reader(run, symbolizer);
    for (std::size_t at = 0; at < made.text.size(); at += length)
      ASSERT_TRUE(reader.feed(std::string_view(made.text).substr(at, length)));
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(counted(recording.path()).live, made.live);
  }
}

// Every line with one byte changed is read or refused; what is read is a whole recording.
TEST(Heaptrack, TakesNothingThatNamesWhatIsNotThere) {
  const std::string good = thrown_data(4, 3).text.substr(0, 2000);
  const std::string whole = good.substr(0, good.rfind('\n') + 1);
  test::dice dice(11);
  for (int i = 0; i < 500; ++i) {
    std::string text = whole;
    text[dice.below(static_cast<std::uint32_t>(text.size()))] = "0f9+-atsic \n"[dice.below(12)];
    const test::made_file recording;
    if (import_text(text, recording.path())) counted(recording.path());
  }
}

// Where thrown_raw_data() maps its two files: one of two segments with a gap between them, and a library behind.
std::string place_of(std::uint64_t address, std::uint64_t bias) {
  const std::uint64_t in_app = address - 1 - bias, in_plug = in_app - 0x4000;
  if (in_app < 0x800 || (in_app >= 0x1000 && in_app < 0x1800)) return fmt::format("app+0x{:x};", in_app);
  if (in_plug >= 0x400 && in_plug < 0x500) return fmt::format("libplug.so+0x{:x};", in_plug);
  return fmt::format("0x{:x};", address);
}

// Raw data: blocks by address. The file that they name is not there, so places are told as they lie in it.
model thrown_raw_data(std::uint32_t seed, int version) {
  test::dice dice(seed);
  model made;
  const auto line = [&](const std::string& one) { made.text += one + "\n"; };
  const auto named = [&](const std::string& of) { return version >= 3 ? fmt::format("{:x} {}", of.size(), of) : of; };
  line(fmt::format("v 10400 {:x}", version));
  line("x " + named("/no/such/app"));
  line("X app with words");
  line("I 1000 5e2921");
  std::uint64_t bias = 0x10000;
  const auto map = [&] {
    line(version >= 3 ? "m 1 -" : "m -");
    line(fmt::format("m {} {:x} 0 800 1000 800", version >= 3 ? "1 x" : "x", bias));
    line(fmt::format("m {} {:x} 400 100", named("/no/such/libplug.so"), bias + 0x4000));
  };
  map();
  struct block {
    std::uint64_t bytes = 0;
    std::string stack;
  };
  std::map<std::uint64_t, block> alive;  // by address
  std::vector<std::string> traces = {""};
  const auto end = [&](std::uint64_t address) {
    const auto found = alive.find(address);
    sum& live = made.live[found->second.stack];
    live = {live.blocks - 1, live.bytes - found->second.bytes};
    made.live_bytes -= found->second.bytes;
    alive.erase(found);
  };
  for (int step = 0; step < 3000; ++step) {
    const std::uint32_t what = dice.below(20);
    if (what == 0 && dice.one_in(10)) {
      bias += 0x1000 * (1 + dice.below(3));
      map();
    } else if (what <= 1 || traces.size() == 1) {
      const std::uint64_t address = bias + 1 + dice.below(0x5000);
      const std::uint32_t parent = dice.below(static_cast<std::uint32_t>(traces.size()));
      line(fmt::format("t {:x} {:x}", address, parent));
      traces.push_back(place_of(address, bias) + traces[parent]);
    } else if (what == 2) {
      line(fmt::format("c {:x}", step));
    } else if (dice.below(10) < (step < 2000 ? 6 : 3)) {
      const std::uint64_t address = 0x1000 + 16 * dice.below(400), bytes = dice.below(100'000);
      const std::uint32_t trace = dice.below(static_cast<std::uint32_t>(traces.size()));
      line(fmt::format("+ {:x} {:x} {:x}", bytes, trace, address));
      if (alive.contains(address)) end(address);  // its free was not seen
      alive[address] = {bytes, traces[trace]};
      sum& all = made.allocated[traces[trace]];
      all = {all.blocks + 1, all.bytes + bytes};
      sum& live = made.live[traces[trace]];
      live = {live.blocks + 1, live.bytes + bytes};
      made.live_bytes += bytes;
      made.peak_bytes = std::max(made.peak_bytes, made.live_bytes);
    } else {
      const std::uint64_t address = 0x1000 + 16 * dice.below(400);
      line(fmt::format("- {:x}", address));
      if (alive.contains(address))
        end(address);
      else
        ++made.strays;
    }
  }
  std::erase_if(made.live, [](const auto& one) { return one.second.blocks == 0; });
  return made;
}

TEST(RawHeaptrack, CountsAsAModelDoes) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    const model made = thrown_raw_data(seed, 1 + static_cast<int>(seed % 3));
    const test::made_file recording;
    const auto figures = import_text(made.text, recording.path());
    ASSERT_TRUE(figures) << figures.error().sentence;
    const model found = counted(recording.path());
    EXPECT_EQ(found.allocated, made.allocated);
    EXPECT_EQ(found.live, made.live);
    EXPECT_EQ(found.peak_bytes, made.peak_bytes);
    EXPECT_EQ(found.strays, made.strays);
  }
}

TEST(RawHeaptrack, TakesNothingThatMakesNoSense) {
  const std::string begin = "v 10400 3\nx 3 /no\nX no\nI 1000 10\n";
  const test::made_file recording;
  EXPECT_TRUE(import_text(begin + "m 1 x 1000 0 10\nt 1001 0\n+ 1 1 5\n", recording.path()));
  for (const char* const wrong :
       {"m 2 x 1000 0 10\n", "m 1 x 1000 0\n", "m 1 x zz 0 10\n", "m 1 x ffffffffffffffff 10 ffffffffffffffff\n",
        "t 1001 1\n", "t 1001\n", "+ 1 1 5\n", "+ 1 0\n", "- \n", "s 4 main\n", "a 1 0\n", "i 1 1\n", "x 3 /no\nz\n"}) {
    const auto figures = import_text(begin + wrong + "+ 1 0 6\n", recording.path());
    ASSERT_FALSE(figures) << wrong;
    EXPECT_NE(figures.error().sentence.find("makes no sense"), std::string::npos) << figures.error().sentence;
  }
  test::dice dice(12);
  const std::string whole = thrown_raw_data(4, 3).text.substr(0, 3000);
  for (int i = 0; i < 500; ++i) {
    std::string text = whole.substr(0, whole.rfind('\n') + 1);
    text[dice.below(static_cast<std::uint32_t>(text.size()))] = "0f9+-mtxc \n"[dice.below(11)];
    if (import_text(text, recording.path())) counted(recording.path());
  }
}

}  // namespace
}  // namespace tenure::importing
