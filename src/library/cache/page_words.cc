#include "library/cache/page_words.h"

#include <atomic>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "library/resource/fork_guard.h"

namespace tenure::detail {
namespace {

constexpr std::size_t most_ended = 1024;

struct ended_word {
  std::uint64_t word;
  page_word what;
  call_site ended;
};

struct word_list {
  resources::process_lock lock;
  std::unordered_map<std::uint64_t, page_word> live;
  std::deque<ended_word> ended;
  std::uint64_t given = 0;
};

// Never ends: handles may, after everything else has.
word_list& words() {
  static constinit std::atomic<word_list*> made = nullptr;
  return resources::the_only(made);
}

void report(const std::string& what, const void* word, const page_word& of, const call_site* ended,
            const call_site& here, const char* here_is) {
  resources::report_misuse((what + " of " + of.page).c_str(), word, 0, page_pool_kind, of.pool.c_str(),
                           {{"pinned", &of.pinned}, {"ended first", ended}, {here_is, &here}});
}

}  // namespace

void* word_for(page_word of) {
  // Odd, so that no two numbers have the same product, and no number but 0 the product 0.
  constexpr std::uint64_t spread = 0x9e37'79b9'7f4a'7c15;
  word_list& all = words();
  const std::lock_guard held(all.lock);
  const std::uint64_t word = ++all.given * spread;
  all.live.emplace(word, std::move(of));
  return reinterpret_cast<void*>(word);
}

std::optional<page_word> take_word(const void* word, const page_core* wanted_core, const page_access* wanted_access,
                                   const char* what, const call_site& here) {
  word_list& all = words();
  std::unique_lock held(all.lock);
  const auto found = all.live.find(reinterpret_cast<std::uintptr_t>(word));
  if (found == all.live.end()) {
    for (const ended_word& each : all.ended) {
      if (each.word != reinterpret_cast<std::uintptr_t>(word)) continue;
      const ended_word before = each;
      held.unlock();
      report(std::string("second ") + what, word, before.what, &before.ended, here, "ended again");
      return std::nullopt;
    }
    held.unlock();
    resources::report_misuse((std::string(what) + " of a word that stands for no pin, or no longer").c_str(), word, 0,
                             "type", "tenure::page_pool", {{"here", &here}});
    return std::nullopt;
  }
  if (wanted_core != nullptr && found->second.core != wanted_core) {
    const page_word other = found->second;
    held.unlock();
    report(std::string(what) + ", in another pool,", word, other, nullptr, here, "here");
    return std::nullopt;
  }
  if (wanted_access != nullptr && found->second.how != *wanted_access) {
    const page_word other = found->second;
    held.unlock();
    report(std::string(what) + " as a " + (*wanted_access == page_access::write ? "writer's" : "reader's") +
               ", which it is not,",
           word, other, nullptr, here, "here");
    return std::nullopt;
  }
  page_word taken = std::move(found->second);
  all.live.erase(found);
  all.ended.push_back({reinterpret_cast<std::uintptr_t>(word), taken, here});
  if (all.ended.size() > most_ended) all.ended.pop_front();
  return taken;
}

}  // namespace tenure::detail
