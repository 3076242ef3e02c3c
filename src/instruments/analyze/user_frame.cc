#include "instruments/analyze/user_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace tenure::analyze {
namespace {

// So many frames without a name may lie below a helper that has one.
constexpr std::size_t unnamed_limit = 2;

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "void (anonymous namespace)::vector<int, A>::push_back(int&&)" -> "::vector::push_back": what stands in brackets, and
// the result before the name, say nothing here.
std::string qualified_name(std::string_view function) {
  std::string result;
  int depth = 0;
  for (const char byte : function) {
    if (byte == '(' || byte == '<') ++depth;
    if (depth == 0) result += byte;
    if ((byte == ')' || byte == '>') && depth > 0) --depth;
  }
  for (const std::string_view tail : {" const", " &", " &&"})
    if (result.ends_with(tail)) result.resize(result.size() - tail.size());
  return result.substr(result.rfind(' ') + 1);
}

bool contains_ignoring_case(std::string_view text, std::string_view wanted) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::search(text.begin(), text.end(), wanted.begin(), wanted.end(), same) != text.end();
}

bool is_own_module(const std::string& path) { return base_name(path).starts_with("libtenure"); }

}  // namespace

bool is_runtime_module(const std::string& path) {
  static constexpr std::array prefixes = {"libtenure",   "libc.so",    "libc-2",   "libstdc++.so",
                                          "libc++.so",   "libc++abi.", "ld-linux", "ld64.so",
                                          "libgcc_s.so", "libpthread", "ld-2."};
  const std::string_view name = base_name(path);
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const char* prefix) { return name.starts_with(prefix); });
}

bool is_allocation_helper(const std::string& function) {
  if (function.starts_with("operator new") || function.starts_with("operator delete")) return true;
  const std::string name = qualified_name(function);
  for (const char* const room : {"std::", "__gnu_cxx::", "tenure::gc::"})
    if (name.starts_with(room)) return true;
  const std::string_view last = std::string_view(name).substr(name.rfind(':') + 1);
  // "xfree" and "g_free", but not "sqlite3_free_table" or "tree_free".
  constexpr std::size_t free_limit = sizeof "xxxfree" - 1;
  if (last.size() <= free_limit && (last.ends_with("free") || last.ends_with("Free"))) return true;
  return contains_ignoring_case(last, "alloc") || contains_ignoring_case(last, "strdup") ||
         contains_ignoring_case(last, "strndup");
}

std::string module_label(const process_profile& of, std::uint32_t module) {
  if (module >= of.record.modules.size()) return "[no file]";
  return std::string(base_name(of.record.modules[module].path));
}

frame_resolver::frame_resolver(process_profile& of, symbols::symbolizer& symbolizer)
    : profile_(of), symbolizer_(symbolizer) {
  profile_.frames.resize(profile_.record.locations.size());
}

const std::vector<frame>& frame_resolver::at(std::uint32_t location) {
  std::vector<frame>& frames = profile_.frames[location];
  if (!frames.empty()) return frames;
  const collect::process_record& record = profile_.record;
  const collect::location& place = record.locations[location];
  const std::uint32_t answer = location < record.answers.size() ? record.answers[location] : no_index;
  if (answer != no_index) {
    frames = record.names->frames(answer);
  } else if (place.module == no_index) {
    frame unknown;
    unknown.function = fmt::format("[no file]+0x{:x}", place.address);
    frames.push_back(std::move(unknown));
  } else {
    frames = symbolizer_.resolve(record.modules[place.module], place.address);
  }
  return frames;
}

void frame_resolver::resolve_all() {
  for (std::uint32_t location = 0; location < profile_.frames.size(); ++location) at(location);
}

std::vector<frame_resolver::placed_frame> frame_resolver::chain_beyond(bool (*leaves_out)(const std::string& path),
                                                                       std::uint32_t stack, std::size_t limit) {
  std::vector<placed_frame> frames;
  std::size_t begin = 0, unnamed = 0;
  bool is_found = false;
  for (const std::uint32_t location : profile_.record.stacks[stack].locations) {
    const std::uint32_t module = profile_.record.locations[location].module;
    if (module != no_index && leaves_out(profile_.record.modules[module].path)) continue;
    for (const frame& one : at(location)) {
      frames.push_back({&one, module, location});
      if (is_found) continue;
      // Frames without a name below a helper are helpers too: static functions of a stripped library.
      const bool is_helper = one.is_named && is_allocation_helper(one.function);
      if (is_helper) begin = frames.size();
      unnamed = is_helper || one.is_named ? 0 : unnamed + 1;
      is_found = (one.is_named && !is_helper) || unnamed > unnamed_limit;
    }
    if (is_found && frames.size() >= begin + limit) break;
  }
  if (begin == frames.size()) begin = 0;
  frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(begin));
  if (frames.size() > limit) frames.resize(limit);
  return frames;
}

std::vector<frame_resolver::placed_frame> frame_resolver::user_chain(std::uint32_t stack, std::size_t limit) {
  if (stack >= profile_.record.stacks.size()) return {};
  std::vector<placed_frame> frames = chain_beyond(is_runtime_module, stack, limit);
  if (!frames.empty()) return frames;
  // Nothing but the runtime: then it is that which has the block, and only the heap is left out.
  frames = chain_beyond(is_own_module, stack, limit);
  if (!frames.empty()) return frames;
  // Nothing but the heap: where it was entered is the nearest to an answer.
  const std::vector<std::uint32_t>& locations = profile_.record.stacks[stack].locations;
  if (!locations.empty())
    frames.push_back(
        {&at(locations.back()).back(), profile_.record.locations[locations.back()].module, locations.back()});
  return frames;
}

std::vector<frame> frame_resolver::first_of_chain(std::uint32_t stack, std::size_t limit) {
  std::vector<frame> chain;
  for (const placed_frame& placed : user_chain(stack, limit)) chain.push_back(*placed.what);
  return chain;
}

std::vector<frame> frame_resolver::shown_chain(std::uint32_t stack) { return first_of_chain(stack, 6); }

std::vector<frame> frame_resolver::site_chain(std::uint32_t stack) { return first_of_chain(stack, 24); }

std::string shown_site(const std::vector<frame>& chain, std::uint32_t stack) {
  if (chain.empty()) return fmt::format("{}", stack);
  std::string text;
  for (const frame& one : chain) text += fmt::format("\n{}\n{}:{}", one.function, one.file, one.line);
  return text;
}

}  // namespace tenure::analyze
