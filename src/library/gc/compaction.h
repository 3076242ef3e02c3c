// Compaction within the lists of a heap: two fingers, one at the free cells of the blocks that stay, one at the objects
// of the blocks that are emptied, move towards each other (Saunders). As the cells of a list are of one size, this
// moves the fewest objects that it takes, and needs no memory; the order in which objects lie is not kept.
#pragma once

#include "library/gc/relocation.h"

namespace tenure::gc {

// mark_compact: until all objects of a list lie in as few blocks as they fit into, but for what has to stay.
void compact_all(relocation& by);
// immix: of lists of which a quarter of the blocks could go, blocks that are half empty or more; with always_evacuate
// as compact_all.
void empty_sparse(relocation& by);

}  // namespace tenure::gc
