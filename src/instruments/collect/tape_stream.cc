#include "instruments/collect/tape_stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "instruments/collect/process_files.h"
#include "wire/ticks.h"

namespace tenure::collect {
namespace {

constexpr std::size_t flush_events = 64 * 1024;
constexpr std::uint64_t flush_pause_ns = 1'000'000'000;

// Both clocks at one moment, as near as can be had: the closest of a few pairs of readings.
clock_pair read_clocks() {
  clock_pair best;
  std::uint64_t least = ~0ull;
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t before = wire::read_ticks();
    const std::uint64_t ns = monotonic_ns();
    const std::uint64_t between = wire::read_ticks() - before;
    if (between >= least) continue;
    least = between;
    best = {before + between / 2, ns};
  }
  return best;
}

// What was lost between two counts; null where the second is no later one.
std::optional<wire::tape_loss_counts> lost_between(const wire::tape_loss_counts& first,
                                                   const wire::tape_loss_counts& second) {
  if (second.allocations < first.allocations || second.bytes < first.bytes || second.frees < first.frees)
    return std::nullopt;
  return wire::tape_loss_counts{second.allocations - first.allocations, second.bytes - first.bytes,
                                second.frees - first.frees};
}

void add_losses(std::vector<thread_losses>& into, std::uint32_t thread, const wire::tape_loss_counts& lost) {
  for (auto next = static_cast<std::uint32_t>(into.size()); next <= thread; ++next) into.push_back({.thread = next});
  into[thread].allocations += lost.allocations;
  into[thread].bytes += lost.bytes;
  into[thread].frees += lost.frees;
}

}  // namespace

std::unique_ptr<tape_stream> tape_stream::open(const std::filesystem::path& path, process_record& process,
                                               event_decoder& decoder, recording_writer& writer) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return nullptr;
  struct stat status {};
  void* memory = MAP_FAILED;
  if (::fstat(file, &status) == 0 && status.st_size == static_cast<off_t>(wire::tape_bytes))
    memory = ::mmap(nullptr, wire::tape_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return nullptr;
  fault_guard guard(memory, wire::tape_bytes);
  const auto* const header = static_cast<const wire::tape_header*>(memory);
  const bool is_complete = guard.is_armed() && __atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) == wire::tape_magic &&
                           header->version == wire::tape_version && header->total_bytes == wire::tape_bytes;
  if (!is_complete) {
    guard = fault_guard();
    ::munmap(memory, wire::tape_bytes);
    return nullptr;
  }
  return std::unique_ptr<tape_stream>(
      new tape_stream(static_cast<std::byte*>(memory), std::move(guard), process, decoder, writer));
}

tape_stream::tape_stream(std::byte* memory, fault_guard guard, process_record& process, event_decoder& decoder,
                         recording_writer& writer)
    : memory_(memory),
      guard_(std::move(guard)),
      process_(process),
      decoder_(decoder),
      writer_(writer),
      number_(writer.begin_process(process)),
      last_cut_{header().begin_ticks, header().begin_ns},
      cut_(last_cut_),
      last_flush_ns_(monotonic_ns()) {}

tape_stream::~tape_stream() {
  guard_ = fault_guard();
  ::munmap(memory_, wire::tape_bytes);
}

const wire::stack_node* tape_stream::nodes() const {
  return reinterpret_cast<const wire::stack_node*>(memory_ + wire::tape_nodes_offset_bytes);
}

double tape_stream::take() {
  // Before anything is read: see above.
  last_cut_ = cut_;
  cut_ = read_clocks();
  const bool is_later = cut_.ticks > last_cut_.ticks && cut_.ns >= last_cut_.ns;
  ns_per_tick_ =
      is_later ? static_cast<double>(cut_.ns - last_cut_.ns) / static_cast<double>(cut_.ticks - last_cut_.ticks) : 0;
  __atomic_store_n(&header().reader_ns, cut_.ns, __ATOMIC_RELAXED);
  const std::uint32_t ring_count =
      std::min(__atomic_load_n(&header().ring_count, __ATOMIC_ACQUIRE), wire::tape_ring_limit);
  while (rings_.size() < ring_count) {
    const wire::ring_place place = wire::ring_place_of(static_cast<std::uint32_t>(rings_.size()));
    rings_.push_back(std::make_unique<told_ring>(
        told_ring{wire::tape_ring_reader(reinterpret_cast<wire::tape_ring_header*>(memory_ + place.header_offset_bytes),
                                         reinterpret_cast<const std::uint64_t*>(memory_ + place.words_offset_bytes),
                                         place.capacity_words),
                  {},
                  0,
                  0,
                  {},
                  no_index,
                  {},
                  false}));
  }
  double fullest = 0;
  for (const auto& ring : rings_) {
    if (ring->is_corrupt) continue;
    const std::size_t before = ring->words.size();
    ring->is_corrupt = !ring->reader.take([&](const std::uint64_t* words, std::uint64_t count) {
      ring->words.insert(ring->words.end(), words, words + count);
    });
    fullest = std::max(
        fullest, static_cast<double>(ring->words.size() - before) / static_cast<double>(ring->reader.capacity_words()));
  }
  return fullest;
}

// The blocks of the records that come next are asked for ahead. Of what was read so far, whole records or not.
void tape_stream::look_ahead(told_ring& ring) const {
  constexpr std::size_t ahead_words = 32;
  const std::size_t end = std::min(ring.read_words + ahead_words, ring.words.size());
  while (ring.expected_words < end) {
    const std::uint64_t first = ring.words[ring.expected_words];
    live_.expect(first & wire::tape_address_mask);
    ring.expected_words += std::max<std::uint64_t>(wire::tape_record_words(first), 1);
  }
}

// To the ring's next record that tells an event, up to the cut. False when there is none; what follows stays.
bool tape_stream::advance(told_ring& ring, std::uint64_t cut_ticks) {
  while (ring.read_words < ring.words.size()) {
    look_ahead(ring);
    const std::uint64_t* const at = &ring.words[ring.read_words];
    const std::uint64_t length = wire::decode_tape_record(at, ring.words.size() - ring.read_words, &ring.next);
    if (length == 0) {
      // Nothing tells where the next record begins.
      ++refused_records_;
      ring.is_corrupt = true;
      ring.read_words = ring.words.size();
      return false;
    }
    if (ring.next.ticks > cut_ticks) return false;
    ring.read_words += length;
    if (ring.next.kind == wire::tape_kind::thread) {
      change_thread(ring);
    } else if (ring.thread == no_index) {
      ++refused_records_;
    } else {
      return true;
    }
  }
  return false;
}

// What the ring has counted since the record before is the loss of the thread that told until now.
void tape_stream::change_thread(told_ring& ring) {
  if (const auto lost = lost_between(ring.lost_before, ring.next.lost)) {
    if (ring.thread != no_index) add_losses(lost_by_thread_, ring.thread, *lost);
    ring.lost_before = ring.next.lost;
  } else {
    ++refused_records_;
  }
  ring.thread = decoder_.thread_index(static_cast<std::uint32_t>(ring.next.address));
}

// Each ring is in order by itself: always the ring whose next record is the oldest, of equals the first one.
void tape_stream::digest(bool is_last) {
  const std::uint64_t cut_ticks = is_last ? ~0ull : cut_.ticks;
  const auto is_later = [this](std::uint32_t a, std::uint32_t b) {
    const std::uint64_t ticks_a = rings_[a]->next.ticks, ticks_b = rings_[b]->next.ticks;
    return ticks_a != ticks_b ? ticks_a > ticks_b : a > b;
  };
  telling_.clear();
  for (std::uint32_t i = 0; i < rings_.size(); ++i)
    if (advance(*rings_[i], cut_ticks)) telling_.push_back(i);
  std::make_heap(telling_.begin(), telling_.end(), is_later);
  while (!telling_.empty()) {
    std::pop_heap(telling_.begin(), telling_.end(), is_later);
    const std::uint32_t number = telling_.back();
    told_ring& oldest = *rings_[number];
    telling_.pop_back();
    // As long as no other ring is to be heard first.
    bool is_more = true;
    do {
      add(oldest);
      is_more = advance(oldest, cut_ticks);
    } while (is_more && (telling_.empty() || is_later(telling_.front(), number)));
    if (!is_more) continue;
    telling_.push_back(number);
    std::push_heap(telling_.begin(), telling_.end(), is_later);
  }
  for (const auto& ring : rings_) {
    ring->words.erase(ring->words.begin(), ring->words.begin() + static_cast<std::ptrdiff_t>(ring->read_words));
    ring->expected_words -= std::min(ring->expected_words, ring->read_words);
    ring->read_words = 0;
  }
  if (is_last || monotonic_ns() > last_flush_ns_ + flush_pause_ns) flush();
}

// Between the two last readings of both clocks, and on the line through them elsewhere.
std::uint64_t tape_stream::time_of(std::uint64_t ticks) const {
  if (ns_per_tick_ == 0) return cut_.ns;
  const double since = static_cast<double>(static_cast<std::int64_t>(ticks - last_cut_.ticks)) * ns_per_tick_;
  return static_cast<std::uint64_t>(std::max(0.0, static_cast<double>(last_cut_.ns) + since));
}

std::uint32_t tape_stream::location_of(std::uint32_t number, const wire::stack_node& node) {
  if (number >= location_by_node_.size()) location_by_node_.resize(number + std::size_t{1}, no_index);
  std::uint32_t& known = location_by_node_[number];
  if (known == no_index) known = decoder_.locate(node.address, node.modules_told);
  return known;
}

std::uint32_t tape_stream::new_stack_of(std::uint32_t number) {
  chain_.clear();
  std::uint32_t at = number;
  while (at >= wire::stack_root_count) {
    wire::stack_node node;
    if (!wire::read_stack_node(nodes(), at, &node)) {
      ++refused_records_;
      at = static_cast<std::uint32_t>(wire::stack_root::not_kept);
      break;
    }
    chain_.push_back(location_of(at, node));
    at = node.parent;
  }
  const auto end =
      at == static_cast<std::uint32_t>(wire::stack_root::not_kept) ? stack_end::limit : static_cast<stack_end>(at);
  const std::uint32_t index = decoder_.stack_index_of(chain_, end);
  if (number < wire::stack_node_capacity) {
    if (number >= stack_by_node_.size()) stack_by_node_.resize(number + std::size_t{1}, no_index);
    stack_by_node_[number] = index;
  }
  return index;
}

void tape_stream::add(const told_ring& told) {
  const wire::tape_record& from = told.next;
  ++event_count_;
  if (events_.size() >= flush_events) flush();
  const std::uint64_t time_ns = time_of(from.ticks) / record::event_time_unit_ns * record::event_time_unit_ns;
  switch (from.kind) {
    case wire::tape_kind::allocation:
    case wire::tape_kind::wide_allocation: {
      record::event one;
      one.entry = static_cast<std::uint8_t>(from.entry);
      one.thread = told.thread;
      one.stack = stack_of(from.stack);
      one.bytes = from.bytes;
      one.time_ns = time_ns;
      // The free of what lay there before was lost, and was counted where that happened.
      if (const std::uint32_t* const before = live_.find(from.address)) {
        events_.push_back({record::event_kind::free, 0, told.thread, record::no_stack, *before, 0, time_ns});
        slots_.give(*before);
      }
      live_.set(from.address, slots_.take());
      events_.push_back(one);
      return;
    }
    case wire::tape_kind::free:
      return add_free(from.address, told.thread, record::no_stack, time_ns);
    case wire::tape_kind::free_with_stack:
      return add_free(from.address, told.thread, stack_of(from.stack), time_ns);
    case wire::tape_kind::free_range:
      return add_free_range(told, record::no_stack, time_ns);
    case wire::tape_kind::free_range_with_stack:
      return add_free_range(told, stack_of(from.stack), time_ns);
    default:
      return;
  }
}

void tape_stream::add_free(std::uint64_t address, std::uint32_t thread, std::uint32_t stack, std::uint64_t time_ns) {
  record::event one{record::event_kind::stray_free, 0, thread, stack, 0, 0, time_ns};
  if (const std::uint32_t* const slot = live_.find(address)) {
    one.kind = record::event_kind::free;
    one.slot = *slot;
    slots_.give(*slot);
    live_.erase(address);
  }
  events_.push_back(one);
}

void tape_stream::add_free_range(const told_ring& told, std::uint32_t stack, std::uint64_t time_ns) {
  std::vector<std::uint64_t> addresses;
  live_.for_each([&](std::uint64_t address, std::uint32_t) {
    if (address - told.next.address < told.next.bytes) addresses.push_back(address);
  });
  std::sort(addresses.begin(), addresses.end());
  for (const std::uint64_t address : addresses) add_free(address, told.thread, stack, time_ns);
}

std::optional<record::event> tape_stream::block_at(std::uint64_t address) const {
  const std::uint32_t* const slot = live_.find(address);
  return slot == nullptr ? std::nullopt : std::optional(writer_.block_at(number_, *slot));
}

void tape_stream::flush() {
  last_flush_ns_ = monotonic_ns();
  writer_.write_events(number_, process_, events_);
  events_.clear();
}

tape_losses tape_stream::losses() const {
  tape_losses result;
  result.allocations = __atomic_load_n(&header().lost_allocations, __ATOMIC_RELAXED);
  result.bytes = __atomic_load_n(&header().lost_bytes, __ATOMIC_RELAXED);
  result.frees = __atomic_load_n(&header().lost_frees, __ATOMIC_RELAXED);
  result.frames = __atomic_load_n(&header().refused_nodes, __ATOMIC_RELAXED);
  result.refused_records = refused_records_;
  result.is_corrupt = guard_.has_faulted();
  result.by_thread = lost_by_thread_;
  for (const auto& ring : rings_) {
    const wire::tape_loss_counts lost = ring->reader.lost();
    result.allocations += lost.allocations;
    result.bytes += lost.bytes;
    result.frees += lost.frees;
    result.waits += ring->reader.waits();
    result.wait_ns += ring->reader.wait_ns();
    result.is_corrupt |= ring->is_corrupt;
    // Who had a ring that cannot be read to its end is not known.
    if (ring->is_corrupt || ring->thread == no_index) continue;
    if (const auto since = lost_between(ring->lost_before, lost)) add_losses(result.by_thread, ring->thread, *since);
  }
  std::erase_if(result.by_thread, [](const thread_losses& one) { return one.allocations + one.frees == 0; });
  return result;
}

}  // namespace tenure::collect
