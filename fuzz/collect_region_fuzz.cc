// A region file of a hostile program: the input is laid over a valid one, wherever it says.
//
//   input: { place: 3 bytes, length: 1 byte, bytes } ...      of a place the upper bits say in which part of the file
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "instruments/collect/region_reader.h"
#include "tests/support/region_writer.h"

namespace {

using tenure::collect::no_index;
using tenure::collect::process_record;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const process_record& record) {
  for (const auto& one : record.samples) {
    require(one.stack < record.stacks.size() && one.thread < record.threads.size());
    require(!one.is_freed() || (one.free_stack < record.stacks.size() && one.free_thread < record.threads.size()));
    require(one.usable_bytes != 0 && one.requested_bytes <= one.usable_bytes);
  }
  for (const auto& stack : record.stacks)
    for (const std::uint32_t location : stack.locations) require(location < record.locations.size());
  for (const auto& location : record.locations)
    require(location.module == no_index || location.module < record.modules.size());
  for (const auto& one : record.contents) {
    require(one.stack < record.stacks.size() && one.samples != 0);
    require(record.stacks[one.stack].locations.size() <= tenure::wire::content_frames);
  }
}

void write_contents(tenure::testing::region_writer& writer) {
  namespace wire = tenure::wire;
  std::byte* const table = writer.memory() + wire::accounts_offset_bytes;
  auto& head = *reinterpret_cast<wire::account_table_header*>(table);
  head.record_count = 2;
  head.content_count = 8;
  auto* const accounts = reinterpret_cast<wire::account_record*>(table + wire::account_records_offset_bytes);
  accounts[0].state = accounts[1].state = 1;
  auto* const contents = reinterpret_cast<wire::content_record*>(table + wire::content_records_offset_bytes);
  for (std::uint32_t i = 0; i < head.content_count; ++i) {
    contents[i].account = i % 2;
    contents[i].samples = i + 1;
    contents[i].bytes = contents[i].object_thousandths = 1000 * (i + 1);
    contents[i].frame_count = 2;
    contents[i].frames[0] = 0x1100;
    contents[i].frames[1] = 0x1200 + i;
    contents[i].type[0] = 'p';
  }
}

void write_valid(tenure::testing::region_writer& writer) {
  writer.set_command_line(std::string_view("program\0word\0", 13), "/bin/program");
  writer.write_module("/lib/one.so", 0x1000, 0x2000, 0);
  writer.write_thread(1, "main");
  for (std::uint64_t id = 1; id <= 16; ++id) {
    tenure::testing::written_sample sample;
    sample.id = id;
    sample.frames = {0x1100, 0x1200 + id};
    writer.write_sample(sample);
    if (id % 2 == 0) writer.write_free(id, id, 1, {0x1300});
  }
  write_contents(writer);
  writer.exit_with("55d0c0000000-55d0c0021000 rw-p 00000000 00:00 0 \nRss:  4 kB\n", 4096);
  writer.publish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path folder = "/dev/shm";
  const auto pid = static_cast<std::uint32_t>(::getpid());
  std::filesystem::remove(folder / (std::to_string(pid) + ".0.region"));
  tenure::testing::region_writer writer(folder, pid, 0);
  write_valid(writer);
  // Most of the file is an empty ring: places lie before it or in its beginning.
  constexpr std::size_t reach = tenure::wire::ring_records_offset_bytes + 8192;
  while (size > 4) {
    std::size_t place = (data[0] | data[1] << 8 | data[2] << 16) % reach;
    if (data[2] >= 128) place = tenure::wire::ring_offset_bytes + place % 12288;
    if (data[2] >= 192) place = tenure::wire::accounts_offset_bytes + place % 8192;
    if (data[2] >= 224) place += tenure::wire::content_records_offset_bytes;
    const std::size_t length = std::min<std::size_t>(data[3] % 64 + 1, size - 4);
    std::copy_n(reinterpret_cast<const std::byte*>(data + 4), length, writer.memory() + place);
    data += 4 + length;
    size -= 4 + length;
  }
  if (const auto reader = tenure::collect::region_reader::open(writer.path()); reader && *reader != nullptr) {
    process_record record;
    tenure::collect::event_decoder decoder(record);
    (*reader)->read_identity(record);
    (*reader)->drain(decoder, tenure::wire::hole::wait, 1'000'000);
    (*reader)->drain(decoder, tenure::wire::hole::skip, 1'000'000);
    (*reader)->read_state(record);
    (*reader)->read_contents(decoder, record);
    (*reader)->read_exit_map();
    check(record);
  }
  std::filesystem::remove(writer.path());
  return 0;
}
