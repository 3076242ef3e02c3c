// A snapshot in V8's format: one JSON object of numbers in rows, and the strings that they point to.
//
//   node 0  ""            ──▶ node 1 "(GC roots)" ──▶ a node for each holder ──▶ objects
//   nodes   [type, name, id, self size, number of edges, allocation's trace node, detachedness] for each
//   edges   [type, name or number, first field of the target's row] for each, in the order of the nodes
//   traces  functions of the sampled stacks, and the stacks as a tree
//
// The format has no room for retained sizes: readers compute them from the same edges.
#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <unordered_map>
#include <utility>

#include "library/gc/snapshot_graph.h"
#include "library/gc/window.h"

namespace tenure::gc {

namespace {

constexpr const char* meta =
    R"({"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],)"
    R"("node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic",)"
    R"("concatenated string","sliced string","symbol","bigint","object shape"],)"
    R"("string","number","number","number","number","number"],)"
    R"("edge_fields":["type","name_or_index","to_node"],)"
    R"("edge_types":[["context","element","property","internal","hidden","shortcut","weak"],)"
    R"("string_or_number","node"],)"
    R"("trace_function_info_fields":["function_id","name","script_name","script_id","line","column"],)"
    R"("trace_node_fields":["id","function_info_index","count","size","children"],)"
    R"("sample_fields":["timestamp_us","last_assigned_id"],)"
    R"("location_fields":["object_index","script_id","line","column"]})";
constexpr int object_node = 3;
constexpr int synthetic_node = 9;
constexpr int element_edge = 1;
constexpr int property_edge = 2;
constexpr int internal_edge = 3;
constexpr std::size_t node_fields = 7;

void write_quoted(std::ostream& to, std::string_view text) {
  to << '"';
  for (const char each : text) {
    if (each == '"' || each == '\\') {
      to << '\\' << each;
    } else if (static_cast<unsigned char>(each) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(each));
      to << escaped;
    } else {
      to << each;
    }
  }
  to << '"';
}

class string_table {
 public:
  std::size_t of(std::string_view text) {
    const auto [at, is_new] = numbers_.try_emplace(std::string(text), all_.size());
    if (is_new) all_.push_back(&at->first);
    return at->second;
  }
  void write(std::ostream& to) const {
    to << "\"strings\":[";
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (i != 0) to << ",\n";
      write_quoted(to, *all_[i]);
    }
    to << "]";
  }

 private:
  std::unordered_map<std::string, std::size_t> numbers_;
  std::vector<const std::string*> all_;
};

// What the loader knows of a return address; without a symbol the offset in its file, for addr2line.
struct function {
  std::string name;
  std::string file;
};
function function_at(std::uint64_t address) {
  char offset[32];
  Dl_info info{};
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  if (::dladdr(reinterpret_cast<void*>(address - 1), &info) == 0 || info.dli_fname == nullptr) {
    std::snprintf(offset, sizeof offset, "0x%llx", static_cast<unsigned long long>(address));
    return {offset, ""};
  }
  if (info.dli_sname == nullptr) {
    std::snprintf(offset, sizeof offset, "+0x%llx",
                  static_cast<unsigned long long>(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
    return {info.dli_fname + std::string(offset), info.dli_fname};
  }
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> plain(
      abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
  return {status == 0 ? plain.get() : info.dli_sname, info.dli_fname};
}

// The stacks of the sites, outermost call first.
class trace_tree {
 public:
  explicit trace_tree(const std::vector<snapshot_site>& sites) {
    nodes_.push_back({});
    for (const snapshot_site& site : sites) {
      std::size_t at = 0;
      for (std::uint32_t i = site.stack.frame_count; i-- != 0;) at = child_of(at, site.stack.frames[i]);
      nodes_[at].count += site.sampled_objects;
      nodes_[at].bytes += site.sampled_bytes;
      leaves_.push_back(at + 1);
    }
  }

  std::size_t leaf_of(std::uint32_t site) const { return site == snapshot_object::none ? 0 : leaves_[site]; }
  std::size_t function_count() const { return functions_.size() + 1; }

  void write(std::ostream& to, string_table& strings) const {
    to << "\"trace_function_infos\":[0," << strings.of("(root)") << "," << strings.of("") << ",0,0,0";
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
      const function known = function_at(addresses_[i]);
      to << ",\n" << i + 1 << "," << strings.of(known.name) << "," << strings.of(known.file) << ",0,0,0";
    }
    to << "],\n\"trace_tree\":[";
    write_node(to, 0);
    to << "],\n";
  }

 private:
  struct node {
    std::size_t function = 0;
    std::size_t count = 0;
    std::size_t bytes = 0;
    std::map<std::uint64_t, std::size_t> children;  // by return address
  };

  std::size_t child_of(std::size_t parent, std::uint64_t address) {
    const auto [at, is_new] = nodes_[parent].children.try_emplace(address, nodes_.size());
    const std::size_t child = at->second;
    if (!is_new) return child;
    const auto [known, is_new_function] = functions_.try_emplace(address, functions_.size() + 1);
    if (is_new_function) addresses_.push_back(address);
    nodes_.push_back({known->second, 0, 0, {}});
    return child;
  }

  // No deeper than stacks are kept.
  // NOLINTNEXTLINE(misc-no-recursion)
  void write_node(std::ostream& to, std::size_t at) const {
    const node& of = nodes_[at];
    to << at + 1 << "," << of.function << "," << of.count << "," << of.bytes << ",[";
    bool is_first = true;
    for (const auto& [address, child] : of.children) {
      if (!std::exchange(is_first, false)) to << ",";
      write_node(to, child);
    }
    to << "]";
  }

  std::vector<node> nodes_;
  std::vector<std::size_t> leaves_;                           // identities, of each site
  std::unordered_map<std::uint64_t, std::size_t> functions_;  // by return address
  std::vector<std::uint64_t> addresses_;
};

template <class Graph>
class writer {
 public:
  writer(const heap_snapshot& of, const Graph& graph, std::ostream& to)
      : snapshot_(of), graph_(graph), to_(to), traces_(graph.sites) {}

  void write() {
    const std::size_t edges = 1 + graph_.holders.size() + graph_.roots.size() + graph_.edges.size();
    to_ << "{\"snapshot\":{\"meta\":" << meta << ",\"node_count\":" << first_object() + graph_.objects.size()
        << ",\"edge_count\":" << edges << ",\"trace_function_count\":" << traces_.function_count() << "},\n";
    write_nodes();
    write_edges();
    traces_.write(to_, strings_);
    to_ << "\"samples\":[],\n\"locations\":[],\n";
    strings_.write(to_);
    to_ << "}\n";
  }

 private:
  std::size_t first_object() const { return 2 + graph_.holders.size(); }

  // Even, and odd where it is an object's place: of two snapshots of a heap that moves nothing the same objects have
  // the same. Unique in the 32 bits that DevTools keeps while the heaps' addresses span less than 32 GiB.
  static std::uint64_t identity_of(const snapshot_object& object) {
    return static_cast<std::uint64_t>(static_cast<const char*>(object.address) - window::get().address_of(0)) / 16 * 2 +
           1;
  }
  void write_node(int type, std::string_view name, std::uint64_t identity, std::size_t bytes, std::size_t edge_count,
                  std::size_t trace) {
    if (node_count_ != 0) to_ << ",\n";
    to_ << type << "," << strings_.of(name) << "," << identity << "," << bytes << "," << edge_count << "," << trace
        << ",0";
    ++node_count_;
  }
  void write_nodes() {
    std::vector<std::size_t> roots_of(graph_.holders.size());
    for (const snapshot_root& root : graph_.roots) ++roots_of[root.holder];
    to_ << "\"nodes\":[";
    write_node(synthetic_node, "", 2, 0, 1, 0);
    write_node(synthetic_node, "(GC roots)", 4, 0, graph_.holders.size(), 0);
    for (std::size_t i = 0; i < graph_.holders.size(); ++i) {
      write_node(synthetic_node, "(" + graph_.holders[i] + ")", 6 + 2 * i, 0, roots_of[i], 0);
    }
    for (std::size_t i = 0; i < graph_.objects.size(); ++i) {
      const snapshot_object& object = graph_.objects[i];
      write_node(object_node, object.type, identity_of(object), object.bytes, snapshot_.edges_of(i).size(),
                 traces_.leaf_of(object.site));
    }
    to_ << "],\n";
  }

  void write_edge(int type, std::size_t name, std::size_t to) {
    if (edge_count_++ != 0) to_ << ",\n";
    to_ << type << "," << name << "," << to * node_fields;
  }
  void write_edges() {
    to_ << "\"edges\":[";
    write_edge(element_edge, 1, 1);
    for (std::size_t i = 0; i < graph_.holders.size(); ++i) write_edge(element_edge, i, 2 + i);
    // Roots stand in the order of their holders.
    std::size_t number = 0;
    std::size_t holder = 0;
    for (const snapshot_root& root : graph_.roots) {
      if (std::exchange(holder, root.holder) != root.holder) number = 0;
      write_edge(element_edge, number++, first_object() + root.to);
    }
    for (std::size_t i = 0; i < graph_.objects.size(); ++i) {
      for (const snapshot_edge& edge : snapshot_.edges_of(i)) write_member(edge);
    }
    to_ << "],\n";
  }
  void write_member(const snapshot_edge& edge) {
    const std::size_t to = first_object() + edge.to;
    if (graph_.is_element[edge.name] && graph_.names[edge.name].empty()) {
      return write_edge(element_edge, edge.element, to);
    }
    const int type = edge.name == graph_.pair_name ? internal_edge : property_edge;
    write_edge(type, strings_.of(snapshot_.name_of(edge)), to);
  }

  const heap_snapshot& snapshot_;
  const Graph& graph_;
  std::ostream& to_;
  trace_tree traces_;
  string_table strings_;
  std::size_t node_count_ = 0;
  std::size_t edge_count_ = 0;
};

}  // namespace

void heap_snapshot::write_v8(std::ostream& to) const { writer(*this, *graph_, to).write(); }

}  // namespace tenure::gc
