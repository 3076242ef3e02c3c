// DWARF of one file, read a unit at a time when an address asks for it.
//
//   address ─► unit (ranges of all units, sorted)
//              ─► function (a walk of the unit's tree, once: ranges of its functions, and the scope each name stands
//              in)
//                 ─► inlined calls: down from the function, each child whose ranges hold the address
//
//   frame 0   innermost inlined function    file:line from the line table
//   frame 1   the function it was put into  file:line of the call, DW_AT_call_file and DW_AT_call_line of frame 0
//   ...       up to the function that the symbol table knows
//
// The ranges are read from the units and not from .debug_aranges, which clang leaves out.
#pragma once

#include <elfutils/libdw.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "instruments/symbols/elf_file.h"
#include "instruments/symbols/symbol_table.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::symbols {

class dwarf_index {
 public:
  // Null when the file has no DWARF. Both must outlive the index.
  static std::unique_ptr<dwarf_index> open(const elf_file& file, const symbol_table& names);

  // Frames at an address of the file, innermost first; empty when no function of DWARF's holds it. A function whose
  // unit has a line table alone is answered by line_at().
  std::vector<frame> resolve(std::uint64_t address);

  struct source_line {
    std::string file;
    std::uint32_t line = 0;
  };
  std::optional<source_line> line_at(std::uint64_t address);

 private:
  struct range {
    std::uint64_t begin = 0, end = 0;
    std::size_t index = 0;  // of a unit, or of a function in its unit
  };
  struct unit {
    Dwarf_Die root{};  // with the ranges and the line table
    Dwarf_Die tree{};  // with the functions: the same, or the split unit's root
    bool is_walked = false;
    std::vector<range> ranges;
    std::vector<Dwarf_Die> functions;
  };
  struct scope_walk;

  explicit dwarf_index(const symbol_table& names) : names_(names) {}
  void read_units();
  void walk(unit& of);
  unit* unit_at(std::uint64_t address);
  const std::string& scope_of(Dwarf_Die declaration);
  void name(Dwarf_Die function, frame& into, bool is_concrete);
  source_line call_of(Dwarf_Die inlined, unit& of);

  struct closer {
    void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
  };
  const symbol_table& names_;
  std::unique_ptr<Dwarf, closer> dwarf_;
  std::vector<unit> units_;
  std::vector<range> unit_ranges_;
  std::vector<std::string> scopes_ = {""};  // "outer::inner::"
  // By the unit's address in libdw and the offset of a subprogram's entry: the alternate file has offsets of its own.
  std::unordered_map<const void*, std::size_t> scope_by_entry_;
  std::unordered_map<const void*, bool> scoped_units_;
};

}  // namespace tenure::symbols
