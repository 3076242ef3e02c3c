// Words that stand for leases (buffer_lease::release(), adopt()). Each is given out once, and is looked up, never
// followed: an old or a strange one is known as such, whatever has become of its buffer and of its pool.
#pragma once

#include <tenure/buffer_pool.hpp>

namespace tenure::detail {

void* word_for(buffer_header* leased) noexcept;
// Null for a word that stands for nothing. Of two threads with the same word one gets the buffer.
buffer_header* take_of_word(const void* word) noexcept;

}  // namespace tenure::detail
