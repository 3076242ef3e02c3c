#include "core/heap/class_lists.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/central_list.h"
#include "core/heap/sampled.h"
#include "core/os/clock.h"
#include "core/os/processors.h"

namespace tenure::core {
namespace {

constexpr std::uint32_t first_capacity = 2;
constexpr std::uint32_t slow_paths_between_looks = 256;
constexpr std::uint32_t visits_between = 8;  // of a class, before a list that fills an OS page grows

// A list is never as long as this.
constexpr std::uint32_t most_counted = 1u << 16;
constexpr std::int64_t most_samples = 512;   // that a thread may take in a row
constexpr std::uint64_t first_samples = 64;  // likewise, of a record that is new

// What an encoded head leads to: how long it is, and the block in its middle.
struct list_measure {
  std::uint32_t count = 0;
  free_block* middle = nullptr;  // the last of the first half; null below two blocks
  free_block* last = nullptr;
};

list_measure measure(std::uintptr_t head, std::uint32_t most) noexcept {
  list_measure found;
  for (free_block* block = decode_link(head); block != nullptr; block = next_of(block)) {
    ++found.count;
    found.last = block;
    TENURE_CHECK(found.count <= most);  // a list that bites its own tail: a double free that went unnoticed
    if (found.count % 2 == 0) found.middle = found.middle == nullptr ? decode_link(head) : next_of(found.middle);
  }
  return found;
}

bool is_paired(std::size_t size_class) noexcept { return size_class <= last_paired_class; }

std::uintptr_t& popped(hot_cache& cache, std::size_t size_class) noexcept {
  return is_paired(size_class) ? cache.front[size_class] : cache.list[size_class];
}

std::uint32_t room_left(const hot_cache& cache, std::size_t size_class) noexcept {
  return cache.room[size_class] < 0 ? 0 : static_cast<std::uint32_t>(cache.room[size_class]);
}

// Blocks in `list` of a class with two.
std::uint32_t freed_count(const hot_cache& cache, const class_state& state, std::size_t size_class) noexcept {
  TENURE_DCHECK(is_paired(size_class) && room_left(cache, size_class) <= state.opened);
  return state.opened - room_left(cache, size_class);
}

// How many blocks a list is filled up to; with two lists also the most that each may hold.
std::uint32_t batch_of(const class_state& state) noexcept { return state.capacity < 2 ? 1u : state.capacity / 2u; }

// How many allocations a single list may serve before the next slow path: neither past the capacity nor past the
// sample.
std::uint32_t limit_of(const class_state& state) noexcept {
  TENURE_DCHECK(state.until_sample != 0 && state.spare.count <= state.capacity);
  const std::uint32_t space = std::uint32_t{state.capacity} - state.spare.count;
  return state.until_sample - 1 < space ? static_cast<std::uint32_t>(state.until_sample - 1) : space;
}

// Opens the fast path again, for `count` blocks in the list that malloc pops.
void grant(hot_cache& cache, class_state& state, std::size_t size_class, std::uint32_t count) noexcept {
  TENURE_CHECK(count < state.until_sample);
  if (is_paired(size_class)) {
    state.granted = static_cast<std::uint16_t>(count);
    return;
  }
  const std::uint32_t limit = limit_of(state);
  TENURE_DCHECK(count <= limit);
  state.granted = static_cast<std::uint16_t>(limit);
  cache.room[size_class] = static_cast<std::int32_t>(limit - count);
}

// Closes it: what has been allocated since follows from what is left in that list.
void settle(hot_cache& cache, class_state& state, std::size_t size_class, std::uint32_t count) noexcept {
  std::uint32_t left = count;
  if (!is_paired(size_class)) {
    left += room_left(cache, size_class);
    cache.room[size_class] = 0;
  }
  TENURE_CHECK(left <= state.granted);
  const std::uint32_t allocated = state.granted - left;
  TENURE_DCHECK(allocated == 0 || allocated < state.until_sample);
  state.granted = static_cast<std::uint16_t>(count);
  state.until_sample -= allocated;
}

std::uint64_t thread_count() noexcept {
  const std::uint64_t count = __atomic_load_n(&telemetry::statistics().thread_cache_count, __ATOMIC_RELAXED);
  return count == 0 ? 1 : count;
}

// Up to this many bytes a list grows at each visit: an OS page, which its first block has touched anyway, or less where
// many threads share the pages.
std::uint64_t quick_bytes() noexcept {
  constexpr std::uint64_t page_bytes = 4096;
  constexpr std::uint64_t all_threads_bytes = 128 * 1024;
  const std::uint64_t threads = thread_count();
  return threads * page_bytes <= all_threads_bytes ? page_bytes : all_threads_bytes / threads;
}

// Whether a thread's lists may hold so much together: less where there are more threads than can run at once, which
// wait for a processor longer than for a block. Half of that share where they are many more, of which most do wait.
bool may_hold(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t least_share_bytes = 32 * 1024;
  constexpr std::uint64_t many = 4;
  const auto most = static_cast<std::uint64_t>(value(option::thread_cache));
  if (bytes <= least_share_bytes || bytes > most) return bytes <= most;
  const std::uint64_t threads = thread_count();
  const std::uint64_t processors = os::processor_count();
  const std::uint64_t share = most / threads * processors;
  return threads <= processors || bytes <= (threads <= many * processors ? share : share / 2);
}

// Two batches; more of the largest blocks, so that not every third free meets the slow path.
constexpr std::uint32_t most_capacity(std::size_t size_class) noexcept {
  const std::uint32_t batches = 2 * largest_batch(size_class);
  return batches < 8 ? 8 : batches;
}

// Within the class's most and the thread's limit; false when it stays as it is.
bool double_capacity(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  const std::uint32_t most = most_capacity(size_class);
  if (state.capacity >= most) return false;
  const std::uint32_t doubled = state.capacity == 0         ? first_capacity
                                : state.capacity * 2 > most ? most
                                                            : state.capacity * 2;
  const std::uint64_t added = std::uint64_t{doubled - state.capacity} * class_bytes[size_class];
  if (!may_hold(record.held_limit_bytes + added)) return false;
  state.visits = 0;
  record.held_limit_bytes += added;
  state.capacity = static_cast<std::uint16_t>(doubled);
  return true;
}

// On demand: at each visit while the list is small, later at every eighth.
void grow(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  if (state.capacity >= most_capacity(size_class)) return;
  const std::uint64_t bytes = std::uint64_t{batch_of(state)} * class_bytes[size_class];
  if (bytes >= quick_bytes() && ++state.visits < visits_between) return;
  if (!double_capacity(record, state, size_class)) state.visits = 0;
}

// Where more is freed than allocated, what a list holds only waits.
void halve_capacity(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  const auto less = static_cast<std::uint16_t>(state.capacity / 2);
  record.held_limit_bytes -= std::uint64_t{std::uint32_t{state.capacity} - less} * class_bytes[size_class];
  state.capacity = less;
}

// Turns a distance in bytes into one in blocks: the block in which the point falls is the sample.
void draw(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  const auto size = static_cast<std::int64_t>(class_bytes[size_class]);
  telemetry::sample_clock drawn = record.clock;
  drawn.next(record.sample_doublings);
  record.clock.random_state = drawn.random_state;
  state.interval_bytes = drawn.interval_bytes;
  state.until_sample = static_cast<std::uint64_t>((drawn.bytes_until_sample + size - 1) / size);
  state.interval_epoch = record.interval_epoch;
}

// Whether the interval is another one than when it was last looked up.
bool follow_interval(thread_record& record) noexcept {
  const std::uint64_t interval_bytes = telemetry::sample_interval_bytes();
  if (interval_bytes == record.interval_bytes) return false;
  record.interval_bytes = interval_bytes;
  ++record.interval_epoch;
  return true;
}

}  // namespace

void begin_credit(thread_record& record, bool is_first) noexcept {
  if (is_first) return;  // it has always been without a sample
  const auto spacing_ns = static_cast<std::uint64_t>(value(option::sample_spacing)) * 1000;
  record.last_sample_ns = os::monotonic_ns() - first_samples * spacing_ns;
}

void take_over(thread_record& record) noexcept {
  const auto all_ns = most_samples * value(option::sample_spacing) * 1000;
  const bool is_rested = static_cast<std::int64_t>(os::monotonic_ns() - record.last_sample_ns) >= all_ns;
  const bool is_dense_again = is_rested && record.sample_doublings != 0;
  if (is_rested) record.sample_doublings = 0;
  if (!follow_interval(record) && is_dense_again) ++record.interval_epoch;
}

void spend_credit(thread_record& record) noexcept {
  constexpr unsigned most_doublings = 16;
  const std::int64_t spacing_ns = value(option::sample_spacing) * 1000;
  const std::uint64_t now_ns = os::monotonic_ns();
  const auto elapsed_ns = static_cast<std::int64_t>(now_ns - record.last_sample_ns);
  record.last_sample_ns = now_ns;
  const std::int64_t earned_ns = elapsed_ns < most_samples * spacing_ns ? elapsed_ns : most_samples * spacing_ns;
  record.sample_credit_ns += earned_ns - spacing_ns;
  if (record.sample_credit_ns > most_samples * spacing_ns) record.sample_credit_ns = most_samples * spacing_ns;
  if (record.sample_credit_ns < 0) {
    record.sample_credit_ns = 0;
    if (record.sample_doublings < most_doublings) ++record.sample_doublings;
  } else if (record.sample_doublings != 0 && record.sample_credit_ns > most_samples / 8 * spacing_ns) {
    --record.sample_doublings;
  }
}

namespace {

void give(std::uintptr_t* head, std::size_t size_class, std::uint32_t count) noexcept {
  const block_chain chain{decode_link(*head), count};
  TENURE_DCHECK((chain.first == nullptr) == (count == 0));
  *head = empty_link;
  central_lists[size_class].give(size_class, chain);
}

}  // namespace

void give_spare(class_state& state, std::size_t size_class) noexcept {
  const block_chain chain = state.spare;
  state.spare = {};
  central_lists[size_class].give(size_class, chain);
}

namespace {

// Empties `list` of a class with two and opens it for as many as the capacity allows now.
block_chain take_freed(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  const block_chain chain{decode_link(cache.list[size_class]), freed_count(cache, state, size_class)};
  TENURE_DCHECK((chain.first == nullptr) == (chain.count == 0));
  cache.list[size_class] = empty_link;
  state.opened = static_cast<std::uint16_t>(state.capacity / 2);
  cache.room[size_class] = static_cast<std::int32_t>(state.opened);
  return chain;
}

}  // namespace

// Gives one class's blocks up; nothing is granted afterwards.
void flush_class(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  std::uintptr_t& head = popped(cache, size_class);
  const std::uint32_t count = measure(head, state.granted).count;
  settle(cache, state, size_class, count);
  give(&head, size_class, count);
  give_spare(state, size_class);
  if (is_paired(size_class)) central_lists[size_class].give(size_class, take_freed(cache, state, size_class));
  state.granted = 0;
}

// After flush_class(), with the capacity as it is now.
void reopen(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  TENURE_DCHECK(state.until_sample != 0);
  if (is_paired(size_class)) static_cast<void>(take_freed(cache, state, size_class));
  grant(cache, state, size_class, 0);
}

namespace {

// What the class holds is given up, and it may hold half as much.
void shrink_class(hot_cache& cache, thread_record& record, std::size_t size_class) noexcept {
  class_state& state = record.classes[size_class];
  if (state.capacity == 0) return;
  flush_class(cache, state, size_class);
  halve_capacity(record, state, size_class);
  reopen(cache, state, size_class);
}

}  // namespace

void shrink_cache(hot_cache& cache, thread_record& record, std::uint64_t most_bytes) noexcept {
  while (record.held_limit_bytes > most_bytes) {
    for (std::size_t i = class_count; --i != 0 && record.held_limit_bytes > most_bytes;) shrink_class(cache, record, i);
  }
}

namespace {

// Classes that met no slow path since the last look are given up and start small again.
void drop_neglected(hot_cache& cache, thread_record& record) noexcept {
  for (std::size_t i = 1; i < class_count; ++i) {
    class_state& state = record.classes[i];
    if (state.used) {
      state.used = false;
      continue;
    }
    shrink_class(cache, record, i);
  }
}

// Once for each slow path of a class that is closed.
void note_slow_path(hot_cache& cache, thread_record& record, class_state& state, std::size_t size_class) noexcept {
  state.used = true;
  if (unlikely(++record.slow_paths % slow_paths_between_looks == 0)) {
    drop_neglected(cache, record);
    state.used = true;
    follow_interval(record);
  }
  // Forgetting the past is what a Poisson process may always do. What was granted for the old point is given up first.
  if (unlikely(state.until_sample == 0 || state.interval_epoch != record.interval_epoch)) {
    if (state.until_sample != 0) flush_class(cache, state, size_class);
    draw(record, state, size_class);
    reopen(cache, state, size_class);
  }
}

// Cuts `chain` behind its first `kept` blocks and returns the rest.
block_chain cut(block_chain* chain, std::uint32_t kept) noexcept {
  TENURE_DCHECK(kept != 0 && kept < chain->count);
  free_block* last = chain->first;
  for (std::uint32_t i = 1; i < kept; ++i) {
    last = next_of(last);
    TENURE_CHECK(last != nullptr);  // a link that was overwritten after the free
  }
  const block_chain rest{next_of(last), chain->count - kept};
  last->link = empty_link;
  chain->count = kept;
  return rest;
}

// Makes `chain` the list that malloc pops, as much of it as may be, and opens the class. What lies behind a sampling
// point is set aside, what is more than `most` goes back.
void install(hot_cache& cache, class_state& state, std::size_t size_class, block_chain chain,
             std::uint32_t most) noexcept {
  TENURE_DCHECK(popped(cache, size_class) == empty_link && state.spare.count == 0);
  if (chain.count > most) {
    const block_chain rest = most == 0 ? chain : cut(&chain, most);
    if (most == 0) chain = {};
    central_lists[size_class].give(size_class, rest);
  }
  const std::uint64_t before_sample = state.until_sample - 1;
  if (chain.count > before_sample) {
    state.spare = before_sample == 0 ? chain : cut(&chain, static_cast<std::uint32_t>(before_sample));
    if (before_sample == 0) chain = {};
  }
  popped(cache, size_class) = encode_link(chain.first);
  grant(cache, state, size_class, chain.count);
}

// Blocks from the central list: as many as a list is filled up to, or a whole batch of another thread's. That one is
// there already, and where few threads share what there is it is taken whole.
block_chain fetch(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  const std::uint32_t batch = batch_of(state);
  const std::uint32_t most = largest_batch(size_class);
  state.fetched = true;
  const block_chain chain = central_lists[size_class].fetch(size_class, batch < most ? batch : most);
  const std::uint64_t bytes = std::uint64_t{chain.count} * class_bytes[size_class];
  while (chain.count > batch_of(state) && bytes <= 4 * quick_bytes() && double_capacity(record, state, size_class)) {
  }
  return chain;
}

// A list that supplies itself grows only as far as it pays: what goes round should stay in the processor's cache.
bool goes_round(const class_state& state, std::size_t size_class) noexcept {
  constexpr std::uint64_t enough_bytes = 4096;
  constexpr std::uint64_t most_bytes = 8192;
  constexpr std::uint32_t enough_blocks = 16;
  const std::uint64_t bytes = std::uint64_t{batch_of(state)} * class_bytes[size_class];
  return bytes >= most_bytes || (bytes >= enough_bytes && batch_of(state) >= enough_blocks);
}

// Blocks for a list that is used up: what was set aside, what this thread has freed, or what the central list has.
block_chain supply(hot_cache& cache, thread_record& record, class_state& state, std::size_t size_class) noexcept {
  if (state.spare.count != 0) {
    const block_chain chain = state.spare;
    state.spare = {};
    return chain;
  }
  if (is_paired(size_class) && freed_count(cache, state, size_class) * 2 > batch_of(state)) {
    if (!goes_round(state, size_class)) grow(record, state, size_class);
    return take_freed(cache, state, size_class);
  }
  grow(record, state, size_class);
  const block_chain chain = fetch(record, state, size_class);
  if (chain.count == 0 && is_paired(size_class)) return take_freed(cache, state, size_class);
  return chain;
}

// The next allocation is the sampled one. Null when there is no memory for a sample: then it is an ordinary one.
void* take_sample(hot_cache& cache, thread_record& record, std::size_t size_class, std::size_t requested_bytes,
                  wire::allocation_entry entry) noexcept {
  class_state& state = record.classes[size_class];
  while (state.until_sample == 1) {
    const std::uint64_t interval_bytes = state.interval_bytes;
    if (interval_bytes != 0) spend_credit(record);
    draw(record, state, size_class);
    if (interval_bytes == 0) continue;  // sampling was off
    grant(cache, state, size_class, 0);
    if (void* sampled = allocate_sampled(size_class, requested_bytes, interval_bytes, entry)) return sampled;
    settle(cache, state, size_class, 0);
    if (state.until_sample == 1) ++state.until_sample;
  }
  return nullptr;
}

}  // namespace

// Where there is anything else to do, the long way comes to the same.
void* exchange_lists(hot_cache& cache, thread_record& record, std::size_t size_class) noexcept {
  class_state& state = record.classes[size_class];
  TENURE_DCHECK(is_paired(size_class));
  if (state.spare.count != 0 || state.interval_epoch != record.interval_epoch) return nullptr;
  const std::uint32_t count = freed_count(cache, state, size_class);
  const std::uint32_t batch = batch_of(state);
  if (count * 2 <= batch || count > batch || state.until_sample <= std::uint64_t{state.granted} + count) return nullptr;
  if (!goes_round(state, size_class) && state.capacity < most_capacity(size_class)) return nullptr;
  if ((record.slow_paths + 1) % slow_paths_between_looks == 0) return nullptr;
  ++record.slow_paths;
  state.used = true;
  state.until_sample -= std::uint64_t{state.granted} + 1;  // all that was granted, and this one
  free_block* block = take_freed(cache, state, size_class).first;
  TENURE_CHECK(block != nullptr);
  cache.front[size_class] = block->link;
  state.granted = static_cast<std::uint16_t>(count - 1);
  block->link = 0;
  return block;
}

// The slow path's work of malloc; the record's lock is held and there is nothing to pop.
void* refill_held(hot_cache& cache, thread_record& record, std::size_t size_class, std::size_t requested_bytes,
                  wire::allocation_entry entry) noexcept {
  class_state& state = record.classes[size_class];
  note_slow_path(cache, record, state, size_class);
  settle(cache, state, size_class, 0);
  if (unlikely(state.until_sample == 1)) {
    if (void* sampled = take_sample(cache, record, size_class, requested_bytes, entry)) return sampled;
  }
  block_chain chain = supply(cache, record, state, size_class);
  free_block* block = chain.first;
  TENURE_CHECK((block == nullptr) == (chain.count == 0));
  if (likely(block != nullptr)) {
    chain = {next_of(block), chain.count - 1};
    --state.until_sample;
    block->link = 0;
  }
  const std::uint32_t most = is_paired(size_class) ? state.capacity / 2u : state.capacity;
  install(cache, state, size_class, chain, most);
  return block;
}

namespace {

void push(hot_cache& cache, std::size_t size_class, free_block* block) noexcept {
  block->link = cache.list[size_class];
  cache.list[size_class] = encode_link(block);
}

// The slow path's work of free where there are two lists: `list` is full.
void free_paired(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  const std::uint16_t before = state.opened;
  if (room_left(cache, size_class) == 0) {
    grow(record, state, size_class);
    const block_chain full = take_freed(cache, state, size_class);
    if (state.opened == 0) {
      block->link = empty_link;
      return central_lists[size_class].give_back(size_class, {block, 1});
    }
    if (state.opened >= before * 2 && before != 0) {
      // The list may be longer now: keep what is in it.
      cache.list[size_class] = encode_link(full.first);
      cache.room[size_class] -= static_cast<std::int32_t>(full.count);
    } else {
      central_lists[size_class].give(size_class, full);
    }
  }
  push(cache, size_class, block);
  --cache.room[size_class];
}

// A single list is as long as it may be. Where much is in it, its colder half goes, so that the next slow path is as
// far away again; all of it, and the capacity shrinks, where nothing was asked of the central list since the last time.
void relieve(hot_cache& cache, thread_record& record, std::size_t size_class, list_measure* length) noexcept {
  constexpr std::uint64_t least_bytes = 16384;  // to hold in any case
  class_state& state = record.classes[size_class];
  const std::uint64_t size = class_bytes[size_class];
  const bool full = length->count * 2 > state.capacity || state.capacity == 0;
  const bool draining = full && !state.fetched;
  if (full) state.fetched = false;
  if (draining && state.capacity * size > least_bytes) {
    halve_capacity(record, state, size_class);
    give_spare(state, size_class);
    give(&cache.list[size_class], size_class, length->count);
    length->count = 0;
    return;
  }
  if (!draining || (state.capacity + 1) * 2 * size <= least_bytes) grow(record, state, size_class);
  if (length->count * 2 <= state.capacity || length->middle == nullptr) return;
  const block_chain colder{next_of(length->middle), length->count - length->count / 2};
  length->middle->link = empty_link;
  length->count /= 2;
  central_lists[size_class].give(size_class, colder);
}

// The slow path's work of free where there is one list.
void free_single(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  list_measure length = measure(cache.list[size_class], state.granted);
  settle(cache, state, size_class, length.count);
  const std::uint32_t before = length.count;
  relieve(cache, record, size_class, &length);
  if (length.count != 0 && length.count == before && length.count + 1 == state.until_sample) {
    // As many as may be allocated before the sample: they are set aside, and there is room for as many again.
    length.last->link = encode_link(state.spare.first);
    state.spare = {decode_link(cache.list[size_class]), state.spare.count + length.count};
    cache.list[size_class] = empty_link;
    length.count = 0;
  }
  if (length.count + state.spare.count >= state.capacity) give_spare(state, size_class);
  if (unlikely(length.count >= state.capacity)) {
    block->link = empty_link;
    central_lists[size_class].give_back(size_class, {block, 1});
  } else if (unlikely(length.count >= limit_of(state))) {
    // The next block that is allocated is the sample: none may be there for the fast path.
    block->link = encode_link(state.spare.first);
    state.spare = {block, state.spare.count + 1};
  } else {
    push(cache, size_class, block);
    ++length.count;
  }
  grant(cache, state, size_class, length.count);
}

}  // namespace

void free_held(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  note_slow_path(cache, record, state, size_class);
  (is_paired(size_class) ? free_paired : free_single)(cache, record, size_class, block);
}

void abandon_class(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  give(&cache.list[size_class], size_class, measure(cache.list[size_class], most_counted).count);
  if (is_paired(size_class)) {
    give(&cache.front[size_class], size_class, measure(cache.front[size_class], most_counted).count);
  }
  give_spare(state, size_class);
}

}  // namespace tenure::core
