#include "instruments/cli/program_check.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

#include "instruments/cli/elf_facts.h"
#include "instruments/cli/elf_machine.h"

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

constexpr int script_depth_limit = 4;  // the kernel's own
constexpr const char* shell = "/bin/sh";

std::unexpected<program_refusal> refuse(refusal_kind kind, std::string sentence, int exit_code = exit_cannot_run) {
  return std::unexpected(program_refusal{kind, std::move(sentence), exit_code});
}

std::string in_quotes(const fs::path& path) { return "'" + path.string() + "'"; }

bool is_executable_file(const fs::path& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::expected<fs::path, program_refusal> find_in_path(const std::string& command) {
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/bin:/usr/bin";
  std::optional<fs::path> not_executable;
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    fs::path candidate = fs::path(folder.empty() ? "." : folder) / command;
    struct stat facts {};
    if (stat(candidate.c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) {
      if (access(candidate.c_str(), X_OK) == 0) return candidate;
      if (!not_executable) not_executable = candidate;
    }
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (not_executable) {
    return refuse(refusal_kind::not_executable,
                  in_quotes(*not_executable) + " is not executable; give it the right with chmod +x.");
  }
  return refuse(refusal_kind::not_found, "there is no command " + in_quotes(command) + " in any folder of PATH.",
                exit_not_found);
}

std::expected<fs::path, program_refusal> find_program(const std::string& command) {
  if (command.empty()) return refuse(refusal_kind::not_found, "the command's name is empty.", exit_not_found);
  if (command.find('/') == std::string::npos) return find_in_path(command);
  struct stat facts {};
  if (stat(command.c_str(), &facts) != 0) {
    const bool is_absent = errno == ENOENT || errno == ENOTDIR;
    return refuse(refusal_kind::not_found,
                  is_absent ? "there is no file " + in_quotes(command) + "."
                            : in_quotes(command) + " cannot be looked at: " + std::strerror(errno) + ".",
                  exit_not_found);
  }
  if (S_ISDIR(facts.st_mode)) {
    return refuse(refusal_kind::not_executable, in_quotes(command) + " is a folder, not a program.");
  }
  if (!S_ISREG(facts.st_mode)) {
    return refuse(refusal_kind::not_executable, in_quotes(command) + " is no file, but a pipe, a socket or a device.");
  }
  if (!is_executable_file(command)) {
    return refuse(refusal_kind::not_executable,
                  in_quotes(command) + " is not executable; give it the right with chmod +x.");
  }
  return fs::path(command);
}

// Whether the loader will run in secure mode (AT_SECURE), in which it ignores LD_PRELOAD.
bool raises_rights(const fs::path& path) {
  struct stat facts {};
  struct statvfs mount {};
  if (stat(path.c_str(), &facts) != 0) return false;
  if (statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0) return false;
  if ((facts.st_mode & S_ISUID) != 0 && facts.st_uid != getuid()) return true;
  if ((facts.st_mode & S_ISGID) != 0 && (facts.st_mode & S_IXGRP) != 0 && facts.st_gid != getgid()) return true;
  return getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// The interpreter of a "#!" line, without its argument.
std::string interpreter_of(std::string_view head) {
  head.remove_prefix(2);
  head = head.substr(0, head.find('\n'));
  const std::size_t begin = head.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  head.remove_prefix(begin);
  return std::string(head.substr(0, head.find_first_of(" \t\r")));
}

std::expected<elf_facts, program_refusal> check_elf(const fs::path& path, std::ifstream& file, std::string_view head) {
  const auto identity = [&](int at) { return static_cast<unsigned char>(head[static_cast<std::size_t>(at)]); };
  if (head.size() < sizeof(Elf64_Ehdr))
    return refuse(refusal_kind::unknown_format, in_quotes(path) + " is a damaged ELF file.");
  std::uint16_t machine = 0;
  std::memcpy(&machine, head.data() + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
  if (identity(EI_CLASS) != ELFCLASS64 || identity(EI_DATA) != ELFDATA2LSB || machine != own_elf_machine) {
    return refuse(refusal_kind::foreign_machine,
                  in_quotes(path) + " is built for " + elf_machine_name(machine, identity(EI_CLASS) == ELFCLASS32) +
                      ", and this Tenure for " + elf_machine_name(own_elf_machine, false) +
                      "; build the program for this machine.");
  }
  const std::optional<elf_facts> facts = read_elf(file);
  if (!facts) return refuse(refusal_kind::unknown_format, in_quotes(path) + " is a damaged ELF file.");
  if (facts->loader.empty()) {
    // The loader itself and shared libraries with a main of their own have a dynamic section but ask for no loader;
    // LD_PRELOAD reaches neither, as it does not reach a static program.
    return refuse(refusal_kind::static_program,
                  in_quotes(path) +
                      " is linked statically, so no heap can be put under it from outside; link it "
                      "dynamically, or link Tenure into it.");
  }
  if (facts->loader.find("ld-linux") == std::string::npos) {
    return refuse(refusal_kind::foreign_loader, in_quotes(path) + " runs on the loader " + in_quotes(facts->loader) +
                                                    ", and Tenure needs glibc's; build the program against glibc.");
  }
  if (access(facts->loader.c_str(), X_OK) != 0) {
    return refuse(refusal_kind::missing_loader,
                  in_quotes(path) + " asks for the loader " + in_quotes(facts->loader) + ", which is not there.");
  }
  return *facts;
}

}  // namespace

std::string own_malloc_sentence(const program_facts& program) {
  return in_quotes(program.chain.back()) +
         " brings a malloc of its own, which the loader takes before any other: what it allocates cannot be seen; "
         "build "
         "it without, or link Tenure into it.";
}

std::expected<program_facts, program_refusal> check_program(const std::string& command) {
  const auto found = find_program(command);
  if (!found) return std::unexpected(found.error());
  program_facts result{.path = *found, .chain = {}, .loader = {}};
  fs::path path = *found;
  for (int depth = 0; depth <= script_depth_limit; ++depth) {
    std::ifstream file(path, std::ios::binary);
    std::string head(256, '\0');
    if (!file)
      return refuse(refusal_kind::not_executable, in_quotes(path) + " may not be read, so it cannot be checked.");
    file.read(head.data(), static_cast<std::streamsize>(head.size()));
    head.resize(static_cast<std::size_t>(file.gcount()));
    result.chain.push_back(path);
    if (head.starts_with("#!")) {
      const std::string interpreter = interpreter_of(head);
      if (!is_executable_file(interpreter)) {
        return refuse(refusal_kind::not_found,
                      in_quotes(path) + " asks for the interpreter '" + interpreter + "', which is not there.");
      }
      path = interpreter;
      continue;
    }
    if (!head.starts_with(ELFMAG)) {
      const bool is_text = head.find('\0') == std::string::npos;
      if (depth != 0 || !is_text) {
        return refuse(refusal_kind::unknown_format, in_quotes(path) + " is neither an ELF program nor a script.");
      }
      result.is_shell_script = true;
      path = shell;
      continue;
    }
    if (raises_rights(path)) {
      return refuse(refusal_kind::raised_rights,
                    in_quotes(path) +
                        " runs with more rights than yours (set-user-id, set-group-id or capabilities), and "
                        "the loader then takes no heap from outside; run it as the user it becomes.");
    }
    const auto facts = check_elf(path, file, head);
    if (!facts) return std::unexpected(facts.error());
    result.loader = facts->loader;
    result.brings_malloc = facts->defines_malloc && !facts->holds_tenure;
    return result;
  }
  return refuse(refusal_kind::unknown_format,
                in_quotes(*found) + " is a script of scripts, deeper than the kernel goes.");
}

}  // namespace tenure::cli
