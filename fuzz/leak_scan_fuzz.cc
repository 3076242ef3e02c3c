// The answer of a scan as a hostile process writes it: the input is laid over a valid one, or is the file itself.
//
//   input: 0, the file │ any other byte, then { place: 2 bytes, length: 1 byte, bytes } ...   places modulo its length
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "instruments/collect/leak_scan.h"

namespace {

using tenure::collect::no_index;
namespace wire = tenure::wire;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Record>
void add(std::string& to, const Record& one) {
  to.append(reinterpret_cast<const char*>(&one), sizeof one);
}

std::string valid_answer() {
  wire::leak_scan_header header{};
  header.magic = wire::leak_scan_magic;
  header.version = wire::leak_scan_version;
  header.record_count = 3;
  header.held_count = 4;
  header.root_count = 2;
  std::string text(wire::leak_records_offset_bytes, '\0');
  std::memcpy(text.data(), &header, sizeof header);
  for (std::uint32_t reach = 1; reach <= 3; ++reach)
    add(text, wire::leak_record{0x1000 * reach, 64, reach, reach, 0, reach == 3 ? 0x1000u : 0u, {}});
  add(text, wire::held_record{0x5000, 64, 1, 0x9008, 0, 0, 0});
  add(text, wire::held_record{0x6000, 64, 0, 0x5038, 16, 0, 0});
  add(text, wire::held_record{0x7000, 64, 0, 0x6010, 0, 0, 0});
  add(text, wire::held_record{0x8000, 64, 0, 0x9110, 8, 2, 0});
  add(text, wire::root_range{0x9000, 0x9200, 0, 0, 0});
  add(text, wire::root_range{0x9100, 0x9180, 3, 7, 0x9100});
  return text;
}

void check(const tenure::collect::leak_scan& scan) {
  for (const auto& one : scan.blocks) require(one.bytes != 0 && one.reach != wire::block_reach::reachable);
  for (std::size_t i = 0; i < scan.held.size(); ++i) {
    const auto& one = scan.held[i];
    require(one.inside < one.bytes);
    // Ways end.
    require(one.holder == no_index || (one.holder < i && one.root == no_index));
    require(one.root == no_index || one.root < scan.roots.size());
    if (one.holder != no_index) {
      const auto& holder = scan.held[one.holder];
      require(one.place - holder.address < holder.bytes);
    } else if (one.root != no_index) {
      require(one.place >= scan.roots[one.root].begin && one.place < scan.roots[one.root].end);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text = valid_answer();
  if (size != 0 && data[0] == 0) {
    text.assign(reinterpret_cast<const char*>(data + 1), size - 1);
  } else {
    for (std::size_t at = 1; at + 3 < size;) {
      const std::size_t place = (data[at] | data[at + 1] << 8) % text.size();
      const std::size_t length = std::min({std::size_t{data[at + 2]} % 64 + 1, size - at - 3, text.size() - place});
      std::memcpy(text.data() + place, data + at + 3, length);
      at += 3 + length;
    }
  }
  const std::filesystem::path path = "/dev/shm/tenure-leak-scan-fuzz." + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  if (const auto scan = tenure::collect::read_leak_scan(path)) check(*scan);
  std::filesystem::remove(path);
  return 0;
}
