// Takes a snapshot: with the world stopped a walk from the roots, numbering objects as it meets them; then, with
// everything copied, dominators and what is retained.
#include <tenure/gc/snapshot.hpp>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/base/check.h"
#include "library/gc/cycle.h"
#include "library/gc/dominators.h"
#include "library/gc/finalizer.h"
#include "library/gc/marker.h"
#include "library/gc/reach.h"
#include "library/gc/roots.h"
#include "library/gc/sides.h"
#include "library/gc/snapshot_graph.h"

namespace tenure::gc {

namespace {

constexpr std::uint32_t none = snapshot_object::none;

// Numbers of cells, by block: as dense as the cells are.
class cell_numbers {
 public:
  std::uint32_t& of(const cell_place& at) {
    std::vector<std::uint32_t>& block = blocks_[at.block];
    if (block.empty()) block.assign(at.header->cell_count, none);
    return block[at.index];
  }

 private:
  std::unordered_map<std::size_t, std::vector<std::uint32_t>> blocks_;
};

std::string text_of(const detail::slot_path& path) {
  std::string text;
  for (std::size_t i = 0; i < std::min(path.length, detail::slot_path::most_steps); ++i) {
    const detail::slot_step& step = path.steps[i];
    if (step.name == nullptr) {
      text += "[" + std::to_string(step.element) + "]";
    } else {
      text += (text.empty() ? "" : ".") + std::string(step.name);
    }
  }
  return text;
}

// What the walk needs to know of a type, learned from its first object.
struct slot_table {
  std::vector<std::uint32_t> offsets;  // of slots, then of pairs
  std::vector<std::uint32_t> names;    // of slots
  std::size_t slot_count = 0;
};

struct found_edge {
  std::uint32_t from;
  snapshot_edge edge;
};

template <class Graph>
class snapshot_walk {
 public:
  snapshot_walk(heap_state& heap, Graph& into) : heap_(heap), into_(into) {}

  void run() {
    from_roots();
    for (; next_ < cells_.size(); ++next_) {
      const auto from = static_cast<std::uint32_t>(next_);
      follow(from);
      const auto waited = waiting_.find(cells_[from]);
      if (waited == waiting_.end()) continue;
      for (char* words : std::exchange(waited->second, {})) add_value(from, words);
    }
    sort_edges();
  }

 private:
  void from_roots() {
    {
      const holding guard(threads_lock());
      for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
        into_.holders.push_back("local of thread " + std::to_string(at->id));
        for_each_slot(*at, [&](void* target) { add_root(target); });
      }
    }
    into_.holders.emplace_back("root");
    for_each_root([&](void* target) { add_root(target); });
    into_.holders.emplace_back("queued destructor");
    for (char* cell : queued_cells()) add_root(cell);
  }

  // Held by the last of the holders.
  void add_root(void* target) {
    const std::uint32_t to = number(target);
    if (to != none) into_.roots.push_back({static_cast<std::uint32_t>(into_.holders.size() - 1), to});
  }

  // None: in another heap, or free, where a raw pointer has outlived its object.
  std::uint32_t number(void* target) {
    window& all = window::get();
    if (!all.holds(target)) return none;
    const cell_place at = all.place(target);
    if (at.header->heap_number != heap_.number || !all.is_allocated(at)) return none;
    std::uint32_t& known = numbers_.of(at);
    if (known == none) {
      known = static_cast<std::uint32_t>(into_.objects.size());
      add_object(at);
    }
    return known;
  }

  void add_object(const cell_place& at) {
    const detail::type_descriptor* type = type_of(at.cell);
    const std::size_t bytes = at.header->reciprocal != 0 ? at.header->cell_bytes : at.header->large_bytes;
    const bool is_made = type != nullptr && type != &detail::descriptor_of<char>;
    into_.objects.push_back({is_made ? at.cell + type->payload_offset : at.cell,
                             is_made ? type->name : std::string_view("(no object)"), bytes, bytes, none, none});
    cells_.push_back(at.cell);
    add_site(at);
  }

  void add_site(const cell_place& at) {
    if (!at.header->has_sides.load(std::memory_order_acquire)) return;
    const holding guard(side_lock(at));
    const side_word* side = find_side(at);
    const detail::sample* sampled = side == nullptr ? nullptr : side->sampled.find(at.bit);
    if (sampled == nullptr) return;
    snapshot_object& object = into_.objects.back();
    object.site = static_cast<std::uint32_t>(
        std::find_if(into_.sites.begin(), into_.sites.end(),
                     [&](const snapshot_site& known) { return is_same(known.stack, sampled->stack); }) -
        into_.sites.begin());
    if (object.site == into_.sites.size()) into_.sites.push_back({sampled->stack, object.type});
    ++into_.sites[object.site].sampled_objects;
    into_.sites[object.site].sampled_bytes += sampled->stands_for_bytes;
  }

  static bool is_same(const call_site& a, const call_site& b) {
    return a.frame_count == b.frame_count && std::equal(a.frames, a.frames + a.frame_count, b.frames);
  }

  void follow(std::uint32_t from) {
    char* cell = cells_[from];
    const detail::type_descriptor* type = type_of(cell);
    if (type == nullptr || type->list == nullptr) return;
    if (type->needs_object && !type->listed.load(std::memory_order_acquire)) return;
    const std::size_t count = element_count(*type, cell);
    char* element = cell + type->payload_offset;
    for (std::size_t i = 0; i < count; ++i, element += type->element_bytes) {
      const slot_table& table = table_of(*type, element);
      for (std::size_t slot = 0; slot < table.offsets.size(); ++slot) {
        char* at = element + table.offsets[slot];
        if (slot >= table.slot_count) {
          follow_pair(at);
          continue;
        }
        void* target = read_slot(at);
        if (target != nullptr) add_edge(from, target, table.names[slot], type->is_array ? i : none);
      }
    }
  }

  void add_edge(std::uint32_t from, void* target, std::uint32_t name, std::size_t element) {
    const std::uint32_t to = number(target);
    if (to != none) found_.push_back({from, {to, name, element}});
  }

  const slot_table& table_of(const detail::type_descriptor& type, char* object) {
    const auto [at, is_new] = tables_.try_emplace(&type);
    if (!is_new) return at->second;
    slot_table& made = at->second;
    made.slot_count = type.slot_count;
    made.offsets.resize(type.slot_count + type.pair_count);
    std::vector<std::string> texts;
    detail::slot_path path{[](void* context, const detail::slot_path& told, bool is_pair) {
                             if (!is_pair) static_cast<std::vector<std::string>*>(context)->push_back(text_of(told));
                           },
                           &texts};
    detail::slot_list sink{reinterpret_cast<std::uintptr_t>(object), made.offsets.data(), type.counts(), {}, &path};
    type.list(object, sink);
    for (const std::string& text : texts) made.names.push_back(intern(text, type.is_array));
    return made;
  }

  std::uint32_t intern(const std::string& text, bool is_element) {
    const auto [at, is_new] = name_numbers_.try_emplace(text + (is_element ? "[" : ""), into_.names.size());
    if (is_new) {
      into_.names.push_back(text);
      into_.is_element.push_back(is_element);
    }
    return static_cast<std::uint32_t>(at->second);
  }

  // The value hangs on its key; before that is met, the pair waits for it.
  void follow_pair(char* words) {
    void* key = read_slot(words);
    if (key == nullptr || !window::get().holds(key)) return;
    const cell_place at = window::get().place(key);
    const std::uint32_t from = numbers_.of(at);
    if (from == none) {
      waiting_[at.cell].push_back(words);
    } else {
      add_value(from, words);
    }
  }
  void add_value(std::uint32_t key, char* words) {
    void* value = read_slot(words + sizeof(void*));
    if (value == nullptr || value == detail::hole) return;
    into_.pair_name = intern("value of a pair", false);
    add_edge(key, value, into_.pair_name, none);
  }

  void sort_edges() {
    into_.first_edge.assign(into_.objects.size() + 2, 0);
    for (const found_edge& each : found_) ++into_.first_edge[each.from + 2];
    for (std::size_t i = 2; i < into_.first_edge.size(); ++i) into_.first_edge[i] += into_.first_edge[i - 1];
    into_.edges.resize(found_.size());
    for (const found_edge& each : found_) into_.edges[into_.first_edge[each.from + 1]++] = each.edge;
    into_.first_edge.pop_back();
  }

  heap_state& heap_;
  Graph& into_;
  cell_numbers numbers_;
  std::vector<char*> cells_;  // by number
  std::size_t next_ = 0;
  std::vector<found_edge> found_;
  std::unordered_map<char*, std::vector<char*>> waiting_;  // pairs, by the cells of keys that were not met yet
  std::unordered_map<const detail::type_descriptor*, slot_table> tables_;
  std::unordered_map<std::string, std::size_t> name_numbers_;
};

// The roots are node 0, objects come behind.
template <class Graph>
void find_retained(Graph& of) {
  std::vector<std::uint32_t> first{0};
  std::vector<std::uint32_t> targets;
  first.reserve(of.objects.size() + 2);
  targets.reserve(of.roots.size() + of.edges.size());
  for (const snapshot_root& root : of.roots) targets.push_back(root.to + 1);
  for (std::size_t i = 0; i < of.objects.size(); ++i) {
    first.push_back(static_cast<std::uint32_t>(targets.size()));
    for (std::uint32_t at = of.first_edge[i]; at < of.first_edge[i + 1]; ++at) targets.push_back(of.edges[at].to + 1);
  }
  first.push_back(static_cast<std::uint32_t>(targets.size()));
  const dominator_tree tree = find_dominators({first, targets});
  TENURE_CHECK(tree.order.size() == of.objects.size() + 1);
  for (std::size_t i = tree.order.size(); --i != 0;) {
    const std::uint32_t object = tree.order[i] - 1;
    const std::uint32_t above = tree.parents[tree.order[i]];
    if (above == 0) continue;
    of.objects[object].dominator = above - 1;
    of.objects[above - 1].retained_bytes += of.objects[object].retained_bytes;
  }
  of.by_dominance.reserve(of.objects.size());
  for (std::size_t i = 1; i < tree.order.size(); ++i) of.by_dominance.push_back(tree.order[i] - 1);
  for (const snapshot_object& object : of.objects) {
    if (object.site != none) of.sites[object.site].retained_bytes += object.retained_bytes;
  }
}

}  // namespace

heap_snapshot::heap_snapshot(const heap& of) : graph_(std::make_unique<graph>()) {
  graph_->heap_name = of.name();
  {
    const holding guard(cycle_lock());
    const stopped_world stopped(nullptr);
    snapshot_walk(of.state(), *graph_).run();
  }
  find_retained(*graph_);
}
heap_snapshot::~heap_snapshot() = default;
heap_snapshot::heap_snapshot(heap_snapshot&&) noexcept = default;

std::span<const snapshot_object> heap_snapshot::objects() const noexcept { return graph_->objects; }
std::span<const snapshot_root> heap_snapshot::roots() const noexcept { return graph_->roots; }
std::span<const std::string> heap_snapshot::holders() const noexcept { return graph_->holders; }
std::span<const snapshot_site> heap_snapshot::sites() const noexcept { return graph_->sites; }
std::span<const snapshot_edge> heap_snapshot::edges_of(std::size_t object) const noexcept {
  const std::uint32_t first = graph_->first_edge[object];
  return {graph_->edges.data() + first, graph_->first_edge[object + 1] - first};
}

std::string heap_snapshot::name_of(const snapshot_edge& edge) const {
  const std::string& name = graph_->names[edge.name];
  if (!graph_->is_element[edge.name]) return name;
  const std::string element = "[" + std::to_string(edge.element) + "]";
  return name.empty() || name[0] == '[' ? element + name : element + "." + name;
}

// An object that one of its own type dominates is in what that one retains.
std::vector<snapshot_type> heap_snapshot::by_type() const {
  std::unordered_map<std::string_view, std::size_t> numbers;
  std::vector<snapshot_type> types;
  std::vector<std::size_t> type_of_object(graph_->objects.size());
  for (std::size_t i = 0; i < graph_->objects.size(); ++i) {
    const snapshot_object& object = graph_->objects[i];
    const auto [at, is_new] = numbers.try_emplace(object.type, types.size());
    if (is_new) types.push_back({object.type});
    type_of_object[i] = at->second;
    ++types[at->second].objects;
    types[at->second].bytes += object.bytes;
  }
  // Down the tree, with what types are on the way from the root. Children of each, as lists.
  std::vector<std::uint32_t> first_child(graph_->objects.size(), none);
  std::vector<std::uint32_t> next_child(graph_->objects.size(), none);
  std::vector<std::uint32_t> waiting;
  for (const std::uint32_t object : graph_->by_dominance) {
    const std::uint32_t above = graph_->objects[object].dominator;
    if (above == none) {
      waiting.push_back(object);
    } else {
      next_child[object] = std::exchange(first_child[above], object);
    }
  }
  std::vector<std::size_t> above_of_type(types.size());
  constexpr std::uint32_t leaving = std::uint32_t{1} << 31;
  while (!waiting.empty()) {
    const std::uint32_t entry = waiting.back();
    waiting.pop_back();
    const std::uint32_t object = entry & ~leaving;
    std::size_t& above = above_of_type[type_of_object[object]];
    if ((entry & leaving) != 0) {
      --above;
      continue;
    }
    if (above++ == 0) types[type_of_object[object]].retained_bytes += graph_->objects[object].retained_bytes;
    waiting.push_back(object | leaving);
    for (std::uint32_t child = first_child[object]; child != none; child = next_child[child]) waiting.push_back(child);
  }
  std::sort(types.begin(), types.end(), [](const snapshot_type& a, const snapshot_type& b) {
    return a.retained_bytes != b.retained_bytes ? a.retained_bytes > b.retained_bytes : a.name < b.name;
  });
  return types;
}

}  // namespace tenure::gc
