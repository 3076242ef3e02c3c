// Text: lines made of words, split, joined, counted and sorted. Strings are short-lived, of every small size, and often
// grow by appending.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::uint64_t pages_whole = 200;
constexpr std::size_t lines_per_page = 800;
constexpr std::size_t vocabulary = 4000;

std::string make_word(std::size_t number) {
  std::string word = "w";
  for (std::size_t rest = number * 2654435761U; word.size() < 4 + number % 29; rest = rest / 26 + 77) {
    word.push_back(static_cast<char>('a' + rest % 26));
  }
  return word;
}

std::string make_line(random_source& random, const std::vector<std::string>& words) {
  std::string line;
  const std::size_t count = 4 + random.below(20);
  for (std::size_t index = 0; index < count; ++index) {
    line += words[random.below(vocabulary)];
    line += ' ';
  }
  return line;
}

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> parts;
  while (!line.empty()) {
    const std::size_t end = line.find(' ');
    parts.emplace_back(line.substr(0, end));
    line.remove_prefix(end + 1);
  }
  return parts;
}

// Reads one page of text: every word counted, every line kept with its words sorted.
std::size_t read_page(random_source& random, const std::vector<std::string>& words,
                      std::unordered_map<std::string, std::uint64_t>& counts) {
  std::multimap<std::string, std::string> lines;
  for (std::size_t line = 0; line < lines_per_page; ++line) {
    std::vector<std::string> parts = split(make_line(random, words));
    std::sort(parts.begin(), parts.end());
    std::string joined;
    for (const std::string& part : parts) {
      ++counts[part];
      joined += part + ",";
    }
    lines.emplace(parts.front(), joined);
  }
  return lines.size();
}

std::uint64_t run_strings(std::uint64_t divisor) {
  random_source random(71);
  std::vector<std::string> words;
  for (std::size_t number = 0; number < vocabulary; ++number) {
    words.push_back(make_word(number));
  }
  std::unordered_map<std::string, std::uint64_t> counts;
  std::uint64_t lines = 0;
  for (std::uint64_t page = 0; page < pages_whole / divisor; ++page) {
    lines += read_page(random, words, counts);
  }
  return lines;
}

constexpr workload all[] = {
    {"strings", "lines of words built, split, sorted, joined and counted", run_strings},
};

}  // namespace

workload_list string_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
