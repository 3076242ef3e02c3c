// Words that stand for pins (release(), adopt(), unpin()). Each is given out once and looked up, never followed: an old
// or a strange one is known as such, whatever has become of its page and of its pool. Of the last thousand that ended
// it is remembered what they stood for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "library/cache/page_slot.h"
#include "library/resource/call_site.h"

namespace tenure::detail {

// As a report calls it.
inline constexpr const char* page_pool_kind = "page pool";

struct page_word {
  page_core* core = nullptr;
  page_slot* slot = nullptr;
  page_access how = page_access::read;
  std::uint64_t ticket = 0;
  std::string pool;
  std::string page;  // in words
  call_site pinned;
};

void* word_for(page_word of);
// What it stood for, from now on nothing: nobody else gets it. Empty, after a message, when it stands for nothing, or
// for a pin of another kind or another pool than is wanted; then it goes on standing for that.
std::optional<page_word> take_word(const void* word, const page_core* wanted_core, const page_access* wanted_access,
                                   const char* what, const call_site& here);

}  // namespace tenure::detail
