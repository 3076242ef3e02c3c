// The links of a search tree of managed nodes, and what moves them: a treap, in which a node's priority, a number drawn
// when it is added, is above those of its children. What the nodes are compared by is not known here.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <cstdint>

#include <tenure/api.h>
#include <tenure/gc/member.hpp>

namespace tenure::gc::detail {

struct tree_node {
  member<tree_node> left;
  member<tree_node> right;
  member<tree_node> parent;
  std::uint64_t priority = 0;
};

TENURE_API tree_node* tree_first(tree_node* root) noexcept;
TENURE_API tree_node* tree_last(tree_node* root) noexcept;
// In order; null: there is none.
TENURE_API tree_node* tree_next(tree_node* node) noexcept;
TENURE_API tree_node* tree_before(tree_node* node) noexcept;
// Hangs `added` into `place`, an empty link of `parent` (null: the root itself), and turns it up to where its priority
// belongs.
TENURE_API void tree_add(member<tree_node>& root, tree_node* parent, member<tree_node>& place,
                         const local<tree_node>& added) noexcept;
TENURE_API void tree_remove(member<tree_node>& root, tree_node& removed) noexcept;
// The next of a series of priorities.
TENURE_API std::uint64_t tree_priority(std::uint64_t& series) noexcept;

}  // namespace tenure::gc::detail
