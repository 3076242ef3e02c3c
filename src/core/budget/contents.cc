#include "core/budget/contents.h"

#include <cstring>

#include "core/base/check.h"

namespace tenure::budget {
namespace {

using wire::content_record;

constexpr std::uint32_t none = ~0u;

// Of what each record is, so that most of them need not be looked at.
std::uint64_t identities[wire::content_capacity];

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

std::uint64_t identity_of(std::uint32_t account, const content& what) noexcept {
  std::uint64_t hash = mixed(1, account);
  for (std::size_t i = 0; i < what.type_bytes; ++i) hash = mixed(hash, static_cast<unsigned char>(what.type[i]));
  for (std::uint32_t i = 0; i < what.frame_count; ++i) hash = mixed(hash, what.frames[i]);
  return hash;
}

std::uint32_t used_count() noexcept { return __atomic_load_n(&table_header().content_count, __ATOMIC_ACQUIRE); }
std::uint32_t samples_of(const content_record& of) noexcept { return __atomic_load_n(&of.samples, __ATOMIC_ACQUIRE); }

content cut_to_room(content what) noexcept {
  if (what.type_bytes > sizeof content_record::type) what.type_bytes = sizeof content_record::type;
  if (what.frame_count > wire::content_frames) what.frame_count = wire::content_frames;
  return what;
}

void begin_record(content_record& of, std::uint32_t account, const content& what) noexcept {
  const std::uint32_t before = of.changes;
  __atomic_store_n(&of.changes, before + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  of.account = account;
  of.frame_count = what.frame_count;
  std::memcpy(of.frames, what.frames, what.frame_count * sizeof *what.frames);
  std::memset(of.type, 0, sizeof of.type);
  std::memcpy(of.type, what.type, what.type_bytes);
  __atomic_store_n(&of.changes, before + 2, __ATOMIC_RELEASE);
}

// That of the same objects, or else the first that is free. `none`: all are in use.
std::uint32_t find_record(std::uint64_t identity) noexcept {
  std::uint32_t free = none;
  const std::uint32_t count = used_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (identities[i] == identity) return i;
    if (free == none && samples_of(content_records()[i]) == 0) free = i;
  }
  if (free != none) return free;
  if (count == wire::content_capacity) return none;
  return have_pages(reinterpret_cast<std::byte*>(&content_records()[count]), sizeof(content_record)) ? count : none;
}

}  // namespace

std::uint32_t add_content(const account* of, const content& what, const content_share& share) noexcept {
  os::lock_guard held(table_lock());
  TENURE_CHECK(is_open(of));
  const auto account_index = static_cast<std::uint32_t>(of - record_at(0));
  const content kept = cut_to_room(what);
  const std::uint64_t identity = identity_of(account_index, kept);
  const std::uint32_t index = find_record(identity);
  if (index == none) {
    __atomic_fetch_add(&table_header().refused_contents, 1, __ATOMIC_RELAXED);
    return 0;
  }
  content_record& record = content_records()[index];
  if (identities[index] != identity) {
    TENURE_DCHECK(samples_of(record) == 0 && record.bytes == 0 && record.object_thousandths == 0);
    begin_record(record, account_index, kept);
    identities[index] = identity;
  }
  __atomic_fetch_add(&record.bytes, share.bytes, __ATOMIC_RELAXED);
  __atomic_fetch_add(&record.object_thousandths, share.object_thousandths, __ATOMIC_RELAXED);
  __atomic_fetch_add(&record.samples, 1, __ATOMIC_RELEASE);
  if (index == used_count()) __atomic_store_n(&table_header().content_count, index + 1, __ATOMIC_RELEASE);
  return index + 1;
}

void remove_content(std::uint32_t number, const content_share& share) noexcept {
  TENURE_CHECK(number != 0 && number <= used_count());
  content_record& record = content_records()[number - 1];
  TENURE_CHECK(samples_of(record) != 0);
  __atomic_fetch_sub(&record.bytes, share.bytes, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&record.object_thousandths, share.object_thousandths, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&record.samples, 1, __ATOMIC_RELEASE);
}

void forget_contents_of(std::uint32_t account_index) noexcept {
  const std::uint32_t count = used_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    content_record& record = content_records()[i];
    if (record.account != account_index) continue;
    __atomic_store_n(&record.samples, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&record.bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&record.object_thousandths, 0, __ATOMIC_RELAXED);
  }
}

void check_contents() noexcept {
  if (content_records() == nullptr) return;
  const std::uint32_t count = used_count();
  TENURE_CHECK(count <= wire::content_capacity);
  for (std::uint32_t i = 0; i < count; ++i) {
    const content_record& record = content_records()[i];
    TENURE_CHECK(record.changes % 2 == 0 && record.frame_count <= wire::content_frames);
    TENURE_CHECK(record.account < record_count());
  }
}

void visit_content_frames(void (*visit)(void* context, const std::uint64_t* frames, std::uint32_t count) noexcept,
                          void* context) noexcept {
  if (content_records() == nullptr) return;
  const std::uint32_t count = used_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    const content_record& record = content_records()[i];
    if (samples_of(record) != 0) visit(context, record.frames, record.frame_count);
  }
}

}  // namespace tenure::budget
