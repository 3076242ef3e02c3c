#include "instruments/collect/region_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>

#include "instruments/collect/recorded_memory.h"
#include "instruments/collect/smaps.h"

namespace tenure::collect {
namespace {

std::uint64_t load(const std::uint64_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

const wire::account_table_header* table_header(const std::byte* memory) {
  return reinterpret_cast<const wire::account_table_header*>(memory + wire::accounts_offset_bytes);
}

// A field of text that need not be terminated.
template <std::size_t Capacity>
std::string text_of(const char (&field)[Capacity]) {
  return {field, ::strnlen(field, Capacity)};
}

account read_account(const wire::account_record& from, std::uint32_t index) {
  account to;
  to.name = text_of(from.name);
  to.kind = text_of(from.kind);
  to.record = index;
  to.parent = __atomic_load_n(&from.parent, __ATOMIC_RELAXED);
  to.publishes_use = __atomic_load_n(&from.publishes_use, __ATOMIC_RELAXED) != 0;
  to.openings = __atomic_load_n(&from.openings, __ATOMIC_RELAXED);
  to.held_bytes = load(from.held_bytes);
  to.held_blocks = load(from.held_blocks);
  to.peak_held_bytes = std::max(load(from.peak_held_bytes), to.held_bytes);
  to.soft_limit_bytes = load(from.soft_limit_bytes);
  to.hard_limit_bytes = load(from.hard_limit_bytes);
  to.refusals = load(from.refusals);
  to.used_bytes = load(from.use.used_bytes);
  to.used_blocks = load(from.use.used_blocks);
  // An owner that counts without atomics raises its peak when it next looks.
  to.peak_used_bytes = std::max(load(from.use.peak_used_bytes), to.used_bytes);
  to.allocations = load(from.use.allocations);
  return to;
}

// Nothing where it is free, was exchanged meanwhile, or makes no sense.
std::optional<wire::content_record> read_content(const wire::content_record& from) {
  const std::uint32_t before = __atomic_load_n(&from.changes, __ATOMIC_ACQUIRE);
  wire::content_record copy;
  std::memcpy(&copy, &from, sizeof copy);
  copy.bytes = load(from.bytes);
  copy.object_thousandths = load(from.object_thousandths);
  copy.samples = __atomic_load_n(&from.samples, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  const bool is_whole = before % 2 == 0 && __atomic_load_n(&from.changes, __ATOMIC_RELAXED) == before;
  if (!is_whole || copy.samples == 0 || copy.frame_count > wire::content_frames) return std::nullopt;
  return copy;
}

std::vector<std::string> split_command_line(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    result.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

// What can be said against a header whose magic number stands, which means that the rest of it is complete.
std::optional<std::string> objection_to(const wire::region_header& header) {
  if (header.version != wire::region_version)
    return fmt::format("has version {}, this command reads version {}", header.version, wire::region_version);
  if (header.total_bytes != wire::region_bytes || header.header_bytes != sizeof(wire::region_header))
    return "has another layout than its version says";
  if (header.pid == 0 || header.origin >= wire::origin_count) return "has a header that makes no sense";
  return std::nullopt;
}

}  // namespace

std::optional<region_name> parse_region_name(std::string_view file_name) {
  region_name result;
  const char* const end = file_name.data() + file_name.size();
  const auto [after_pid, pid_error] = std::from_chars(file_name.data(), end, result.pid);
  if (pid_error != std::errc{} || after_pid == end || *after_pid != '.') return std::nullopt;
  const auto [after_generation, generation_error] = std::from_chars(after_pid + 1, end, result.generation);
  if (generation_error != std::errc{}) return std::nullopt;
  if (std::string_view(after_generation, end) != ".region") return std::nullopt;
  return result;
}

std::expected<std::unique_ptr<region_reader>, std::string> region_reader::open(const std::filesystem::path& path) {
  const auto refuse = [&](std::string_view reason) {
    return std::unexpected(fmt::format("the region {} {}", path.filename().string(), reason));
  };
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return refuse(fmt::format("cannot be opened: {}", std::generic_category().message(errno)));
  struct stat status {};
  const bool is_file = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_file || static_cast<std::uint64_t>(status.st_size) > wire::region_bytes) {
    ::close(file);
    return refuse("is not a region file");
  }
  if (static_cast<std::uint64_t>(status.st_size) < wire::region_bytes) {
    ::close(file);
    return nullptr;
  }
  void* const memory = ::mmap(nullptr, wire::region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    ::close(file);
    return refuse(fmt::format("cannot be mapped: {}", std::generic_category().message(errno)));
  }
  std::unique_ptr<region_reader> reader(
      new region_reader(file, static_cast<std::byte*>(memory), fault_guard(memory, wire::region_bytes)));
  if (!reader->guard_.is_armed()) return refuse("is one too many: more than 4096 programs run at once");
  const wire::region_header header = reader->header();
  if (header.magic == 0) return nullptr;
  if (header.magic != wire::region_magic) return refuse("does not begin as a region does");
  if (const auto objection = objection_to(header)) return refuse(*objection);
  return reader;
}

region_reader::region_reader(int file, std::byte* memory, fault_guard guard)
    : file_(file), memory_(memory), guard_(std::move(guard)), ring_(memory) {}

region_reader::~region_reader() {
  ::munmap(memory_, wire::region_bytes);
  ::close(file_);
}

wire::region_header region_reader::header() const {
  wire::region_header copy;
  copy.magic = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(memory_), __ATOMIC_ACQUIRE);
  std::memcpy(reinterpret_cast<std::byte*>(&copy) + sizeof copy.magic, memory_ + sizeof copy.magic,
              sizeof copy - sizeof copy.magic);
  return copy;
}

std::string_view region_reader::text(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                     std::uint64_t capacity_bytes) const {
  return {reinterpret_cast<const char*>(memory_ + offset_bytes),
          static_cast<std::size_t>(std::min(length_bytes, capacity_bytes))};
}

void region_reader::read_identity(process_record& into) const {
  const wire::region_header head = header();
  into.pid = head.pid;
  into.parent_pid = head.parent_pid;
  into.origin = static_cast<wire::origin>(head.origin);
  into.start_ns = head.start_monotonic_ns;
  into.start_realtime_ns = head.start_realtime_ns;
  into.page_bytes = heap_page_bytes;
  into.command_line =
      split_command_line(text(wire::text_cmdline_offset_bytes, head.cmdline_bytes, wire::text_cmdline_capacity_bytes));
  into.executable =
      text(wire::text_executable_offset_bytes, head.executable_bytes, wire::text_executable_capacity_bytes);
}

std::size_t region_reader::drain(event_decoder& decoder, wire::hole at_hole, std::size_t event_limit) {
  return ring_.drain([&](std::span<const std::byte> event) { decoder.decode(event); }, at_hole, event_limit);
}

void region_reader::read_state(process_record& into) const {
  const wire::region_header head = header();
  into.statistics = statistics();
  into.accounts = accounts();
  into.refused_accounts = __atomic_load_n(&table_header(memory_)->refused, __ATOMIC_RELAXED);
  into.dropped_events = ring_.dropped_events();
  into.dropped_bytes = ring_.dropped_bytes();
  into.lost_bytes = ring_.losses().bytes;
  if (head.malloc_owner < wire::malloc_owner_count)
    into.malloc_owner = static_cast<wire::malloc_owner>(head.malloc_owner);
  into.overhead_ns = head.overhead_nanoseconds;
  into.overhead_bytes = head.overhead_bytes;
  into.region_resident_bytes = region_resident_bytes();
  into.sample_interval_bytes = sample_interval_bytes();
}

std::optional<memory_map> region_reader::read_exit_map() const {
  const wire::region_header head = header();
  if (head.life != static_cast<std::uint32_t>(wire::life::exited) || head.exit_smaps_bytes == 0) return std::nullopt;
  memory_map result =
      make_memory_map(text(wire::text_smaps_offset_bytes, head.exit_smaps_bytes, wire::text_smaps_capacity_bytes),
                      head.exit_smaps_truncated != 0, head.end_monotonic_ns);
  if (result.mappings.empty()) return std::nullopt;
  result.statistics = statistics();
  result.accounts = accounts();
  return result;
}

std::vector<account> region_reader::accounts() const {
  std::vector<account> result;
  const std::uint32_t count =
      std::min(__atomic_load_n(&table_header(memory_)->record_count, __ATOMIC_ACQUIRE), wire::account_capacity);
  const auto* const records = reinterpret_cast<const wire::account_record*>(memory_ + wire::accounts_offset_bytes +
                                                                            wire::account_records_offset_bytes);
  for (std::uint32_t index = 0; index < count; ++index) {
    const auto state = static_cast<wire::account_state>(__atomic_load_n(&records[index].state, __ATOMIC_ACQUIRE));
    if (state != wire::account_state::open && state != wire::account_state::closed) continue;
    result.push_back(read_account(records[index], index));
    result.back().is_open = state == wire::account_state::open;
    if (result.back().parent >= count) result.back().parent = no_index;
  }
  return result;
}

void region_reader::read_contents(event_decoder& decoder, process_record& into) const {
  into.refused_contents = __atomic_load_n(&table_header(memory_)->refused_contents, __ATOMIC_RELAXED);
  const std::uint32_t count =
      std::min(__atomic_load_n(&table_header(memory_)->content_count, __ATOMIC_ACQUIRE), wire::content_capacity);
  const auto* const records = reinterpret_cast<const wire::content_record*>(memory_ + wire::accounts_offset_bytes +
                                                                            wire::content_records_offset_bytes);
  for (std::uint32_t index = 0; index < count; ++index) {
    const auto one = read_content(records[index]);
    if (!one) continue;
    const auto owner = std::find_if(into.accounts.begin(), into.accounts.end(),
                                    [&](const account& each) { return each.record == one->account && each.is_open; });
    if (owner == into.accounts.end()) continue;
    const stack_end end = one->frame_count == wire::content_frames ? stack_end::limit : stack_end::complete;
    into.contents.push_back({one->account, text_of(one->type),
                             decoder.stack_index({one->frames, one->frame_count}, static_cast<std::uint32_t>(end)),
                             one->bytes, static_cast<double>(one->object_thousandths) / 1000, one->samples});
  }
}

wire::heap_statistics region_reader::statistics() const {
  // Word by word: the program counts on while we copy.
  wire::heap_statistics copy;
  static_assert(sizeof copy % sizeof(std::uint64_t) == 0);
  const auto* const from = reinterpret_cast<const std::uint64_t*>(memory_ + wire::statistics_offset_bytes);
  auto* const to = reinterpret_cast<std::uint64_t*>(&copy);
  for (std::size_t word = 0; word < sizeof copy / sizeof(std::uint64_t); ++word) to[word] = load(from[word]);
  return copy;
}

bool region_reader::has_exited() const { return header().life == static_cast<std::uint32_t>(wire::life::exited); }

std::uint64_t region_reader::exit_time_ns() const { return has_exited() ? header().end_monotonic_ns : 0; }

std::uint64_t region_reader::exit_resident_bytes() const { return has_exited() ? header().exit_resident_bytes : 0; }

double region_reader::ring_fill() const {
  const auto* const ring = reinterpret_cast<const wire::ring_header*>(memory_ + wire::ring_offset_bytes);
  const std::uint64_t waiting = load(ring->head) - ring_.position();
  return static_cast<double>(waiting) / static_cast<double>(wire::ring_capacity_bytes);
}

std::uint64_t region_reader::region_resident_bytes() const {
  struct stat status {};
  return ::fstat(file_, &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

wire::control_page& region_reader::control() const {
  return *reinterpret_cast<wire::control_page*>(memory_ + wire::control_offset_bytes);
}

void region_reader::set_sample_interval_bytes(std::uint64_t bytes) {
  __atomic_store_n(&control().sample_interval_bytes, bytes, __ATOMIC_RELAXED);
}

std::uint64_t region_reader::sample_interval_bytes() const { return load(control().sample_interval_bytes); }

void region_reader::show_reader(std::uint64_t now_ns) {
  __atomic_store_n(&control().reader_ns, now_ns, __ATOMIC_RELAXED);
}

void region_reader::ask_for_copy() { __atomic_fetch_or(&control().recording, wire::control_copy, __ATOMIC_RELEASE); }

void region_reader::ask_to_leave() { __atomic_fetch_or(&control().recording, wire::control_leave, __ATOMIC_RELEASE); }

bool region_reader::has_left() const { return header().life == static_cast<std::uint32_t>(wire::life::left); }

}  // namespace tenure::collect
