#include "library/gc/dominators.h"

#include <utility>

#include "core/base/check.h"

namespace tenure::gc {

namespace {

// Everything is told by the number that a search in depth gives a node.
class search {
 public:
  explicit search(const flow_graph& graph) : graph_(graph), number_(graph.size(), no_node) {
    walk();
    const std::size_t count = node_.size();
    semi_.resize(count);
    best_.resize(count);
    ancestor_.assign(count, no_node);
    dominator_.assign(count, 0);
    for (std::uint32_t i = 0; i < count; ++i) semi_[i] = best_[i] = i;
    find_sources();
  }

  dominator_tree run() {
    const auto count = static_cast<std::uint32_t>(node_.size());
    // Nodes whose semidominator is the same, as lists: by the semidominator the first, by each the next.
    std::vector<std::uint32_t> bucket(count, no_node);
    std::vector<std::uint32_t> next(count, no_node);
    for (std::uint32_t at = count; --at != 0;) {
      for (std::uint32_t i = first_source_[at]; i < first_source_[at + 1]; ++i) {
        const std::uint32_t through = semi_[best_above(source_[i])];
        if (through < semi_[at]) semi_[at] = through;
      }
      next[at] = bucket[semi_[at]];
      bucket[semi_[at]] = at;
      ancestor_[at] = parent_[at];
      for (std::uint32_t each = bucket[parent_[at]]; each != no_node; each = next[each]) {
        const std::uint32_t best = best_above(each);
        dominator_[each] = semi_[best] < semi_[each] ? best : parent_[at];
      }
      bucket[parent_[at]] = no_node;
    }
    return finish();
  }

 private:
  void walk() {
    struct visit {
      std::uint32_t node;
      std::uint32_t next_edge;
    };
    std::vector<visit> open;
    const auto enter = [&](std::uint32_t node, std::uint32_t from) {
      number_[node] = static_cast<std::uint32_t>(node_.size());
      node_.push_back(node);
      parent_.push_back(from);
      open.push_back({node, graph_.first[node]});
    };
    enter(0, 0);
    while (!open.empty()) {
      visit& top = open.back();
      if (top.next_edge == graph_.first[top.node + 1]) {
        open.pop_back();
        continue;
      }
      const std::uint32_t target = graph_.targets[top.next_edge++];
      TENURE_DCHECK(target < graph_.size());
      if (number_[target] == no_node) enter(target, number_[top.node]);
    }
  }

  // Edges the other way round.
  void find_sources() {
    first_source_.assign(node_.size() + 2, 0);
    const auto for_each_edge = [&](auto each) {
      for (std::uint32_t from = 0; from < node_.size(); ++from) {
        const std::uint32_t node = node_[from];
        for (std::uint32_t i = graph_.first[node]; i < graph_.first[node + 1]; ++i) {
          each(from, number_[graph_.targets[i]]);
        }
      }
    };
    for_each_edge([&](std::uint32_t, std::uint32_t to) { ++first_source_[to + 2]; });
    for (std::size_t i = 2; i < first_source_.size(); ++i) first_source_[i] += first_source_[i - 1];
    source_.resize(first_source_.back());
    for_each_edge([&](std::uint32_t from, std::uint32_t to) { source_[first_source_[to + 1]++] = from; });
    first_source_.pop_back();
  }

  // Of the linked nodes from `at` up, the root of its tree left out, the one with the least semidominator.
  std::uint32_t best_above(std::uint32_t at) {
    if (ancestor_[at] == no_node) return at;
    path_.clear();
    while (ancestor_[ancestor_[at]] != no_node) {
      path_.push_back(at);
      at = ancestor_[at];
    }
    for (; !path_.empty(); path_.pop_back()) {
      const std::uint32_t below = path_.back();
      if (semi_[best_[ancestor_[below]]] < semi_[best_[below]]) best_[below] = best_[ancestor_[below]];
      ancestor_[below] = ancestor_[at];
      at = below;
    }
    return best_[at];
  }

  dominator_tree finish() {
    dominator_tree made;
    made.parents.assign(graph_.size(), no_node);
    for (std::uint32_t at = 1; at < node_.size(); ++at) {
      if (dominator_[at] != semi_[at]) dominator_[at] = dominator_[dominator_[at]];
      made.parents[node_[at]] = node_[dominator_[at]];
    }
    made.order = std::move(node_);
    return made;
  }

  const flow_graph& graph_;
  std::vector<std::uint32_t> number_;  // by node
  std::vector<std::uint32_t> node_;    // from here on by number
  std::vector<std::uint32_t> parent_;  // in the search
  std::vector<std::uint32_t> first_source_;
  std::vector<std::uint32_t> source_;
  std::vector<std::uint32_t> semi_;
  std::vector<std::uint32_t> best_;
  std::vector<std::uint32_t> ancestor_;
  std::vector<std::uint32_t> dominator_;
  std::vector<std::uint32_t> path_;
};

}  // namespace

dominator_tree find_dominators(const flow_graph& graph) { return search(graph).run(); }

}  // namespace tenure::gc
