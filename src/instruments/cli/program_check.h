// Whether Tenure can engage for a program, told before it is started.
//
// The drop-in heap enters a process through LD_PRELOAD, which is read by glibc's dynamic loader. So the program has to
// be found, to be an ELF file of this machine (or a script whose interpreter is one), to ask for glibc's loader, and
// not to be run with more rights than its caller, where the loader ignores LD_PRELOAD.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

namespace tenure::cli {

// As shells and env(1) have it.
inline constexpr int exit_cannot_run = 126;
inline constexpr int exit_not_found = 127;

enum class refusal_kind {
  not_found,
  not_executable,
  unknown_format,
  foreign_machine,
  static_program,
  foreign_loader,
  missing_loader,
  raised_rights,
};

struct program_refusal {
  refusal_kind kind;
  std::string sentence;  // what is wrong and what to do, without a full name of ours in front
  int exit_code;         // what `tenure run` ends with
};

struct program_facts {
  std::filesystem::path path;                // the file that the kernel will start
  std::vector<std::filesystem::path> chain;  // a script's interpreters in order; the last is the ELF program
  std::filesystem::path loader;              // of the ELF program
  bool brings_malloc = false;    // of its own, which the loader prefers to any that is preloaded; not Tenure's
  bool is_shell_script = false;  // text without a #! line: /bin/sh is started with it, as by every shell
};

// Of a program that brings its own malloc: what follows from that.
std::string own_malloc_sentence(const program_facts& program);

// Finds `command` as execvp would and looks at it. Starts nothing.
std::expected<program_facts, program_refusal> check_program(const std::string& command);

}  // namespace tenure::cli
