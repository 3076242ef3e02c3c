#include "instruments/symbols/symbolizer.h"

#include <xxhash.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "instruments/symbols/debug_file.h"
#include "instruments/symbols/demangle.h"
#include "instruments/symbols/dwarf_index.h"
#include "instruments/symbols/elf_file.h"
#include "instruments/symbols/symbol_cache.h"
#include "instruments/symbols/symbol_table.h"

namespace tenure::symbols {
namespace {

namespace fs = std::filesystem;

std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string name_of(const module& of) {
  const std::string name = fs::path(of.path).filename().string();
  return name.empty() ? "?" : name;
}

// The files themselves: other content, or a debug package installed since, makes another fingerprint.
std::uint64_t fingerprint_of(const elf_file& program, const std::optional<elf_file>& debug) {
  std::string facts;
  const auto add = [&](const fs::path& path) {
    std::error_code ignored;
    facts += path.string() + "|" + std::to_string(fs::file_size(path, ignored)) + "|" +
             std::to_string(fs::last_write_time(path, ignored).time_since_epoch().count()) + "\n";
  };
  add(program.path());
  if (debug) add(debug->path());
  const std::uint64_t hash = XXH3_64bits(facts.data(), facts.size());
  return hash != 0 ? hash : 1;
}

// The symbols of one module, read on first use.
struct module_symbols {
  std::optional<elf_file> program;
  std::optional<elf_file> debug;
  symbol_table names;
  std::unique_ptr<dwarf_index> dwarf;
  bool is_read = false;
  std::optional<symbol_table> variables, thread_locals;

  void read() {
    if (std::exchange(is_read, true) || !program) return;
    if (debug) names.add(*debug);
    names.add(*program);
    dwarf = dwarf_index::open(debug && debug->has_section(".debug_info") ? *debug : *program, names);
  }

  // Those of the kind, read when they are first asked for; null without a file.
  const symbol_table* table_of(symbol_kind kind) {
    std::optional<symbol_table>& table = kind == symbol_kind::variable ? variables : thread_locals;
    if (!table && program) {
      table.emplace(kind);
      if (debug) table->add(*debug);
      table->add(*program);
    }
    return table ? &*table : nullptr;
  }

  std::vector<frame> resolve(std::uint64_t address) {
    read();
    std::vector<frame> frames;
    if (dwarf) frames = dwarf->resolve(address);
    if (!frames.empty()) return frames;
    const symbol_table::entry* symbol = names.find(address);
    if (symbol == nullptr) return {};
    frame only;
    only.function = demangle(symbol->name);
    if (only.function != symbol->name) only.system_name = symbol->name;
    only.is_named = true;
    if (const auto at = dwarf ? dwarf->line_at(address) : std::nullopt) {
      only.file = at->file;
      only.line = at->line;
    }
    return {only};
  }
};

}  // namespace

struct symbolizer::state {
  struct known_module {
    module_symbols symbols;
    symbol_cache::table answers;  // of the cache on disk, and of this run
    std::string build_id;
    std::uint64_t fingerprint = 0;
    bool is_from_cache = false;
    bool has_news = false;
  };

  symbolizer_options options;
  symbolizer_statistics statistics;
  std::vector<std::string> notes;
  std::map<std::pair<std::string, std::string>, known_module> modules;  // by path and build-id

  void tell(const module& of) const {
    if (options.observer) options.observer(of.path);
  }
  known_module& open(const module& of);
  void open_file(const module& of, known_module& opened);
};

void symbolizer::state::open_file(const module& of, known_module& opened) {
  // "[vdso]" and the like are not files; nothing is wrong with them.
  if (!of.path.starts_with('/')) return;
  const auto refuse = [&](const std::string& why) {
    ++statistics.modules_refused;
    notes.push_back(of.path + " " + why);
  };
  auto program = elf_file::open(of.path);
  if (!program) return refuse(program.error() + "; its frames are shown as offsets.");
  const std::string found = program->build_id();
  if (!of.build_id.empty() && found != of.build_id) {
    return refuse("is not the file that ran: its build-id is " + (found.empty() ? "missing" : found) +
                  ", and the recorded one is " + of.build_id + "; its frames are shown as offsets.");
  }
  opened.symbols.debug = find_debug_file(*program, options);
  opened.symbols.program = std::move(*program);
  opened.fingerprint = fingerprint_of(*opened.symbols.program, opened.symbols.debug);
}

symbolizer::state::known_module& symbolizer::state::open(const module& of) {
  const auto [place, is_new] = modules.try_emplace({of.path, of.build_id});
  known_module& opened = place->second;
  if (!is_new) return opened;
  opened.build_id = of.build_id;
  tell(of);
  open_file(of, opened);
  // Without the file, what was learnt about the same build-id before is as good as ever.
  if (auto cached = symbol_cache::load(options.cache_folder, of.build_id, opened.fingerprint)) {
    opened.answers = std::move(*cached);
    opened.is_from_cache = true;
  }
  return opened;
}

symbolizer::symbolizer(symbolizer_options options) : state_(std::make_unique<state>()) {
  state_->options = std::move(options);
}

symbolizer::~symbolizer() {
  for (auto& [key, known] : state_->modules) {
    const fs::path& folder = state_->options.cache_folder;
    if (known.has_news) {
      symbol_cache::save(folder, known.build_id, known.fingerprint, known.answers, state_->options.cache_limit_bytes);
    } else if (known.is_from_cache) {
      symbol_cache::touch(folder, known.build_id);
    }
  }
}

std::vector<frame> symbolizer::resolve(const module& of, std::uint64_t address) {
  ++state_->statistics.lookups;
  const std::uint64_t wanted = address - 1 - of.bias;
  state::known_module& known = state_->open(of);
  if (const auto found = known.answers.find(wanted); found != known.answers.end()) {
    ++state_->statistics.cache_hits;
    return found->second;
  }
  if (known.symbols.program && !known.symbols.is_read) ++state_->statistics.modules_opened;
  state_->tell(of);
  std::vector<frame> frames = known.symbols.resolve(wanted);
  if (!frames.empty()) {
    known.answers.emplace(wanted, frames);
    known.has_news = true;
    return frames;
  }
  frame unknown;
  unknown.function = of.path.empty() ? hexadecimal(address - 1) : name_of(of) + "+" + hexadecimal(wanted);
  return {unknown};
}

std::optional<std::uint64_t> symbolizer::address_at(const module& of, std::uint64_t offset) {
  const auto& program = state_->open(of).symbols.program;
  return program ? program->address_at(offset) : std::nullopt;
}

variable symbolizer::variable_at(const module& of, std::uint64_t address) {
  module_symbols& symbols = state_->open(of).symbols;
  state_->tell(of);
  const std::uint64_t wanted = address - of.bias;
  const symbol_table* const table = symbols.table_of(symbol_kind::variable);
  // Without a bias of its own a program lies where its file says.
  const bool fits = symbols.program && (of.bias == 0 || symbols.program->is_position_independent());
  const symbol_table::entry* const found = table != nullptr && fits ? table->find(wanted) : nullptr;
  if (found == nullptr) return {name_of(of) + "+" + hexadecimal(wanted), 0, false};
  return {demangle(found->name), wanted - found->begin, true};
}

std::optional<variable> symbolizer::thread_local_at(const module& program, std::int64_t offset) {
  module_symbols& symbols = state_->open(program).symbols;
  state_->tell(program);
  const symbol_table* const table = symbols.table_of(symbol_kind::thread_local_variable);
  const auto begin = symbols.program ? symbols.program->thread_local_offset() : std::nullopt;
  if (table == nullptr || !begin || offset < *begin) return std::nullopt;
  const auto wanted = static_cast<std::uint64_t>(offset - *begin);
  const symbol_table::entry* const found = table->find(wanted);
  if (found == nullptr) return std::nullopt;
  return variable{demangle(found->name), wanted - found->begin, true};
}

const std::vector<std::string>& symbolizer::notes() const { return state_->notes; }

const symbolizer_statistics& symbolizer::statistics() const { return state_->statistics; }

fs::path default_cache_folder() {
  // The XDG base directory rules: a relative path there is to be ignored.
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && folder[0] == '/') {
    return fs::path(folder) / "tenure";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return fs::path(home) / ".cache" / "tenure";
  return {};
}

}  // namespace tenure::symbols
