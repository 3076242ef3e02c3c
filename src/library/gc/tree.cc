#include <tenure/gc/detail/tree.hpp>

#include "core/base/check.h"

namespace tenure::gc::detail {

namespace {

// The link that leads to the node.
member<tree_node>& link_to(member<tree_node>& root, const tree_node& node) noexcept {
  if (node.parent == nullptr) return root;
  return node.parent->left == &node ? node.parent->left : node.parent->right;
}

// `child` goes to the place of its parent, and the parent below it. While a node is in no link, it is held.
void turn_up(member<tree_node>& root, tree_node& child) noexcept {
  const local<tree_node> held(&child);
  const local<tree_node> parent = child.parent;
  member<tree_node>& place = link_to(root, *parent);
  const bool from_left = parent->left == &child;
  member<tree_node>& inner = from_left ? child.right : child.left;
  (from_left ? parent->left : parent->right) = inner;
  if (inner != nullptr) inner->parent = parent;
  child.parent = parent->parent;
  inner = parent;
  parent->parent = &child;
  place = held;
}

}  // namespace

tree_node* tree_first(tree_node* root) noexcept {
  while (root != nullptr && root->left != nullptr) root = root->left.get();
  return root;
}
tree_node* tree_last(tree_node* root) noexcept {
  while (root != nullptr && root->right != nullptr) root = root->right.get();
  return root;
}

tree_node* tree_next(tree_node* node) noexcept {
  if (node->right != nullptr) return tree_first(node->right.get());
  while (node->parent != nullptr && node->parent->right == node) node = node->parent.get();
  return node->parent.get();
}
tree_node* tree_before(tree_node* node) noexcept {
  if (node->left != nullptr) return tree_last(node->left.get());
  while (node->parent != nullptr && node->parent->left == node) node = node->parent.get();
  return node->parent.get();
}

void tree_add(member<tree_node>& root, tree_node* parent, member<tree_node>& place,
              const local<tree_node>& added) noexcept {
  TENURE_DCHECK(place == nullptr);
  added->parent = parent;
  place = added;
  while (added->parent != nullptr && added->parent->priority < added->priority) turn_up(root, *added);
}

void tree_remove(member<tree_node>& root, tree_node& removed) noexcept {
  const local<tree_node> held(&removed);
  while (removed.left != nullptr && removed.right != nullptr) {
    turn_up(root, removed.left->priority > removed.right->priority ? *removed.left : *removed.right);
  }
  member<tree_node>& place = link_to(root, removed);
  const local<tree_node> child = removed.left != nullptr ? removed.left : removed.right;
  if (child) child->parent = removed.parent;
  place = child;
  removed.left = removed.right = removed.parent = nullptr;
}

std::uint64_t tree_priority(std::uint64_t& series) noexcept {
  series += 0x9E3779B97F4A7C15;
  std::uint64_t mixed = series;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
  return mixed ^ mixed >> 31;
}

}  // namespace tenure::gc::detail
