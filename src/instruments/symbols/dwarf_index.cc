#include "instruments/symbols/dwarf_index.h"

#include <dwarf.h>

#include <algorithm>
#include <utility>

#include "instruments/symbols/demangle.h"

namespace tenure::symbols {
namespace {

constexpr int tree_depth_limit = 200;  // a damaged file must not exhaust the stack
constexpr int reference_limit = 8;     // abstract origin, specification, and what they refer to

// The linker gives address 0 to ranges of functions that it left out.
bool is_plausible(std::uint64_t begin, std::uint64_t end) { return begin != 0 && begin < end; }

template <typename Visit>
void for_each_range(Dwarf_Die die, Visit visit) {
  Dwarf_Addr base = 0, begin = 0, end = 0;
  for (std::ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &begin, &end)) > 0;) {
    if (is_plausible(begin, end)) visit(begin, end);
  }
}

template <typename Ranges>
void sort_by_begin(Ranges& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
}

template <typename Ranges>
auto find_range(Ranges& ranges, std::uint64_t address) -> decltype(&ranges[0]) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                [](std::uint64_t wanted, const auto& r) { return wanted < r.begin; });
  // Ranges do not overlap, save for those that linkers merged: a few steps back are enough.
  for (int step = 0; step < 4 && after != ranges.begin(); ++step) {
    --after;
    if (address < after->end) return &*after;
  }
  return nullptr;
}

// From a concrete or inlined instance to the entry that bears its name and stands in its scope.
Dwarf_Die declaration_of(Dwarf_Die die) {
  for (int step = 0; step < reference_limit; ++step) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    if (dwarf_attr(&die, DW_AT_abstract_origin, &attribute) == nullptr &&
        dwarf_attr(&die, DW_AT_specification, &attribute) == nullptr) {
      break;
    }
    if (dwarf_formref_die(&attribute, &next) == nullptr) break;
    die = next;
  }
  return die;
}

const char* string_attribute(Dwarf_Die die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(&die, name, &attribute));
}

std::uint64_t number_attribute(Dwarf_Die die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  return dwarf_attr(&die, name, &attribute) != nullptr && dwarf_formudata(&attribute, &value) == 0 ? value : 0;
}

// The inlined calls that hold the address, outermost first, below `parent`.
void collect_inlined(Dwarf_Die parent, std::uint64_t address, std::vector<Dwarf_Die>& chain, int depth) {
  Dwarf_Die child;
  if (depth > tree_depth_limit || dwarf_child(&parent, &child) != 0) return;
  do {
    const int tag = dwarf_tag(&child);
    const bool is_inlined = tag == DW_TAG_inlined_subroutine;
    if (!is_inlined && tag != DW_TAG_lexical_block && tag != DW_TAG_try_block && tag != DW_TAG_catch_block) continue;
    if (dwarf_haspc(&child, address) <= 0) continue;
    if (is_inlined) chain.push_back(child);
    return collect_inlined(child, address, chain, depth + 1);
  } while (dwarf_siblingof(&child, &child) == 0);
}

}  // namespace

// One pass over a unit's tree. Only what may hold a function or lend its name to one is descended into.
struct dwarf_index::scope_walk {
  dwarf_index& index;
  unit* functions_of;  // null: only the scopes are wanted

  void children(Dwarf_Die parent, std::size_t scope, int depth) {
    Dwarf_Die child;
    if (depth > tree_depth_limit || dwarf_child(&parent, &child) != 0) return;
    do {
      switch (dwarf_tag(&child)) {
        case DW_TAG_subprogram:
          index.scope_by_entry_.emplace(child.addr, scope);
          if (functions_of != nullptr) add_function(child);
          children(child, scope, depth + 1);
          break;
        case DW_TAG_namespace:
          children(child, inner(scope, child, "(anonymous namespace)"), depth + 1);
          break;
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_interface_type:
          children(child, inner(scope, child, "(unnamed)"), depth + 1);
          break;
        case DW_TAG_module:
          children(child, inner(scope, child, "(unnamed)"), depth + 1);
          break;
        case DW_TAG_lexical_block:
          children(child, scope, depth + 1);
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&child, &child) == 0);
  }

  std::size_t inner(std::size_t scope, Dwarf_Die die, const char* otherwise) {
    const char* name = string_attribute(die, DW_AT_name);
    index.scopes_.push_back(index.scopes_[scope] + (name != nullptr ? name : otherwise) + "::");
    return index.scopes_.size() - 1;
  }

  void add_function(Dwarf_Die die) {
    const std::size_t number = functions_of->functions.size();
    bool has_code = false;
    for_each_range(die, [&](std::uint64_t begin, std::uint64_t end) {
      functions_of->ranges.push_back({begin, end, number});
      has_code = true;
    });
    if (has_code) functions_of->functions.push_back(die);
  }
};

std::unique_ptr<dwarf_index> dwarf_index::open(const elf_file& file, const symbol_table& names) {
  std::unique_ptr<dwarf_index> index(new dwarf_index(names));
  index->dwarf_.reset(dwarf_begin_elf(file.handle(), DWARF_C_READ, nullptr));
  if (!index->dwarf_) return nullptr;
  index->read_units();
  return index->units_.empty() ? nullptr : std::move(index);
}

void dwarf_index::read_units() {
  Dwarf_CU* at = nullptr;
  std::uint8_t type = 0;
  Dwarf_Die root, split;
  while (dwarf_get_units(dwarf_.get(), at, &at, nullptr, &type, &root, &split) == 0) {
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    unit added;
    added.root = root;
    added.tree = type == DW_UT_skeleton && dwarf_tag(&split) != DW_TAG_invalid ? split : root;
    const std::size_t number = units_.size();
    for_each_range(root, [&](std::uint64_t begin, std::uint64_t end) { unit_ranges_.push_back({begin, end, number}); });
    units_.push_back(std::move(added));
  }
  sort_by_begin(unit_ranges_);
}

dwarf_index::unit* dwarf_index::unit_at(std::uint64_t address) {
  const range* found = find_range(unit_ranges_, address);
  return found != nullptr ? &units_[found->index] : nullptr;
}

void dwarf_index::walk(unit& of) {
  if (of.is_walked) return;
  of.is_walked = true;
  scoped_units_[of.tree.cu] = true;
  scope_walk{*this, &of}.children(of.tree, 0, 0);
  sort_by_begin(of.ranges);
}

const std::string& dwarf_index::scope_of(Dwarf_Die declaration) {
  // A declaration may stand in another unit: a partial unit of dwz's, or what link-time optimisation moved.
  if (!std::exchange(scoped_units_[declaration.cu], true)) {
    Dwarf_Die root;
    if (dwarf_diecu(&declaration, &root, nullptr, nullptr) != nullptr) scope_walk{*this, nullptr}.children(root, 0, 0);
  }
  const auto found = scope_by_entry_.find(declaration.addr);
  return scopes_[found != scope_by_entry_.end() ? found->second : 0];
}

void dwarf_index::name(Dwarf_Die function, frame& into, bool is_concrete) {
  const char* plain = string_attribute(function, DW_AT_name);
  const char* linkage = string_attribute(function, DW_AT_linkage_name);
  if (linkage == nullptr) linkage = string_attribute(function, DW_AT_MIPS_linkage_name);
  Dwarf_Addr entry = 0;
  if (linkage == nullptr && is_concrete && dwarf_entrypc(&function, &entry) == 0) {
    // Compilers leave the linkage name out for what has none outside its file; the symbol table has it still.
    const symbol_table::entry* symbol = names_.find_begin(entry);
    if (symbol != nullptr && is_mangled(symbol->name)) linkage = symbol->name;
  }
  if (linkage != nullptr && (is_mangled(linkage) || plain == nullptr)) {
    into.system_name = linkage;
    into.function = demangle(linkage);
  } else if (plain != nullptr) {
    into.function = scope_of(declaration_of(function)) + plain;
    if (linkage != nullptr) into.system_name = linkage;
  }
  if (into.system_name == into.function) into.system_name.clear();
  into.is_named = !into.function.empty();
}

dwarf_index::source_line dwarf_index::call_of(Dwarf_Die inlined, unit& of) {
  source_line result;
  result.line = static_cast<std::uint32_t>(number_attribute(inlined, DW_AT_call_line));
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  const std::uint64_t number = number_attribute(inlined, DW_AT_call_file);
  if (dwarf_getsrcfiles(&of.tree, &files, &count) != 0 || number >= count) return result;
  if (const char* path = dwarf_filesrc(files, number, nullptr, nullptr)) result.file = path;
  return result;
}

std::optional<dwarf_index::source_line> dwarf_index::line_at(std::uint64_t address) {
  unit* of = unit_at(address);
  if (of == nullptr) return std::nullopt;
  Dwarf_Line* row = dwarf_getsrc_die(&of->root, address);
  const char* path = row != nullptr ? dwarf_linesrc(row, nullptr, nullptr) : nullptr;
  if (path == nullptr) return std::nullopt;
  int line = 0;
  dwarf_lineno(row, &line);
  return source_line{path, static_cast<std::uint32_t>(std::max(line, 0))};
}

std::vector<frame> dwarf_index::resolve(std::uint64_t address) {
  unit* of = unit_at(address);
  if (of == nullptr) return {};
  walk(*of);
  const range* function = find_range(of->ranges, address);
  if (function == nullptr) return {};
  std::vector<Dwarf_Die> chain = {of->functions[function->index]};
  collect_inlined(chain.front(), address, chain, 0);

  std::vector<frame> frames;
  source_line at = line_at(address).value_or(source_line{});
  for (std::size_t i = chain.size(); i-- > 0;) {
    frame next;
    next.file = at.file;
    next.line = at.line;
    next.is_inlined = i > 0;
    name(chain[i], next, i == 0);
    if (i > 0) at = call_of(chain[i], *of);
    if (next.is_named) frames.push_back(std::move(next));
  }
  return frames;
}

}  // namespace tenure::symbols
