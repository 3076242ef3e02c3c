#include "core/budget/ledger.h"

#include <sys/mman.h>
#include <cerrno>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/budget/contents.h"
#include "core/budget/shrinker.h"
#include "core/os/virtual_memory.h"

namespace tenure::budget {
namespace {

using wire::account_capacity;
using wire::account_record;
using wire::account_state;

os::mutex lock;
std::byte* table = nullptr;  // atomic; set once
populate_function populate_pages = nullptr;
bool forked = false;

// Private, because nothing in the shared records leads to anything: how many open accounts stand below each.
std::uint32_t open_below[account_capacity];
// Which records' pages have been asked for since the table moved into a file.
std::uint32_t populated_records = 0;

// As they stood before fork; only the used part is ever touched.
alignas(64) std::byte snapshot[wire::account_table_bytes];

// Word by word: others may be charging.
void copy_table(const std::byte* from, std::byte* to, std::size_t bytes) noexcept {
  const auto* source = reinterpret_cast<const std::uint64_t*>(from);
  auto* target = reinterpret_cast<std::uint64_t*>(to);
  for (std::size_t i = 0; i < bytes / sizeof *source; ++i) {
    __atomic_store_n(&target[i], __atomic_load_n(&source[i], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  }
}

// What of a table is used: its records, and what they contain.
struct used_parts {
  explicit used_parts(const std::byte* of) noexcept {
    const auto* head = reinterpret_cast<const wire::account_table_header*>(of);
    account_bytes = wire::account_records_offset_bytes +
                    __atomic_load_n(&head->record_count, __ATOMIC_ACQUIRE) * sizeof(account_record);
    content_bytes = __atomic_load_n(&head->content_count, __ATOMIC_ACQUIRE) * sizeof(wire::content_record);
  }
  std::size_t account_bytes;
  std::size_t content_bytes;
};

void copy_used(const std::byte* from, std::byte* to) noexcept {
  const used_parts used(from);
  copy_table(from, to, used.account_bytes);
  copy_table(from + wire::content_records_offset_bytes, to + wire::content_records_offset_bytes, used.content_bytes);
}

// Room at `to` for what is used of `from`, which may be null.
bool populate_used(const std::byte* from, std::byte* to, populate_function populate) noexcept {
  if (from == nullptr) return populate(to, wire::account_records_offset_bytes);
  const used_parts used(from);
  return populate(to, used.account_bytes) &&
         (used.content_bytes == 0 || populate(to + wire::content_records_offset_bytes, used.content_bytes));
}

std::byte* table_address() noexcept { return __atomic_load_n(&table, __ATOMIC_ACQUIRE); }
account_record* records() noexcept {
  return reinterpret_cast<account_record*>(table_address() + wire::account_records_offset_bytes);
}
std::uint32_t index_of(const account* of) noexcept { return static_cast<std::uint32_t>(of - records()); }

account_state state_of(const account* of) noexcept {
  return static_cast<account_state>(__atomic_load_n(&of->state, __ATOMIC_ACQUIRE));
}
void set_state(account* of, account_state state) noexcept {
  __atomic_store_n(&of->state, static_cast<std::uint32_t>(state), __ATOMIC_RELEASE);
}

void copy_name(char* to, const char* from, std::size_t capacity) noexcept {
  const std::size_t length = ::strnlen(from, capacity - 1);
  std::memcpy(to, from, length);
  std::memset(to + length, 0, capacity - length);
}

bool is_named(const account* of, const char* name, const char* kind) noexcept {
  return ::strncmp(of->name, name, sizeof of->name - 1) == 0 && ::strncmp(of->kind, kind, sizeof of->kind - 1) == 0;
}

bool have_table() noexcept {
  if (table != nullptr) return true;
  void* memory = os::map_anywhere(wire::account_table_bytes);
  if (memory == nullptr) return false;
  __atomic_store_n(&table, static_cast<std::byte*>(memory), __ATOMIC_RELEASE);
  return true;
}

bool have_pages_of(std::uint32_t index) noexcept {
  if (populate_pages == nullptr || index < populated_records) return true;
  const std::size_t page = os::page_bytes();
  std::byte* first = reinterpret_cast<std::byte*>(&records()[index]);
  if (!have_pages(first, sizeof(account_record))) return false;
  // All records that end on the pages which are there now.
  const std::uintptr_t end = core::align_up(reinterpret_cast<std::uintptr_t>(first) + sizeof(account_record), page);
  const std::size_t bytes = end - reinterpret_cast<std::uintptr_t>(records());
  populated_records = static_cast<std::uint32_t>(bytes / sizeof(account_record));
  return true;
}

// A closed record of the same name first, then one that was never used, then any closed one.
account* find_record(const char* name, const char* kind, std::uint32_t parent) noexcept {
  const std::uint32_t count = record_count();
  account* closed = nullptr;
  for (std::uint32_t i = 0; i < count; ++i) {
    account* one = &records()[i];
    if (state_of(one) != account_state::closed) continue;
    if (one->parent == parent && is_named(one, name, kind)) return one;
    if (closed == nullptr) closed = one;
  }
  if (count == account_capacity) return closed;
  return have_pages_of(count) ? &records()[count] : closed;
}

void begin_record(account* of, const char* name, const char* kind, std::uint32_t parent) noexcept {
  const bool is_same = state_of(of) == account_state::closed && of->parent == parent && is_named(of, name, kind);
  if (!is_same) {
    std::memset(static_cast<void*>(of), 0, sizeof *of);
    copy_name(of->name, name, sizeof of->name);
    copy_name(of->kind, kind, sizeof of->kind);
    of->parent = parent;
  }
  of->held_bytes = of->held_blocks = 0;
  of->use.used_bytes = of->use.used_blocks = 0;
  of->soft_limit_bytes = of->hard_limit_bytes = wire::no_limit;
  of->publishes_use = 0;
  ++of->openings;
  set_state(of, account_state::open);
  if (index_of(of) == record_count()) {
    __atomic_store_n(&table_header().record_count, index_of(of) + 1, __ATOMIC_RELEASE);
  }
}

}  // namespace

os::mutex& table_lock() noexcept { return lock; }
wire::account_table_header& table_header() noexcept {
  return *reinterpret_cast<wire::account_table_header*>(table_address());
}
wire::content_record* content_records() noexcept {
  std::byte* const begin = table_address();
  return begin == nullptr ? nullptr
                          : reinterpret_cast<wire::content_record*>(begin + wire::content_records_offset_bytes);
}
bool have_pages(std::byte* first, std::size_t bytes) noexcept {
  return populate_pages == nullptr || populate_pages(first, bytes);
}

std::uint32_t record_count() noexcept {
  return table_address() == nullptr ? 0 : __atomic_load_n(&table_header().record_count, __ATOMIC_ACQUIRE);
}
account* record_at(std::uint32_t index) noexcept {
  TENURE_CHECK(index < record_count());
  return &records()[index];
}
std::uint64_t refused_accounts() noexcept {
  return table_address() == nullptr ? 0 : __atomic_load_n(&table_header().refused, __ATOMIC_RELAXED);
}

account* open(const char* name, const char* kind, account* parent) noexcept {
  os::lock_guard held(lock);
  if (!have_table()) return nullptr;
  TENURE_CHECK(parent == nullptr || is_open(parent));
  const std::uint32_t above = parent == nullptr ? wire::no_account : index_of(parent);
  account* found = find_record(name, kind, above);
  if (found == nullptr) {
    __atomic_fetch_add(&table_header().refused, 1, __ATOMIC_RELAXED);
    return nullptr;
  }
  begin_record(found, name, kind, above);
  if (parent != nullptr) ++open_below[above];
  return found;
}

bool close(account* closed) noexcept {
  os::lock_guard held(lock);
  TENURE_CHECK(is_open(closed));  // closed twice, or never opened
  if (open_below[index_of(closed)] != 0 || has_shrinker(closed)) return false;
  const std::uint64_t bytes = __atomic_load_n(&closed->held_bytes, __ATOMIC_RELAXED);
  const std::uint64_t blocks = __atomic_load_n(&closed->held_blocks, __ATOMIC_RELAXED);
  for (account* above = parent_of(closed); above != nullptr; above = parent_of(above)) {
    __atomic_fetch_sub(&above->held_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&above->held_blocks, blocks, __ATOMIC_RELAXED);
  }
  if (closed->parent != wire::no_account) --open_below[closed->parent];
  closed->held_bytes = closed->held_blocks = 0;
  closed->use.used_bytes = closed->use.used_blocks = 0;
  forget_contents_of(index_of(closed));
  set_state(closed, account_state::closed);
  return true;
}

account* parent_of(const account* of) noexcept {
  const std::uint32_t parent = __atomic_load_n(&of->parent, __ATOMIC_RELAXED);
  if (parent == wire::no_account) return nullptr;
  TENURE_CHECK(parent < account_capacity);
  return &records()[parent];
}

bool is_open(const account* of) noexcept {
  const std::byte* begin = table_address();
  if (begin == nullptr) return false;
  const auto offset = reinterpret_cast<std::uintptr_t>(of) - reinterpret_cast<std::uintptr_t>(records());
  if (offset >= account_capacity * sizeof(account_record) || offset % sizeof(account_record) != 0) return false;
  return offset / sizeof(account_record) < record_count() && state_of(of) == account_state::open;
}

bool is_at_or_below(const account* of, const account* above) noexcept {
  for (std::uint32_t depth = 0; of != nullptr && depth < account_capacity; of = parent_of(of), ++depth) {
    if (of == above) return true;
  }
  return false;
}

void set_limits(account* of, std::uint64_t soft_bytes, std::uint64_t hard_bytes) noexcept {
  TENURE_CHECK(is_open(of));
  __atomic_store_n(&of->soft_limit_bytes, soft_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&of->hard_limit_bytes, hard_bytes, __ATOMIC_RELAXED);
}

wire::account_use* publish_use(account* of) noexcept {
  TENURE_CHECK(is_open(of));
  __atomic_store_n(&of->publishes_use, 1, __ATOMIC_RELEASE);
  return &of->use;
}

bool move_to_file(int descriptor, std::uint64_t offset_bytes, populate_function populate) noexcept {
  const int saved_errno = errno;
  os::lock_guard held(lock);
  void* view = ::mmap(nullptr, wire::account_table_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                      static_cast<off_t>(offset_bytes));
  bool moved = view != MAP_FAILED && populate_used(table, static_cast<std::byte*>(view), populate);
  if (moved && table == nullptr) {
    __atomic_store_n(&table, static_cast<std::byte*>(view), __ATOMIC_RELEASE);
  } else if (moved) {
    // Only the child of a fork comes here with accounts, and it is alone: nobody charges between copy and exchange.
    copy_used(table, static_cast<std::byte*>(view));
    moved = ::mremap(view, wire::account_table_bytes, wire::account_table_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                     table) != MAP_FAILED;
  }
  if (moved) {
    populate_pages = populate;
    populated_records = record_count();
  } else if (view != MAP_FAILED) {
    ::munmap(view, wire::account_table_bytes);
  }
  errno = saved_errno;
  return moved;
}

bool copy_to(std::byte* to, populate_function populate) noexcept {
  if (!lock.try_lock()) return false;
  const bool has_room = populate_used(table, to, populate);
  if (has_room && table != nullptr) copy_used(table, to);
  lock.unlock();
  return has_room;
}

void before_fork() noexcept {
  lock.lock();
  lock_shrinkers();
  if (table != nullptr) copy_used(table, snapshot);
}

void after_fork_in_parent() noexcept {
  unlock_shrinkers();
  lock.unlock();
}

void after_fork_in_child() noexcept {
  forked = true;
  forget_running_shrinkers();
  unlock_shrinkers();
  if (table != nullptr && populate_pages != nullptr) {
    // Off the parent's file, to memory of our own at the same place.
    TENURE_CHECK(os::map_over(table, wire::account_table_bytes));
    copy_used(snapshot, table);
    populate_pages = nullptr;
    populated_records = 0;
  }
  lock.unlock();
}

bool is_forked() noexcept { return forked; }

void check() noexcept {
  os::lock_guard held(lock);
  const std::uint32_t count = record_count();
  TENURE_CHECK(count <= account_capacity);
  std::uint32_t below = 0;
  std::uint32_t with_parent = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const account* one = &records()[i];
    const account_state state = state_of(one);
    TENURE_CHECK(state == account_state::open || state == account_state::closed);
    TENURE_CHECK(one->name[sizeof one->name - 1] == '\0' && one->kind[sizeof one->kind - 1] == '\0');
    TENURE_CHECK(state == account_state::open || open_below[i] == 0);
    below += open_below[i];
    if (state != account_state::open || one->parent == wire::no_account) continue;
    ++with_parent;
    TENURE_CHECK(one->parent < count && state_of(&records()[one->parent]) == account_state::open);
  }
  TENURE_CHECK(below == with_parent);
  check_contents();
}

}  // namespace tenure::budget
