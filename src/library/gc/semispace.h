// Copying (Cheney): what may be moved goes to fresh blocks in the order in which it is reached from the roots, breadth
// first, with the copies themselves as the queue. Each list of the heap is a space of its own, with a place where the
// next copy goes and a place up to which copies have been looked through.
#pragma once

#include "library/gc/relocation.h"

namespace tenure::gc {

// semispace. An object for which there is no block stays where it is.
void copy_all(relocation& by);

}  // namespace tenure::gc
