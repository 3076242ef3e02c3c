#include <tenure/page_pool.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include <tenure/cache/entry_table.hpp>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/cache/page_core.h"
#include "library/cache/page_words.h"
#include "library/resource/checks.h"
#include "library/resource/upstream.h"

namespace tenure {
namespace {

constexpr std::size_t slots_on_the_way = 64;
// Of all policies, LIRS remembers most: two pages for each that is here, at some hundred bytes.
constexpr std::size_t policy_bytes_each = 256;
constexpr std::size_t least_policy_bytes = 4096;
constexpr std::uint64_t most_offset = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("tenure::page_pool: " + why); }

void check_options(const page_pool_options& of) {
  if (!core::is_power_of_two(of.page_bytes) || of.page_bytes < 512 || of.page_bytes > std::size_t{1} << 20) {
    refuse("page_bytes is a power of two from 512 to 1 MiB");
  }
  if (of.limit_pages == 0 || of.limit_pages > std::size_t{1} << 30)
    refuse("limit_pages is at least 1 and at most 2^30");
  if (of.prefetch_pages > of.limit_pages) refuse("prefetch_pages is at most limit_pages");
}

std::uint64_t as_address(const void* of) noexcept { return reinterpret_cast<std::uintptr_t>(of); }

}  // namespace

namespace detail {

page_core::page_core(const page_pool_options& options, page_order_maker make_order)
    : name_(options.name),
      page_bytes_(options.page_bytes),
      last_page_(std::min<std::uint64_t>(page_slot::most_number, (most_offset - page_bytes_) / page_bytes_)),
      most_pages_(options.limit_pages),
      prefetch_pages_(options.prefetch_pages != 0 ? options.prefetch_pages
                                                  : std::max<std::size_t>(options.limit_pages / 16, 1)),
      wait_(options.wait),
      has_checks_(resources::wants_checks(options.checks)),
      has_thread_(options.has_thread),
      before_write_(options.before_write),
      clock_(options.clock),
      upstream_(resources::or_operator_new(options.upstream)),
      slot_count_(static_cast<std::uint32_t>(options.limit_pages + slots_on_the_way)),
      table_(slot_count_),
      slots_(std::make_unique<page_slot[]>(slot_count_)),
      account_(name_.c_str(), "page pool", options.parent),
      use_(account_.is_counted() ? tenure_account_publish_use(account_.handle()) : &own_use_),
      limit_(options.limit_pages) {
  const std::size_t policy_bytes =
      options.policy_bytes != 0 ? options.policy_bytes : options.limit_pages * policy_bytes_each + least_policy_bytes;
  order_ = make_order(slot_count_, limit_, policy_bytes);
  free_slots_.reserve(slot_count_);
  for (std::uint32_t i = slot_count_; i-- > 0;) free_slots_.push_back(i);
  free_frames_.reserve(most_pages_);
  own_bytes_ = sizeof *this + table_.size_bytes() + policy_bytes + most_pages_ * sizeof(void*) +
               slot_count_ * (sizeof(page_slot) + order_->node_bytes() + sizeof(std::uint32_t));
  if (!account_.try_charge(own_bytes_, 0)) throw std::bad_alloc();
  if (account_.is_counted()) {
    shrinker_ = tenure_shrinker_register(account_.handle(), options.shrink_priority, shrink, this);
  }
}

page_core::~page_core() {
  if (shrinker_ != 0) tenure_shrinker_unregister(shrinker_);
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    if (slots_[i].memory != nullptr) free_frame(slots_[i].memory);
  }
  while (!free_frames_.empty()) {
    free_frame(free_frames_.back());
    free_frames_.pop_back();
  }
  TENURE_CHECK(frames_ == 0);
  account_.release(own_bytes_, 0);
}

// --- files

std::uint32_t page_core::add(std::shared_ptr<page_file> file) {
  if (file == nullptr) refuse("a file is to be added that is none");
  const lock_type lock = take_lock();
  if (files_.size() >= most_files) refuse("more than 65534 files");
  files_.push_back({std::move(file)});
  return static_cast<std::uint32_t>(files_.size() - 1);
}

std::shared_ptr<page_file> page_core::file_of(std::uint32_t number) const {
  const lock_type lock = take_lock();
  return files_[number].file;
}

bool page_core::has_file(std::uint64_t key) const noexcept {
  const std::uint64_t number = (key >> page_slot::number_bits) - 1;
  return number < files_.size() && files_[number].file != nullptr;
}

void page_core::check_file(std::uint64_t key) const {
  if (has_file(key)) return;
  throw std::invalid_argument("page pool \"" + name_ + "\": there is no file " +
                              std::to_string((key >> page_slot::number_bits) - 1));
}

void page_core::refuse_page(page_id page) const {
  if (page.file >= most_files) refuse("a page of a file that is not here");
  refuse("page " + std::to_string(page.number) + ", where the last that a file can have is " +
         std::to_string(last_page_));
}

// False, and all is as before, where one of them is in use.
bool page_core::try_close_all(std::uint32_t file, std::uint64_t& in_use) noexcept {
  const auto is_of_file = [file](const page_slot& slot) {
    return slot.identity.load(std::memory_order_relaxed) != 0 && slot.page().file == file;
  };
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    if (!is_of_file(slots_[i]) || (slots_[i].load == nullptr && try_close(slots_[i]))) continue;
    in_use = slots_[i].page().number;
    while (i-- > 0) {
      if (is_of_file(slots_[i])) slots_[i].state.fetch_and(~page_state::closed, std::memory_order_acq_rel);
    }
    return false;
  }
  return true;
}

void page_core::remove(std::uint32_t file) {
  static_cast<void>(flush(wait_, file));
  std::shared_ptr<page_file> last;  // its end is the user's, and comes with no lock held
  for (;;) {
    sync_unsynced(file);
    const lock_type lock = take_lock();
    check_file((std::uint64_t{file} + 1) << page_slot::number_bits);
    if (has_unsynced(file)) continue;
    std::uint64_t in_use = 0;
    if (!try_close_all(file, in_use)) {
      throw std::logic_error("page pool \"" + name_ + "\": " + files_[file].file->name() +
                             " is to be removed while page " + std::to_string(in_use) + " of it is in use");
    }
    for (std::uint32_t i = 0; i < slot_count_; ++i) {
      page_slot& slot = slots_[i];
      if (slot.identity.load(std::memory_order_relaxed) == 0 || slot.page().file != file) continue;
      free_frames_.push_back(detach(slot));
    }
    last = std::move(files_[file].file);
    tell_waiters();
    return;
  }
}

}  // namespace detail

// --- handles

namespace detail {

page_id page_pin::page() const noexcept { return slot_ == nullptr ? page_id{} : slot_->page(); }
std::size_t page_pin::size() const noexcept { return slot_ == nullptr ? 0 : core_->page_bytes(); }

void page_pin::unpin() noexcept {
  if (ticket_ != 0) core_->note_unpinned(ticket_);
  core_->unpin(*slot_);
}

void* page_pin::release(page_access how) noexcept {
  if (slot_ == nullptr) return nullptr;
  page_word of{
      core_, slot_, how, ticket_, core_->name(), core_->text_of(slot_->page()), core_->site_of(*slot_, ticket_)};
  slot_ = nullptr;
  data_ = nullptr;
  return word_for(std::move(of));
}

page_pin page_pin::adopt(void* word, page_access how) {
  if (word == nullptr) return {};
  const std::optional<page_word> of = take_word(word, nullptr, &how, "adopt", resources::capture_site());
  if (!of.has_value()) return {};
  return {of->core, of->slot, of->slot->memory, of->ticket};
}

}  // namespace detail

// --- the pool

page_pool_base::page_pool_base(const page_pool_options& options, detail::page_order_maker make_order) {
  check_options(options);
  core_ = new detail::page_core(options, make_order);
}

page_pool_base::~page_pool_base() {
  core_->stop();
  // What is unpinned after the message finds its pool still there.
  if (core_->report_left(resources::capture_site())) return;
  try {
    const page_flush last = core_->flush(duration::zero());
    if (last.vetoed + last.busy != 0) core_->report_unwritten("before_write() did not let them be written");
  } catch (const std::exception& error) {
    core_->report_unwritten(error.what());
  } catch (...) {
    core_->report_unwritten("before_write() threw what is no std::exception");
  }
  delete core_;
}

std::uint32_t page_pool_base::add(std::shared_ptr<page_file> file) { return core_->add(std::move(file)); }
void page_pool_base::remove(std::uint32_t file) { core_->remove(file); }

// With checks on, the pin is noted.
template <class Handle>
[[gnu::always_inline]] inline Handle page_pool_base::take(page_id page, bool is_new, duration wait,
                                                          const void* caller) {
  detail::page_slot& slot = *core_->pin({core_->key_of(page), Handle::kind, is_new, wait, as_address(caller)});
  if (!core_->has_checks()) [[likely]]
    return Handle(core_, &slot, slot.memory, 0);
  try {
    return Handle(core_, &slot, slot.memory, core_->note_pinned(slot, Handle::kind));
  } catch (...) {
    core_->unpin(slot);
    throw;
  }
}

pinned_page page_pool_base::pin(page_id page) {
  return take<pinned_page>(page, false, core_->wait(), __builtin_return_address(0));
}
pinned_page page_pool_base::pin(page_id page, duration wait) {
  return take<pinned_page>(page, false, wait, __builtin_return_address(0));
}
writable_page page_pool_base::pin_to_write(page_id page) {
  return take<writable_page>(page, false, core_->wait(), __builtin_return_address(0));
}
writable_page page_pool_base::pin_to_write(page_id page, duration wait) {
  return take<writable_page>(page, false, wait, __builtin_return_address(0));
}
writable_page page_pool_base::create(page_id page) {
  writable_page made = take<writable_page>(page, true, core_->wait(), __builtin_return_address(0));
  std::memset(made.data(), 0, core_->page_bytes());
  return made;
}
pinned_page page_pool_base::try_pin(page_id page) {
  detail::page_slot* const slot =
      core_->try_pin({core_->key_of(page), pinned_page::kind, false, {}, as_address(__builtin_return_address(0))});
  if (slot == nullptr) return {};
  std::uint64_t ticket = 0;
  try {
    if (core_->has_checks()) ticket = core_->note_pinned(*slot, pinned_page::kind);
  } catch (...) {
    core_->unpin(*slot);
    throw;
  }
  return pinned_page(core_, slot, slot->memory, ticket);
}

void page_pool_base::unpin(void* word) noexcept {
  if (word == nullptr) return;
  const std::optional<detail::page_word> of =
      detail::take_word(word, core_, nullptr, "unpin", resources::capture_site());
  if (!of.has_value()) return;
  const detail::page_pin last(of->core, of->slot, of->slot->memory, of->ticket);
}

std::size_t page_pool_base::prefetch(page_id first, std::size_t count) {
  return core_->prefetch(core_->key_of(first), count);
}

page_flush page_pool_base::flush() { return core_->flush(core_->wait()); }
page_flush page_pool_base::flush(duration wait) { return core_->flush(wait); }
page_flush page_pool_base::checkpoint() {
  const page_flush done = core_->flush(core_->wait());
  core_->sync();
  return done;
}

const char* page_pool_base::name() const noexcept { return core_->name(); }
tenure_account* page_pool_base::account() const noexcept { return core_->account(); }
std::size_t page_pool_base::page_bytes() const noexcept { return core_->page_bytes(); }
page_pool_statistics page_pool_base::statistics() const { return core_->statistics(); }
std::string_view page_pool_base::policy_name() const noexcept { return core_->policy_name(); }
std::vector<page_holder> page_pool_base::holders() const { return core_->holders(); }
void page_pool_base::set_limit(std::size_t pages) { core_->set_limit(pages); }
std::uint64_t page_pool_base::trim(std::uint64_t bytes) { return core_->trim(bytes); }
void page_pool_base::check() const { core_->check(); }
void page_pool_base::visit_resident(void (*visit)(void* context, page_id page), void* context) const {
  core_->visit_resident(visit, context);
}

std::uint64_t page_pool_base::report_holders() const {
  std::uint64_t pins = 0;
  for (const page_holder& each : holders()) {
    core_->tell_holder(each);
    pins += each.pins;
  }
  return pins;
}

}  // namespace tenure
