// The ring's reader on arbitrary memory: the header's fields and the records are the input. It must come to an end,
// stay inside, and hand out nothing that does not fit.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "wire/ring_reader.h"

using namespace tenure;

namespace {

void take(std::span<const std::byte> bytes) {
  wire::allocation_sample_event allocation;
  wire::free_sample_event freed;
  wire::module_event module;
  wire::thread_event thread;
  std::span<const std::uint64_t> frames;
  std::span<const char> path;
  std::uint64_t sum = 0;
  if (wire::decode(bytes, &allocation, &frames)) {
    for (const std::uint64_t frame : frames) sum += frame;
  }
  if (wire::decode(bytes, &freed, &frames)) {
    for (const std::uint64_t frame : frames) sum += frame;
  }
  if (wire::decode(bytes, &module, &path)) {
    for (const char letter : path) sum += static_cast<unsigned char>(letter);
  }
  if (wire::decode(bytes, &thread)) sum += std::strlen(thread.name);
  volatile std::uint64_t kept = sum;
  static_cast<void>(kept);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wire::ring_header header{};
  if (size < sizeof header + 64) return 0;
  std::memcpy(&header, data, sizeof header);
  // Positions within a few laps, so that inputs get past the first check; the highest bit keeps them as they are.
  const std::size_t capacity = (size - sizeof header) / 8 * 8;
  if (header.head >> 63 == 0) header.head = header.head % (4 * capacity) / 8 * 8;
  if (header.tail >> 63 == 0) header.tail = header.tail % (4 * capacity) / 8 * 8;
  std::vector<std::uint64_t> records(capacity / 8);
  std::memcpy(records.data(), data + sizeof header, capacity);
  // The header's magic where the input has a mark for it: otherwise few inputs hold a plausible record.
  for (std::uint64_t& word : records) {
    if ((word >> 24 & 0xff) == 0x4a) word = (word & ~0xffff0000ull) | std::uint64_t{wire::event_magic} << 16;
  }
  auto* memory = reinterpret_cast<std::byte*>(records.data());
  wire::ring_reader waiting(&header, memory, capacity);
  waiting.drain(take, wire::hole::wait, 3);
  wire::ring_reader reader(&header, memory, capacity);
  const std::size_t taken = reader.drain(take, wire::hole::skip);
  if (taken > capacity / sizeof(wire::thread_event) + 1) std::abort();
  if (!reader.losses().corrupt && reader.position() != header.head) std::abort();
  return 0;
}
