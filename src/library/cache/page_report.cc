// What a page pool tells: figures, holders, messages; and the checks of its structure.
#include <cxxabi.h>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <tuple>

#include <tenure/cache/entry_table.hpp>

#include "core/base/check.h"
#include "library/cache/page_core.h"
#include "library/cache/page_words.h"

namespace tenure::detail {
namespace {

constexpr std::size_t told_holders = 8;

call_site site_at(std::uint64_t address) noexcept {
  call_site result;
  result.frame_count = address == 0 ? 0 : 1;
  result.frames[0] = address;
  return result;
}

std::string seconds_text(nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(time.count()) / 1e9);
  return text;
}

std::uint32_t this_thread() noexcept {
  static thread_local const auto id = static_cast<std::uint32_t>(::syscall(SYS_gettid));
  return id;
}

std::string plain_name(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status),
                                                         std::free);
  return status == 0 ? name.get() : symbol;
}

// "main (server+0x1234)": the innermost frame that lies outside of this library.
std::string place_text(const call_site& site) {
  Dl_info own{};
  ::dladdr(reinterpret_cast<void*>(&site_at), &own);
  for (std::uint32_t i = 0; i < site.frame_count; ++i) {
    Dl_info info{};
    const std::uint64_t address = site.frames[i];
    if (::dladdr(reinterpret_cast<void*>(address - 1), &info) == 0 || info.dli_fname == nullptr) continue;
    if (info.dli_fbase == own.dli_fbase && i + 1 < site.frame_count) continue;
    const std::string file = info.dli_fname;
    char offset[32];
    std::snprintf(offset, sizeof offset, "+0x%llx",
                  static_cast<unsigned long long>(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
    const std::string module = file.substr(file.rfind('/') + 1) + offset;
    return info.dli_sname == nullptr ? module : plain_name(info.dli_sname) + " (" + module + ")";
  }
  return {};
}

}  // namespace

// --- holders

std::uint64_t page_core::note_pinned(const page_slot& slot, page_access how) {
  if (!has_checks_) return 0;
  const noted_holder one{slot.key, how, this_thread(), resources::capture_site()};
  const std::lock_guard held(holders_lock_);
  holders_.emplace(++tickets_, one);
  return tickets_;
}

void page_core::note_unpinned(std::uint64_t ticket) noexcept {
  const std::lock_guard held(holders_lock_);
  holders_.erase(ticket);
}

call_site page_core::site_of(const page_slot& slot, std::uint64_t ticket) const {
  if (ticket != 0) {
    const std::lock_guard held(holders_lock_);
    const auto found = holders_.find(ticket);
    if (found != holders_.end()) return found->second.site;
  }
  return site_at(slot.pinned_at.load(std::memory_order_relaxed));
}

// Under the lock.
std::vector<page_holder> page_core::holders_of(std::uint64_t key) const {
  std::vector<page_holder> all;
  const auto add = [&](std::uint64_t of, std::uint64_t pins, bool writes, std::uint32_t thread, const call_site& site) {
    if (key != 0 && of != key) return;
    page_slot named;
    named.key = of;
    const std::shared_ptr<page_file>& file = files_[named.page().file].file;
    all.push_back({named.page(), file == nullptr ? "" : file->name(), pins, writes, thread, site});
  };
  if (has_checks_) {
    const std::lock_guard held(holders_lock_);
    for (const auto& [ticket, one] : holders_) add(one.key, 1, one.how == page_access::write, one.thread, one.site);
  } else {
    for (std::uint32_t i = 0; i < slot_count_; ++i) {
      const page_slot& slot = slots_[i];
      const std::uint64_t state = slot.state.load(std::memory_order_acquire);
      const std::uint64_t pins = state / page_state::one_pin - ((state & page_state::writing) != 0 ? 1 : 0);
      if (slot.load != nullptr || pins == 0) continue;
      add(slot.key, pins, (state & page_state::writer) != 0, 0,
          site_at(slot.pinned_at.load(std::memory_order_relaxed)));
    }
  }
  std::sort(all.begin(), all.end(), [](const page_holder& one, const page_holder& other) {
    return std::tie(one.page.file, one.page.number, one.thread) <
           std::tie(other.page.file, other.page.number, other.thread);
  });
  return all;
}

std::vector<page_holder> page_core::holders() const {
  const lock_type lock = take_lock();
  return holders_of(0);
}

void page_core::tell_holder(const page_holder& of) const {
  std::string what = "page " + std::to_string(of.page.number) + " of " + of.file + " has ";
  what += of.is_writer ? "a writer" : std::to_string(of.pins) + (of.pins == 1 ? " pin" : " pins");
  if (of.thread != 0) what += ", by thread " + std::to_string(of.thread);
  resources::write_summary(what.c_str(), page_pool_kind, name(),
                           {{of.pins == 1 ? "pinned" : "the last of them pinned", &of.site}});
}

std::string page_core::text_of_holders(const std::vector<page_holder>& all) const {
  std::string text;
  std::size_t mine = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    mine += all[i].thread == this_thread();
    if (i >= told_holders) continue;
    text += (i == 0 ? ": page " : "; page ") + std::to_string(all[i].page.number) + " of " + all[i].file + " by " +
            (all[i].is_writer ? "a writer" : std::to_string(all[i].pins) + (all[i].pins == 1 ? " pin" : " pins"));
    if (all[i].thread != 0) text += " of thread " + std::to_string(all[i].thread);
    const std::string place = place_text(all[i].site);
    if (!place.empty()) text += (all[i].pins == 1 ? ", in " : ", the last in ") + place;
  }
  if (all.size() > told_holders) text += "; and " + std::to_string(all.size() - told_holders) + " more";
  if (mine != 0) text += "; this thread has " + std::to_string(mine) + " of them itself";
  return text;
}

// --- messages

std::string page_core::text_of(page_id page) const {
  const std::shared_ptr<page_file> file = file_of(page.file);
  return "page " + std::to_string(page.number) + " of " +
         (file == nullptr ? "file " + std::to_string(page.file) : std::string(file->name()));
}

void page_core::throw_exhausted(lock_type& lock, std::uint64_t key, nanoseconds waited) {
  ++figures_.exhaustions;
  std::vector<page_holder> all = holders_of(0);
  page_slot named;
  named.key = key;
  const std::size_t frames = limit_;
  lock.unlock();
  std::string what = "page pool \"" + name_ + "\": no frame for " + text_of(named.page()) + " within " +
                     seconds_text(waited) + ": all " + std::to_string(frames) + " are pinned or wanted";
  what += text_of_holders(all);
  throw page_unavailable(what, page_unavailable::cause::frames_are_pinned, named.page(), std::move(all));
}

void page_core::throw_busy(lock_type& lock, const page_slot& slot, nanoseconds waited) {
  const page_id page = slot.page();
  std::vector<page_holder> all = holders_of(slot.key);
  lock.unlock();
  std::string what =
      "page pool \"" + name_ + "\": " + text_of(page) + " is in use, and was not free within " + seconds_text(waited);
  what += text_of_holders(all);
  throw page_unavailable(what, page_unavailable::cause::page_is_in_use, page, std::move(all));
}

bool page_core::report_left(const call_site& here) const {
  const std::vector<page_holder> left = holders();
  if (left.empty()) return false;
  const page_holder& first = left.front();
  std::uint64_t pins = 0;
  for (const page_holder& each : left) pins += each.pins;
  const std::string what = "pool destroyed with " + std::to_string(pins) + " pins, the first of them of page " +
                           std::to_string(first.page.number) + " of " + first.file;
  resources::report_misuse(what.c_str(), this, 0, page_pool_kind, name(),
                           {{"pinned", &first.site}, {"destroyed", &here}});
  return true;
}

void page_core::report_unwritten(const std::string& why) const {
  const std::string what = std::to_string(statistics().dirty_pages) + " dirty pages are lost: " + why;
  resources::write_summary(what.c_str(), page_pool_kind, name(), {});
}

// --- figures

page_pool_statistics page_core::statistics() const {
  const lock_type lock = take_lock();
  page_pool_statistics told = figures_;
  told.hits = log_.hits();
  told.misses = log_.misses();
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    const page_slot& slot = slots_[i];
    if (slot.load != nullptr) continue;
    const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
    told.pinned_pages += state / page_state::one_pin > ((state & page_state::writing) != 0 ? 1u : 0u);
    told.dirty_pages += (state & page_state::dirty) != 0;
    told.unused_prefetched_pages += (state & page_state::fresh) != 0;
  }
  told.frames = frames_;
  told.limit_pages = limit_;
  told.held_bytes = own_bytes_ + frames_ * page_bytes_;
  told.policy_bytes = order_->side_bytes();
  return told;
}

void page_core::visit_resident(void (*visit)(void* context, page_id page), void* context) const {
  std::vector<page_id> all;
  {
    const lock_type lock = take_lock();
    for (std::uint32_t i = 0; i < slot_count_; ++i) {
      if (slots_[i].memory != nullptr && slots_[i].load == nullptr) all.push_back(slots_[i].page());
    }
  }
  for (const page_id page : all) visit(context, page);
}

void page_core::check() const {
  const lock_type lock = take_lock();
  order_->check();
  std::size_t in_order = 0, aside = 0, fresh = 0, ready = 0, with_frame = 0, loading = 0, used = 0;
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    const page_slot& slot = slots_[i];
    const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
    const std::uint64_t identity = slot.identity.load(std::memory_order_relaxed);
    TENURE_CHECK(identity != 0 || (slot.memory == nullptr && slot.load == nullptr && !slot.is_in_order));
    if (identity == 0) continue;
    ++used;
    TENURE_CHECK(identity == mixed_identity(slot.key) && table_.find(identity, slots_.get()) == &slot);
    TENURE_CHECK((state & page_state::closed) == 0 || slot.load != nullptr);
    TENURE_CHECK(slot.load != nullptr || slot.memory != nullptr);
    // Exactly one of the three knows it.
    TENURE_CHECK(slot.is_in_order + ((state & page_state::aside) != 0) + ((state & page_state::fresh) != 0) == 1);
    in_order += slot.is_in_order;
    aside += (state & page_state::aside) != 0;
    fresh += (state & page_state::fresh) != 0;
    ready += slot.is_ready;
    with_frame += slot.memory != nullptr;
    loading += slot.load != nullptr;
  }
  TENURE_CHECK(in_order == order_->count() && aside == aside_count_ && fresh == prefetched_count_);
  TENURE_CHECK(ready <= aside);
  TENURE_CHECK(used + free_slots_.size() == slot_count_);
  TENURE_CHECK(with_frame + free_frames_.size() <= frames_ && frames_ <= most_pages_);
  TENURE_CHECK(loading != 0 || with_frame + free_frames_.size() == frames_);
}

}  // namespace tenure::detail
