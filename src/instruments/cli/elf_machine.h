// Names of the machines an ELF file can be built for; what depends on the architecture in this room stands here.
#pragma once

#include <elf.h>

#include <cstdint>
#include <string>

namespace tenure::cli {

#if defined(__x86_64__)
inline constexpr std::uint16_t own_elf_machine = EM_X86_64;
inline constexpr const char* own_multiarch = "x86_64-linux-gnu";
#elif defined(__aarch64__)
inline constexpr std::uint16_t own_elf_machine = EM_AARCH64;
inline constexpr const char* own_multiarch = "aarch64-linux-gnu";
#else
#error "Tenure knows x86-64 and aarch64"
#endif

inline std::string elf_machine_name(std::uint16_t machine, bool is_32_bit) {
  switch (machine) {
    case EM_X86_64:
      return is_32_bit ? "x32" : "x86-64";
    case EM_386:
      return "32-bit x86";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "32-bit ARM";
    case EM_RISCV:
      return is_32_bit ? "32-bit RISC-V" : "RISC-V";
    case EM_PPC64:
      return "PowerPC 64";
    case EM_S390:
      return "S/390";
    case EM_MIPS:
      return "MIPS";
    case 258:
      return "LoongArch";  // EM_LOONGARCH, newer than some elf.h
    default:
      return "another machine (ELF machine " + std::to_string(machine) + ")";
  }
}

}  // namespace tenure::cli
