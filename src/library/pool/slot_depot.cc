#include <atomic>
#include <tenure/detail/slot_depot.hpp>

#include <tenure/object_pool.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/resource/block_owner.h"
#include "library/resource/checks.h"
#include "library/resource/fork_guard.h"

namespace tenure::detail {

constinit thread_local magazine_set* current_magazines __attribute__((tls_model("initial-exec"))) = nullptr;

bool wants_checks(resource_checks wish) noexcept { return resources::wants_checks(wish); }

namespace {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr std::size_t huge_from_bytes = 4 * huge_page_bytes;

// Which pools there are by id, and the magazines of all threads: for a thread's end, a pool's end, and for figures.
struct directory {
  resources::process_lock lock;
  std::array<slot_depot*, pool_ids> pools{};
  std::vector<magazine_set*> sets;
  std::uint64_t serials = 0;

  static directory& get() {
    static constinit std::atomic<directory*> made = nullptr;  // threads and static pools end after static objects
    return resources::the_only(made);
  }
};

}  // namespace

// A thread's magazines, from its first use of a pool to its end.
struct thread_magazines {
  // Not in the thread's own storage: a library's lies in what the loader sets aside at start, and every thread has it.
  const std::unique_ptr<magazine_set> all = std::make_unique<magazine_set>();
  static constinit thread_local bool are_over;

  static magazine_set* of_this_thread() {
    if (are_over) return nullptr;
    thread_local thread_magazines mine;
    return mine.all.get();
  }

  thread_magazines() {
    directory& shared = directory::get();
    const std::lock_guard held(shared.lock);
    shared.sets.push_back(all.get());
    current_magazines = all.get();
  }
  // What the thread has cached goes to the pools' depots. A destructor of the thread that comes later finds none.
  ~thread_magazines() {
    current_magazines = nullptr;
    are_over = true;
    directory& shared = directory::get();
    const std::lock_guard held(shared.lock);
    for (std::uint32_t id = 0; id < pool_ids; ++id) {
      slot_depot* pool = shared.pools[id];
      if (pool != nullptr && pool->serial_ == (*all)[id].serial) pool->retire(&(*all)[id]);
    }
    std::erase(shared.sets, all.get());
  }
  thread_magazines(const thread_magazines&) = delete;
  thread_magazines& operator=(const thread_magazines&) = delete;
};

constinit thread_local bool thread_magazines::are_over = false;

// What is known of objects, with checks on; without them that they are this pool's.
struct slot_depot::sites {
  struct record {
    resources::call_site created;
    resources::call_site destroyed;
    bool is_filled = false;  // with the pattern, since its end
  };
  static constexpr unsigned char pattern = 0xdf;

  explicit sites(const slot_depot& of) : depot(of) {}
  record of(const slot_header* slot) const {
    const std::lock_guard held(lock);
    const auto found = by_index.find(slot->index);
    return found == by_index.end() ? record{} : found->second;
  }
  static std::optional<resources::owned_block> find_owned(const void* sites_of, const void* block) noexcept {
    const auto* const self = static_cast<const sites*>(sites_of);
    const slot_header* const found = self->depot.covering(block);
    if (found == nullptr || found->generation.load(std::memory_order_acquire) % 2 == 0) return std::nullopt;
    return resources::owned_block{
        reinterpret_cast<std::uintptr_t>(self->depot.object_of(const_cast<slot_header*>(found))),
        self->depot.object_bytes(), "pool", self->depot.name(), self->of(found).created};
  }

  const slot_depot& depot;
  mutable std::mutex lock;
  std::map<std::uint32_t, record> by_index;
  resources::block_owner known{this, find_owned};
};

slot_depot::slot_depot(const depot_options& options)
    : has_checks_(options.has_checks),
      object_offset_(core::align_up(sizeof(slot_header), options.object_alignment)),
      slot_alignment_(std::max(options.object_alignment, alignof(slot_header))),
      limit_objects_(options.limit_objects),
      account_(std::string(options.name).c_str(), "pool", options.parent),
      use_(account_.is_counted() ? tenure_account_publish_use(account_.handle()) : &own_use_) {
  slot_bytes_ = core::align_up(object_offset_ + options.object_bytes, slot_alignment_);
  const std::size_t length = std::min(options.name.size(), sizeof name_ - 1);
  std::memcpy(name_, options.name.data(), length);
  name_[length] = '\0';
  sites_ = std::make_unique<sites>(*this);
  directory& shared = directory::get();
  const std::lock_guard held(shared.lock);
  serial_ = ++shared.serials;
  id_ = static_cast<std::uint32_t>(std::find(shared.pools.begin(), shared.pools.end(), nullptr) - shared.pools.begin());
  if (id_ < pool_ids) shared.pools[id_] = this;
}

slot_depot::~slot_depot() {
  sites_.reset();
  if (id_ < pool_ids) {
    directory& shared = directory::get();
    const std::lock_guard held(shared.lock);
    // Magazines that threads still have of it keep a serial that no pool has any more.
    shared.pools[id_] = nullptr;
  }
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < segment_capacity; ++i) {
    std::byte* const segment = segments_[i].load(std::memory_order_relaxed);
    if (segment == nullptr) continue;
    bytes += segment_bytes(static_cast<unsigned>(i));
    ::operator delete(segment, alignment_of(i));
  }
  for (const closed_range& one : closed_) bytes -= one.bytes();
  if (bytes != 0) account_.release(bytes, 0);
}

magazine* slot_depot::make_mine() noexcept {
  if (id_ >= pool_ids) return nullptr;
  magazine_set* all = nullptr;
  try {
    all = thread_magazines::of_this_thread();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  if (all == nullptr) return nullptr;
  magazine* mine = &(*all)[id_];
  if (mine->serial != serial_) {
    // What is there belongs to a pool that is gone. Others read balances under the lock.
    const std::lock_guard held(directory::get().lock);
    *mine = magazine{};
    mine->serial = serial_;
  }
  return mine;
}

void slot_depot::push_magazine(slot_header* first) noexcept {
  std::uint64_t head = head_.load(std::memory_order_relaxed);
  std::uint64_t next;
  do {
    TENURE_YIELD_POINT();
    first->next_magazine.store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
    next = ((head >> 32) + 1) << 32 | (first->index + 1);
  } while (!head_.compare_exchange_weak(head, next, std::memory_order_release, std::memory_order_relaxed));
}

slot_header* slot_depot::pop_magazine() noexcept {
  std::uint64_t head = head_.load(std::memory_order_acquire);
  for (;;) {
    if (static_cast<std::uint32_t>(head) == 0) return nullptr;
    slot_header* first = slot_at(static_cast<std::uint32_t>(head) - 1);
    TENURE_YIELD_POINT();
    // Stale where somebody else was quicker: then the tag has changed too.
    const std::uint64_t next = ((head >> 32) + 1) << 32 | first->next_magazine.load(std::memory_order_relaxed);
    TENURE_YIELD_POINT();
    if (head_.compare_exchange_weak(head, next, std::memory_order_acquire, std::memory_order_acquire)) return first;
  }
}

// Of a large segment, that of huge pages: what ends objects in any order meets a page of it each time.
std::align_val_t slot_depot::alignment_of(std::size_t segment) const noexcept {
  const std::size_t bytes = segment_bytes(static_cast<unsigned>(segment));
  return std::align_val_t{bytes >= huge_from_bytes ? std::max(slot_alignment_, huge_page_bytes) : slot_alignment_};
}

// It has been charged.
void slot_depot::open_segment(unsigned segment) {
  const std::size_t bytes = segment_bytes(segment);
  void* memory = ::operator new(bytes, alignment_of(segment));
  // Slots are opened one after the other, so that what is touched of it for nothing is the last huge page's rest.
  // Refused where the kernel has none: small ones then.
  if (bytes >= huge_from_bytes) ::madvise(memory, bytes / huge_page_bytes * huge_page_bytes, MADV_HUGEPAGE);
  segments_[segment].store(static_cast<std::byte*>(memory), std::memory_order_release);
}

// What has to be charged before slots can be opened: of what trim() has given back, or for a new segment.
std::size_t slot_depot::missing_bytes(std::uint32_t wanted) const {
  if (!closed_.empty()) return closed_.back().bytes() - rest_of(closed_.back(), wanted).bytes();
  const unsigned segment = segment_of(opened_.load(std::memory_order_relaxed));
  if (segment >= segment_capacity) throw std::bad_alloc();
  return segments_[segment].load(std::memory_order_relaxed) == nullptr ? segment_bytes(segment) : 0;
}

// Charged without the lock: the account may ask shrinkers, and these may trim the pool.
slot_header* slot_depot::open_slots(std::unique_lock<std::mutex>& held, std::uint32_t wanted) {
  std::size_t charged = 0;
  try {
    for (std::size_t missing = 0; (missing = missing_bytes(wanted)) > charged;) {
      held.unlock();
      const bool is_charged = account_.try_charge(missing - charged, 0);
      held.lock();
      if (is_charged) {
        charged = missing;
      } else if (missing_bytes(wanted) >= missing) {
        throw std::bad_alloc();
      }  // else a shrinker has trimmed the pool, and less will do
    }
    const std::size_t needed = missing_bytes(wanted);
    slot_header* const first = closed_.empty() ? open_fresh(wanted) : reopen(wanted);
    if (charged != needed) account_.release(charged - needed, 0);
    return first;
  } catch (...) {
    if (charged != 0) account_.release(charged, 0);
    throw;
  }
}

// A chain of slots that were never used, at most `wanted`. Under the lock.
slot_header* slot_depot::open_fresh(std::uint32_t wanted) {
  const std::uint32_t begin = opened_.load(std::memory_order_relaxed);
  const unsigned segment = segment_of(begin);
  if (segments_[segment].load(std::memory_order_relaxed) == nullptr) open_segment(segment);
  const std::uint32_t end = std::min(begin + wanted, segment_end(segment));
  std::byte* memory = segments_[segment].load(std::memory_order_relaxed);
  slot_header* first = nullptr;
  for (std::uint32_t i = end; i-- != begin;) {
    std::byte* place = memory + (i + first_segment_slots - (first_segment_slots << segment)) * slot_bytes_;
    auto* made = ::new (place) slot_header;
    made->index = i;
    made->next = first;
    first = made;
  }
  opened_.store(end, std::memory_order_release);
  return first;
}

void slot_depot::count_against_limit() {
  std::uint64_t in_use = in_use_.load(std::memory_order_relaxed);
  do {
    if (in_use >= limit_objects_) throw std::bad_alloc();
  } while (!in_use_.compare_exchange_weak(in_use, in_use + 1, std::memory_order_relaxed));
}

void slot_depot::publish(magazine* of) noexcept {
  const std::uint64_t blocks = of->taken - of->given;  // may wrap: more came back than left
  __atomic_fetch_add(&use_->allocations, of->taken, __ATOMIC_RELAXED);
  __atomic_store_n(&of->taken, 0, __ATOMIC_RELAXED);
  of->full_at -= of->given;
  __atomic_store_n(&of->given, 0, __ATOMIC_RELAXED);
  const std::uint64_t bytes =
      __atomic_add_fetch(&use_->used_bytes, blocks * (slot_bytes_ - object_offset_), __ATOMIC_RELAXED);
  __atomic_fetch_add(&use_->used_blocks, blocks, __ATOMIC_RELAXED);
  std::uint64_t peak = __atomic_load_n(&use_->peak_used_bytes, __ATOMIC_RELAXED);
  while (static_cast<std::int64_t>(bytes) > static_cast<std::int64_t>(peak) &&
         !__atomic_compare_exchange_n(&use_->peak_used_bytes, &peak, bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

slot_header* slot_depot::take_slow(magazine* mine) {
  try {
    if (mine == nullptr) mine = make_mine();
    if (mine == nullptr) return take_unshared();
    if (mine->ready == nullptr) {
      publish(mine);
      if ((mine->ready = pop_magazine()) == nullptr) {
        std::unique_lock held(lock_);
        slot_header* const opened = open_slots(held, magazine_slots);
        append_chain(mine->ready, opened);  // a shrinker of this thread may have used the pool
      }
    }
  } catch (...) {
    if (limit_objects_ != TENURE_NO_LIMIT) in_use_.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
  slot_header* taken = mine->ready;
  mine->ready = taken->next;
  count(mine->taken);
  return taken;
}

void slot_depot::give_slow(magazine* mine, slot_header* given) noexcept {
  if (mine == nullptr) mine = make_mine();
  if (mine == nullptr) {
    const std::lock_guard held(lock_);
    given->next = shared_.ready;
    shared_.ready = given;
    count(shared_.given);
    return publish(&shared_);
  }
  if (mine->given == mine->full_at) {
    publish(mine);
    push_magazine(std::exchange(mine->returned, nullptr));
    mine->full_at = magazine_slots;
  }
  given->next = mine->returned;
  mine->returned = given;
  count(mine->given);
}

// Of a pool that has no magazines, or in a thread whose magazines are gone.
slot_header* slot_depot::take_unshared() {
  std::unique_lock held(lock_);
  while (shared_.ready == nullptr && (shared_.ready = pop_magazine()) == nullptr) {
    // Others may have given some meanwhile.
    slot_header* const opened = open_slots(held, magazine_slots);
    append_chain(shared_.ready, opened);
  }
  slot_header* taken = shared_.ready;
  shared_.ready = taken->next;
  count(shared_.taken);
  publish(&shared_);
  return taken;
}

void slot_depot::give_up() noexcept {
  given_up_.fetch_add(1, std::memory_order_relaxed);
  if (limit_objects_ != TENURE_NO_LIMIT) in_use_.fetch_sub(1, std::memory_order_relaxed);
  if (magazine* mine = make_mine(); mine != nullptr) {
    ++mine->full_at;  // it is in no list
    count(mine->given);
    return;
  }
  const std::lock_guard held(lock_);
  count(shared_.given);
  publish(&shared_);
}

// The thread of these magazines ends. Under the directory's lock.
void slot_depot::retire(magazine* of) noexcept {
  publish(of);
  if (of->ready != nullptr) push_magazine(std::exchange(of->ready, nullptr));
  if (of->returned != nullptr) push_magazine(std::exchange(of->returned, nullptr));
  of->serial = 0;
}

resource_statistics slot_depot::statistics() const noexcept {
  resource_statistics result;
  const account_statistics account = account_.statistics();
  std::uint64_t taken = 0;
  std::uint64_t given = 0;
  if (id_ < pool_ids) {
    directory& shared = directory::get();
    const std::lock_guard held(shared.lock);
    for (const magazine_set* all : shared.sets) {
      const magazine& one = (*all)[id_];
      if (one.serial != serial_) continue;
      taken += __atomic_load_n(&one.taken, __ATOMIC_RELAXED);
      given += __atomic_load_n(&one.given, __ATOMIC_RELAXED);
    }
  }
  result.used_blocks = __atomic_load_n(&use_->used_blocks, __ATOMIC_RELAXED) + taken - given;
  result.used_bytes = result.used_blocks * object_bytes();
  result.peak_used_bytes = std::max(__atomic_load_n(&use_->peak_used_bytes, __ATOMIC_RELAXED), result.used_bytes);
  result.allocations = __atomic_load_n(&use_->allocations, __ATOMIC_RELAXED) + taken;
  result.held_bytes = account.held_bytes;
  result.peak_held_bytes = account.peak_held_bytes;
  result.hard_limit_bytes = account.hard_limit_bytes;
  result.refusals = account.refusals;
  return result;
}

void slot_depot::note_created(slot_header* of) {
  const resources::call_site here = resources::capture_site();
  const std::lock_guard held(sites_->lock);
  sites::record& record = sites_->by_index[of->index];
  record.created = here;
  record.is_filled = false;
}

void slot_depot::note_destroyed(slot_header* of) {
  const resources::call_site here = resources::capture_site();
  const std::lock_guard held(sites_->lock);
  sites_->by_index[of->index].destroyed = here;
}

void slot_depot::fill(slot_header* of) noexcept {
  std::memset(object_of(of), sites::pattern, object_bytes());
  const std::lock_guard held(sites_->lock);
  sites_->by_index[of->index].is_filled = true;
}

void slot_depot::forget_filling(const slot_header* of) noexcept {
  const std::lock_guard held(sites_->lock);
  if (const auto found = sites_->by_index.find(of->index); found != sites_->by_index.end()) {
    found->second.is_filled = false;
  }
}

void slot_depot::find_late_write(const slot_header* in) const noexcept {
  const sites::record known = sites_->of(in);
  const auto* const bytes = static_cast<const unsigned char*>(object_of(const_cast<slot_header*>(in)));
  if (!known.is_filled || std::all_of(bytes, bytes + object_bytes(), [](auto one) { return one == sites::pattern; })) {
    return;
  }
  const resources::call_site here = resources::capture_site();
  resources::report_misuse("write into an object after its end", bytes, object_bytes(), "pool", name_,
                           {{"created", &known.created}, {"destroyed", &known.destroyed}, {"found", &here}});
}

void slot_depot::report_not_in_use(const slot_header* of) const noexcept {
  const resources::call_site here = resources::capture_site();
  const sites::record known = sites_->of(of);
  resources::report_misuse(
      "destroy of an object that is not in use", object_of(const_cast<slot_header*>(of)), object_bytes(), "pool", name_,
      {{"created", &known.created}, {"destroyed first", &known.destroyed}, {"destroyed again", &here}});
}

const slot_header* slot_depot::covering(const void* address) const noexcept {
  for (std::size_t i = 0; i < segment_capacity; ++i) {
    std::byte* const begin = segments_[i].load(std::memory_order_acquire);
    if (begin == nullptr) return nullptr;
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin);
    if (offset >= (std::size_t{first_segment_slots} << i) * slot_bytes_) continue;
    const bool is_in_object = offset % slot_bytes_ - object_offset_ < object_bytes();
    return is_in_object ? reinterpret_cast<const slot_header*>(begin + offset / slot_bytes_ * slot_bytes_) : nullptr;
  }
  return nullptr;
}

bool slot_depot::is_mine_or_report(const void* object) const noexcept {
  const slot_header* const slot = covering(object);
  if (slot != nullptr && slot == slot_of(object)) return true;
  resources::report_stranger("destroy", object, sites_.get(), "destroy of what no pool has made", "pool", name_,
                             resources::capture_site());
  return false;
}

void slot_depot::report_left() const noexcept {
  const std::uint64_t left = statistics().used_blocks;
  const slot_header* first = nullptr;
  for (std::uint32_t i = opened_slots(); i-- > 0;) {
    const slot_header* const one = slot_at(i);
    if (one->generation.load(std::memory_order_acquire) % 2 != 0) {
      first = one;
    } else if (one->index == i) {  // otherwise its page has been given back, and with it what would be looked for
      find_late_write(one);
    }
  }
  if (left == 0 || first == nullptr) return;
  char what[96];
  std::snprintf(what, sizeof what, "pool destroyed with %llu objects in use, the first of them",
                static_cast<unsigned long long>(left));
  const resources::call_site here = resources::capture_site();
  const sites::record known = sites_->of(first);
  resources::write_message(what, object_of(const_cast<slot_header*>(first)), object_bytes(), "pool", name_,
                           {{"created", &known.created}, {"ended here", &here}});
}

void slot_depot::check() const {
  std::vector<bool> seen(opened_slots(), false);
  std::uint64_t found = given_up_.load(std::memory_order_relaxed);
  const auto note = [&](const slot_header* one) {
    TENURE_CHECK(one->index < seen.size() && slot_at(one->index) == one);
    TENURE_CHECK(!seen[one->index]);  // in two places, or a chain that closes
    seen[one->index] = true;
    ++found;
  };
  const auto note_free = [&](const slot_header* first) {
    for (; first != nullptr; first = first->next) {
      TENURE_CHECK(first->generation.load(std::memory_order_acquire) % 2 == 0);
      note(first);
    }
  };
  for (std::uint32_t i = 0; i < opened_slots(); ++i) {
    const slot_header* one = slot_at(i);
    if (one->generation.load(std::memory_order_acquire) % 2 == 1) note(one);
  }
  const std::uint64_t live = found - given_up_.load(std::memory_order_relaxed);
  for (std::uint64_t at = head_.load(std::memory_order_acquire); static_cast<std::uint32_t>(at) != 0;) {
    const slot_header* first = slot_at(static_cast<std::uint32_t>(at) - 1);
    TENURE_CHECK(first != nullptr);
    note_free(first);
    at = first->next_magazine.load(std::memory_order_relaxed);
  }
  note_free(shared_.ready);
  if (id_ < pool_ids) {
    directory& shared = directory::get();
    const std::lock_guard held(shared.lock);
    for (const magazine_set* all : shared.sets) {
      const magazine& one = (*all)[id_];
      if (one.serial != serial_) continue;
      note_free(one.ready);
      const std::uint64_t before = found;
      note_free(one.returned);
      TENURE_CHECK(found - before == magazine_slots - (one.full_at - one.given));
    }
  }
  for (const closed_range& one : closed_) {
    for (std::uint32_t i = one.begin; i < one.end; ++i) {
      TENURE_CHECK(!seen[i] && slot_at(i)->generation.load(std::memory_order_acquire) % 2 == 0);
    }
    found += one.end - one.begin;
  }
  TENURE_CHECK(found == opened_slots());
  TENURE_CHECK(live == statistics().used_blocks);
}

}  // namespace tenure::detail
