#include "core/pages/record_pool.h"

#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/virtual_memory.h"
#include "core/pages/metadata.h"

namespace tenure::core {

struct record_page {
  std::byte* memory = nullptr;
  record_page* next = nullptr;
  record_page* previous = nullptr;
  void* free = nullptr;      // through the first word
  std::uint32_t used = 0;    // records
  std::uint32_t carved = 0;  // records that were ever handed out since the page has memory
};

namespace {

constexpr std::size_t chunk_pages = 16;
// Unused pages that stay, for the next records.
constexpr std::size_t kept_pages = 4;

void*& next_free(void* record) noexcept { return *static_cast<void**>(record); }

record_page* page_of(const void* record) noexcept {
  TENURE_DCHECK(record != nullptr);
  const auto address = reinterpret_cast<std::uintptr_t>(record);
  return *reinterpret_cast<record_page**>(align_down(address, record_pool::page_bytes));
}

}  // namespace

void record_page_list::push(record_page* added) noexcept {
  added->previous = nullptr;
  added->next = first_;
  if (first_ != nullptr) first_->previous = added;
  first_ = added;
  ++count_;
}

void record_page_list::remove(record_page* removed) noexcept {
  TENURE_DCHECK(count_ != 0);
  (removed->previous != nullptr ? removed->previous->next : first_) = removed->next;
  if (removed->next != nullptr) removed->next->previous = removed->previous;
  removed->next = removed->previous = nullptr;
  --count_;
}

bool record_pool::has_room(const record_page* page) const noexcept { return page->used < per_page_; }

bool record_pool::add_chunk() noexcept {
  auto* memory = static_cast<std::byte*>(os::map_anywhere(chunk_pages * page_bytes));
  if (memory == nullptr) return false;
  TENURE_DCHECK(is_aligned(reinterpret_cast<std::uintptr_t>(memory), page_bytes));
  // Metadata is never given back, so it comes second.
  void* described = allocate_metadata(chunk_pages * sizeof(record_page));
  if (described == nullptr) {
    os::unmap(memory, chunk_pages * page_bytes);
    return false;
  }
  auto* pages = static_cast<record_page*>(described);
  for (std::size_t i = chunk_pages; i-- != 0;) {
    auto* page = new (pages + i) record_page;
    page->memory = memory + i * page_bytes;
    released_.push(page);
  }
  return true;
}

record_page* record_pool::page_with_room() noexcept {
  if (partial_.first() != nullptr) return partial_.first();
  record_page_list& from = unused_.first() != nullptr ? unused_ : released_;
  if (from.first() == nullptr && !add_chunk()) return nullptr;
  record_page* page = from.first();
  from.remove(page);
  if (&from == &released_) {
    page->free = nullptr;
    page->carved = 0;
    *reinterpret_cast<record_page**>(page->memory) = page;
    set_resident(resident_pages_ + 1);
  }
  partial_.push(page);
  return page;
}

void* record_pool::allocate() noexcept {
  record_page* page = page_with_room();
  if (page == nullptr) return nullptr;
  void* record = page->free;
  if (record != nullptr) {
    page->free = next_free(record);
  } else {
    TENURE_DCHECK(page->carved < per_page_);
    record = page->memory + header_bytes + std::size_t{page->carved++} * record_bytes_;
  }
  if (++page->used == per_page_) partial_.remove(page);
  return record;
}

void record_pool::free(void* record) noexcept {
  record_page* page = page_of(record);
  TENURE_CHECK(page->used != 0);
  if (!has_room(page)) partial_.push(page);
  next_free(record) = page->free;
  page->free = record;
  if (--page->used == 0) {
    partial_.remove(page);
    unused_.push(page);
  }
}

bool record_pool::collect_unused() noexcept {
  if (os::page_bytes() > page_bytes) return false;
  while (unused_.count() > kept_pages) {
    record_page* page = unused_.first();
    unused_.remove(page);
    leaving_.push(page);
  }
  return leaving_.count() != 0;
}

void record_pool::release_unused() noexcept {
  // They have become unused one after the other: neighbours mostly follow each other.
  for (record_page* page = leaving_.first(); page != nullptr;) {
    std::byte* begin = page->memory;
    std::byte* end = begin + page_bytes;
    for (page = page->next; page != nullptr; page = page->next) {
      if (page->memory == end) {
        end += page_bytes;
      } else if (page->memory + page_bytes == begin) {
        begin = page->memory;
      } else {
        break;
      }
    }
    static_cast<void>(os::release(begin, static_cast<std::size_t>(end - begin)));
  }
}

void record_pool::put_back_unused() noexcept {
  TENURE_DCHECK(leaving_.count() <= resident_pages_);
  set_resident(resident_pages_ - leaving_.count());
  while (record_page* page = leaving_.first()) {
    leaving_.remove(page);
    released_.push(page);
  }
}

void record_pool::check_page(const record_page* page, bool (*is_free)(const void* record)) const noexcept {
  std::uint32_t count = 0;
  for (void* record = page->free; record != nullptr; record = next_free(record)) {
    TENURE_CHECK(page_of(record) == page && is_free(record));
    TENURE_CHECK(++count <= per_page_);
  }
  TENURE_CHECK(page->used + count == page->carved);  // no list has lost any
}

void record_pool::check(bool (*is_free)(const void* record)) const noexcept {
  for (const record_page* page = partial_.first(); page != nullptr; page = page->next) {
    TENURE_CHECK(page->used != 0 && has_room(page));
    check_page(page, is_free);
  }
  for (const record_page* page = unused_.first(); page != nullptr; page = page->next) {
    TENURE_CHECK(page->used == 0);
    check_page(page, is_free);
  }
  for (const record_page* page = leaving_.first(); page != nullptr; page = page->next) TENURE_CHECK(page->used == 0);
  TENURE_CHECK(partial_.count() + unused_.count() + leaving_.count() <= resident_pages_);
}

}  // namespace tenure::core
