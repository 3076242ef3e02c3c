// A parser that goes back where it was, a result that joins its caller's arena, and who would be left behind.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <tenure/arena.hpp>

struct word {
  std::string_view text;
  const word* next;
};

// A list of the words of a line, or none where one of them is no number: then nothing of it stays.
const word* parse(tenure::arena& memory, std::string_view line) {
  const tenure::arena::mark before = memory.set_mark();
  const word* first = nullptr;
  while (!line.empty()) {
    const std::string_view text = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(line.size(), text.size() + 1));
    if (text.find_first_not_of("0123456789") != std::string_view::npos) {
      memory.rewind(before);
      return nullptr;
    }
    const auto copy = memory.allocate_array<char>(text.size());
    std::memcpy(copy.data(), text.data(), text.size());
    first = memory.create<word>(std::string_view(copy.data(), copy.size()), first);
  }
  return first;
}

// Somebody who keeps what he should not.
struct session {
  const word* last = nullptr;
} remembered;

int main() {
  tenure::arena memory({.name = "document"});
  const word* const numbers = parse(memory, "1 22 333");
  const std::uint64_t used = memory.statistics().used_bytes;
  const bool is_refused = parse(memory, "4444 five") == nullptr;
  const bool is_as_before = memory.statistics().used_bytes == used;
  std::printf("the last number is %.*s; a bad line left %llu bytes behind\n", static_cast<int>(numbers->text.size()),
              numbers->text.data(), static_cast<unsigned long long>(memory.statistics().used_bytes - used));

  // Parsed elsewhere, by another thread say: the objects stay where they are and belong to the document from now on.
  tenure::arena part({.name = "part"});
  const word* const more = parse(part, "55555 666666");
  memory.merge(part);
  const bool is_merged = memory.owns(more) && part.statistics().used_bytes == 0 && more->text == "666666";

  // Before a reset: who points into what is about to go?
  remembered.last = more;
  const tenure::arena::place places[] = {{"remembered", &remembered, sizeof remembered}};
  bool is_found = false;
  for (const tenure::arena::escape& one : memory.find_escapes(places)) {
    is_found = is_found || std::string_view(one.place) == "remembered";
  }
  std::printf("a session %s to a word of the document\n", is_found ? "still points" : "does not point");
  memory.report_escapes(places);
  remembered.last = nullptr;
  memory.reset();
  return is_refused && is_as_before && is_merged && is_found && memory.statistics().used_bytes == 0 ? 0 : 1;
}
