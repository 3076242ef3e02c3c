// What a connection pool tells: figures, borrowers, messages.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "core/base/check.h"
#include "library/pool/connection_core.h"

namespace tenure::detail {
namespace {

constexpr const char* connection_pool_kind = "connection pool";

std::string seconds_text(nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>(time).count());
  return text;
}

std::string name_of_thread(std::uint32_t id) {
  std::ifstream file("/proc/self/task/" + std::to_string(id) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

void write_about(const std::string& what, const char* name, const char* site_name, const call_site& site) {
  resources::write_summary(what.c_str(), connection_pool_kind, name, {{site_name, &site}});
}

}  // namespace

connection_pool_statistics connection_core::statistics() const {
  const lock_type lock = take_lock();
  connection_pool_statistics told = figures_;
  for (const connection_slot& slot : slots_) {
    told.idle += slot.state == slot_state::idle;
    told.borrowed += slot.state == slot_state::borrowed;
    told.leaked += slot.state == slot_state::borrowed && slot.is_leak_told;
    told.validating += slot.state == slot_state::validating || slot.state == slot_state::offered;
    told.closing += slot.state == slot_state::closing;
    told.connecting += slot.state == slot_state::connecting;
  }
  told.open = open_ - told.connecting;
  told.waiting = waiters_;
  return told;
}

std::vector<connection_borrower> connection_core::who() const {
  std::vector<connection_borrower> found;
  found.reserve(slots_.size());
  {
    const lock_type lock = take_lock();
    const nanoseconds moment = now();
    for (const connection_slot& slot : slots_) {
      if (slot.state != slot_state::borrowed) continue;
      found.push_back({slot.number, slot.thread, {}, moment - slot.borrowed_at, slot.site, slot.is_leak_told});
    }
  }
  for (connection_borrower& each : found) each.thread_name = name_of_thread(each.thread);
  std::sort(found.begin(), found.end(), [](const auto& one, const auto& other) { return one.age > other.age; });
  return found;
}

// Why acquire() has no connection to give, in one sentence.
std::string connection_core::refusal(const lock_type& lock, nanoseconds waited) const {
  TENURE_CHECK(lock.owns_lock());
  std::string text = "connection pool \"" + name_ + "\"";
  if (is_shut_down_) return text + " is shut down";
  std::size_t borrowed = 0, mine = 0;
  const connection_slot* oldest = nullptr;
  const auto me = static_cast<std::uint32_t>(::gettid());
  for (const connection_slot& slot : slots_) {
    if (slot.state != slot_state::borrowed) continue;
    ++borrowed;
    mine += slot.thread == me;
    if (oldest == nullptr || slot.borrowed_at < oldest->borrowed_at) oldest = &slot;
  }
  text += ": no connection within " + seconds_text(waited) + ": " + std::to_string(borrowed) + " of " +
          std::to_string(slots_.size()) + " in use, " + std::to_string(connecting_) + " being opened, " +
          std::to_string(waiters_) + " more waiting";
  if (oldest != nullptr) {
    text += "; the longest is with thread " + std::to_string(oldest->thread) + " since " +
            seconds_text(now() - oldest->borrowed_at);
  }
  if (mine != 0) text += "; this thread has " + std::to_string(mine) + " of them itself";
  if (!last_failure_.empty()) text += "; the last connect failed: " + last_failure_;
  return text;
}

void connection_core::tell(const std::vector<told_leak>& leaks) const noexcept {
  for (const told_leak& leak : leaks) {
    write_about("connection " + std::to_string(leak.number) + " has been out for " + seconds_text(leak.age) +
                    ", longer than leak_detection_threshold",
                name(), "borrowed", leak.site);
  }
}

void connection_core::tell_returned(const connection_slot& slot, nanoseconds age) const noexcept {
  write_about("connection " + std::to_string(slot.number) + ", told as leaked, came back after " + seconds_text(age),
              name(), "borrowed", slot.site);
}

void connection_core::tell_borrower(const connection_borrower& of) const {
  std::string what = "connection " + std::to_string(of.connection) + " is with thread " + std::to_string(of.thread);
  if (!of.thread_name.empty()) what += " (" + of.thread_name + ")";
  write_about(what + " since " + seconds_text(of.age), name(), "borrowed", of.site);
}

bool connection_core::report_abandoned(const call_site& here) const {
  std::size_t left = 0;
  connection_slot oldest;
  {
    const lock_type lock = take_lock();
    for (const connection_slot& slot : slots_) {
      if (slot.state != slot_state::borrowed) continue;
      if (left++ == 0 || slot.borrowed_at < oldest.borrowed_at) oldest = slot;
    }
  }
  if (left == 0) return false;
  const std::string what = "pool destroyed with " + std::to_string(left) +
                           " of its connections out, for the longest time connection " + std::to_string(oldest.number);
  resources::report_misuse(what.c_str(), oldest.connection, 0, connection_pool_kind, name(),
                           {{"borrowed", &oldest.site}, {"destroyed", &here}});
  return true;
}

void connection_core::check() const {
  const lock_type lock = take_lock();
  const auto all_are = [](const std::vector<connection_slot*>& list, slot_state state) {
    return std::all_of(list.begin(), list.end(), [&](const connection_slot* one) { return one->state == state; });
  };
  TENURE_CHECK(all_are(idle_, slot_state::idle) && idle_.size() == count_of(slot_state::idle));
  TENURE_CHECK(all_are(to_close_, slot_state::closing) && to_close_.size() <= count_of(slot_state::closing));
  TENURE_CHECK(validating_ == count_of(slot_state::validating));
  TENURE_CHECK(std::is_sorted(idle_.begin(), idle_.end(),
                              [](const auto* one, const auto* other) { return one->used < other->used; }));
  TENURE_CHECK(connecting_ == count_of(slot_state::connecting));
  TENURE_CHECK(open_ == slots_.size() - count_of(slot_state::empty));
  TENURE_CHECK(use_->used_blocks == count_of(slot_state::borrowed));
  TENURE_CHECK(figures_.created - figures_.closed == open_ - connecting_);
  std::size_t waiting = 0;
  const waiter* last = nullptr;
  for (const waiter* each = first_waiter_; each != nullptr; each = each->next) {
    TENURE_CHECK(last == nullptr || last->ticket < each->ticket);
    TENURE_CHECK(each->given == nullptr);
    last = each;
    ++waiting;
  }
  TENURE_CHECK(waiting == waiters_ && last == last_waiter_);
  // Nobody waits beside an idle connection, apart from those that connect or close.
  TENURE_CHECK(first_to_serve() == nullptr || idle_.empty() || is_suspended_);
}

}  // namespace tenure::detail
