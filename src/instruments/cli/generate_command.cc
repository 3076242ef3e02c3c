#include "instruments/cli/generate_command.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

#include "instruments/cli/completion.h"
#include "instruments/cli/manual_page.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/reference_page.h"

namespace tenure::cli {
namespace {

using pages = std::vector<std::pair<std::string, std::string>>;  // file name, content

pages manual_pages() {
  pages result = {{"tenure.1", manual_of_tenure()}, {"tenure-options.7", manual_of_options()}};
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden)
      result.push_back({"tenure-" + std::string(command.name) + ".1", manual_of_command(command)});
  }
  return result;
}

}  // namespace

int generate_command(const std::vector<std::string>& words) {
  pages written;
  if (words.size() == 2 && words[0] == "man") written = manual_pages();
  if (words.size() == 2 && words[0] == "completion") {
    written = {{"tenure.bash", completion_for_bash()},
               {"_tenure", completion_for_zsh()},
               {"tenure.fish", completion_for_fish()}};
  }
  if (words.size() == 2 && words[0] == "docs") {
    written = {{"commands.md", reference_of_commands()}, {"options.md", reference_of_options()}};
  }
  if (written.empty()) {
    std::cerr << "tenure: usage: " << command_usage(*find_command("generate")) << "\n";
    return exit_usage;
  }
  const std::filesystem::path folder = words[1];
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (const auto& [name, content] : written) {
    std::ofstream file(folder / name, std::ios::binary | std::ios::trunc);
    if (!(file << content) || !file.flush()) {
      std::cerr << "tenure: cannot write " << (folder / name).string() << ".\n";
      return 1;
    }
  }
  return 0;
}

}  // namespace tenure::cli
