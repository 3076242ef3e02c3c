#include "core/pages/span_records.h"

#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/virtual_memory.h"
#include "core/pages/metadata.h"

namespace tenure::core {
namespace {

constexpr std::size_t record_page_bytes = 4096;
constexpr std::size_t chunk_pages = 16;
constexpr std::size_t header_bytes = 64;
constexpr std::uint32_t records_per_page = (record_page_bytes - header_bytes) / sizeof(span);
// Unused pages that stay, for the next spans.
constexpr std::size_t kept_pages = 4;

struct record_page {
  std::byte* memory = nullptr;
  record_page* next = nullptr;
  record_page* previous = nullptr;
  span* free = nullptr;      // through span::next
  std::uint32_t used = 0;    // records
  std::uint32_t carved = 0;  // records that were ever handed out since the page has memory
  bool has_room() const noexcept { return used < records_per_page; }
};

class page_list {
 public:
  record_page* first() const noexcept { return first_; }
  std::size_t count() const noexcept { return count_; }

  void push(record_page* added) noexcept {
    added->previous = nullptr;
    added->next = first_;
    if (first_ != nullptr) first_->previous = added;
    first_ = added;
    ++count_;
  }

  void remove(record_page* removed) noexcept {
    (removed->previous != nullptr ? removed->previous->next : first_) = removed->next;
    if (removed->next != nullptr) removed->next->previous = removed->previous;
    removed->next = removed->previous = nullptr;
    --count_;
  }

 private:
  record_page* first_ = nullptr;
  std::size_t count_ = 0;
};

page_list partial;   // some records in use, some not
page_list unused;    // none in use, with memory
page_list released;  // none in use, without
page_list leaving;   // on the way from unused to released
std::uint64_t resident_pages = 0;

record_page* page_of(const span* record) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(record);
  return *reinterpret_cast<record_page**>(address & ~(std::uintptr_t{record_page_bytes} - 1));
}

void set_resident(std::uint64_t pages) noexcept { __atomic_store_n(&resident_pages, pages, __ATOMIC_RELAXED); }

bool add_chunk() noexcept {
  void* described = allocate_metadata(chunk_pages * sizeof(record_page));
  if (described == nullptr) return false;
  auto* memory = static_cast<std::byte*>(os::map_anywhere(chunk_pages * record_page_bytes));
  if (memory == nullptr) return false;
  auto* pages = static_cast<record_page*>(described);
  for (std::size_t i = chunk_pages; i-- != 0;) {
    auto* page = new (pages + i) record_page;
    page->memory = memory + i * record_page_bytes;
    released.push(page);
  }
  return true;
}

// A page in `partial`.
record_page* page_with_room() noexcept {
  if (partial.first() != nullptr) return partial.first();
  page_list& from = unused.first() != nullptr ? unused : released;
  if (from.first() == nullptr && !add_chunk()) return nullptr;
  record_page* page = from.first();
  from.remove(page);
  if (&from == &released) {
    page->free = nullptr;
    page->carved = 0;
    *reinterpret_cast<record_page**>(page->memory) = page;
    set_resident(resident_pages + 1);
  }
  partial.push(page);
  return page;
}

}  // namespace

span* allocate_span_record() noexcept {
  record_page* page = page_with_room();
  if (page == nullptr) return nullptr;
  span* record = page->free;
  if (record != nullptr) {
    page->free = record->next;
  } else {
    TENURE_DCHECK(page->carved < records_per_page);
    record = reinterpret_cast<span*>(page->memory + header_bytes + page->carved++ * sizeof(span));
  }
  if (++page->used == records_per_page) partial.remove(page);
  return new (record) span;
}

void free_span_record(span* released_record) noexcept {
  TENURE_DCHECK(released_record->kind != span_kind::unused);
  record_page* page = page_of(released_record);
  TENURE_CHECK(page->used != 0);
  if (!page->has_room()) partial.push(page);
  *released_record = span{};
  released_record->next = page->free;
  page->free = released_record;
  if (--page->used == 0) {
    partial.remove(page);
    unused.push(page);
  }
}

bool collect_unused_record_pages() noexcept {
  if (os::page_bytes() > record_page_bytes) return false;
  while (unused.count() > kept_pages) {
    record_page* page = unused.first();
    unused.remove(page);
    leaving.push(page);
  }
  return leaving.count() != 0;
}

void release_record_pages() noexcept {
  // They have become unused one after the other: neighbours mostly follow each other.
  for (record_page* page = leaving.first(); page != nullptr;) {
    std::byte* begin = page->memory;
    std::byte* end = begin + record_page_bytes;
    for (page = page->next; page != nullptr; page = page->next) {
      if (page->memory == end) {
        end += record_page_bytes;
      } else if (page->memory + record_page_bytes == begin) {
        begin = page->memory;
      } else {
        break;
      }
    }
    static_cast<void>(os::release(begin, static_cast<std::size_t>(end - begin)));
  }
}

void put_back_record_pages() noexcept {
  set_resident(resident_pages - leaving.count());
  while (record_page* page = leaving.first()) {
    leaving.remove(page);
    released.push(page);
  }
}

std::uint64_t span_record_bytes() noexcept {
  return __atomic_load_n(&resident_pages, __ATOMIC_RELAXED) * record_page_bytes;
}

void check_span_records() noexcept {
  std::uint64_t with_memory = unused.count() + leaving.count();
  const page_list* const lists[] = {&partial, &unused, &leaving};
  for (const page_list* list : lists) {
    for (record_page* page = list->first(); page != nullptr; page = page->next) {
      TENURE_CHECK(*reinterpret_cast<record_page**>(page->memory) == page || list == &leaving);
      TENURE_CHECK(list == &partial ? page->used != 0 && page->has_room() : page->used == 0);
      if (list == &partial) ++with_memory;
      if (list == &leaving) continue;
      std::uint32_t count = 0;
      for (const span* record = page->free; record != nullptr; record = record->next) {
        TENURE_CHECK(page_of(record) == page && record->kind == span_kind::unused);
        TENURE_CHECK(++count <= records_per_page);
      }
      TENURE_CHECK(page->used + count == page->carved);  // no list has lost any
    }
  }
  TENURE_CHECK(with_memory <= resident_pages);
}

}  // namespace tenure::core
