#include "core/telemetry/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/memory_probe.h"

namespace tenure::telemetry {
namespace {

using header_type = ElfW(Ehdr);
using segment_type = ElfW(Phdr);
using note_type = ElfW(Nhdr);

// Program headers lie in the first OS page of the image, where linkers and patchelf put them.
constexpr std::uint64_t headers_limit_bytes = 4096;

// Calls visit(segment) until it says true. The image's first page is mapped when its first segment starts at the
// file's beginning, which the magic tells.
template <class Visit>
void for_each_segment(const loaded_module& module, Visit&& visit) noexcept {
  if (module.end - module.begin < headers_limit_bytes || !is_readable(module.begin)) return;
  const byte_range first_page{module.begin, module.begin + headers_limit_bytes};
  const auto header = byte_reader(first_page, module.begin).read<header_type>();
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(segment_type)) return;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    std::uint64_t at = 0;
    if (__builtin_add_overflow(module.begin + i * sizeof(segment_type), header.e_phoff, &at)) return;
    byte_reader reader(first_page, at);
    const auto segment = reader.read<segment_type>();
    if (!reader.ok() || visit(segment)) return;
  }
}

byte_range place_of(const loaded_module& module, const segment_type& segment) noexcept {
  const std::uint64_t begin = module.bias + segment.p_vaddr;
  const byte_range whole{module.begin, module.end};
  if (!whole.holds(begin, segment.p_memsz)) return {};
  return {begin, begin + segment.p_memsz};
}

byte_range build_id_in(byte_range notes) noexcept {
  byte_reader reader(notes, notes.begin);
  while (reader.ok() && !reader.at_end()) {
    const auto note = reader.read<note_type>();
    const std::uint64_t name = reader.position();
    reader.skip(core::align_up(note.n_namesz, 4));
    const std::uint64_t text = reader.position();
    reader.skip(core::align_up(note.n_descsz, 4));
    if (!reader.ok()) return {};
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(reinterpret_cast<const void*>(name), "GNU", 4) == 0) {
      return {text, text + note.n_descsz};
    }
  }
  return {};
}

}  // namespace

bool find_module(std::uint64_t address, loaded_module* found) noexcept {
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return false;
  found->begin = reinterpret_cast<std::uint64_t>(object.dlfo_map_start);
  found->end = reinterpret_cast<std::uint64_t>(object.dlfo_map_end);
  found->bias = object.dlfo_link_map->l_addr;
  found->unwind_header = reinterpret_cast<std::uint64_t>(object.dlfo_eh_frame);
  found->name = object.dlfo_link_map->l_name;
  found->loader_entry = object.dlfo_link_map;
  TENURE_DCHECK(found->begin <= address && address < found->end);
  return true;
}

byte_range segment_of(const loaded_module& module, std::uint64_t address) noexcept {
  byte_range found;
  for_each_segment(module, [&](const segment_type& segment) noexcept {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_R) == 0) return false;
    const byte_range range = place_of(module, segment);
    if (!range.holds(address, 1)) return false;
    found = range;
    return true;
  });
  return found;
}

byte_range build_id_of(const loaded_module& module) noexcept {
  byte_range found;
  for_each_segment(module, [&](const segment_type& segment) noexcept {
    if (segment.p_type != PT_NOTE) return false;
    const byte_range notes = place_of(module, segment);
    // A note segment that no readable segment holds is in the file only.
    const byte_range loaded = segment_of(module, notes.begin);
    if (notes.begin == notes.end || !loaded.holds(notes.begin, notes.end - notes.begin)) return false;
    found = build_id_in(notes);
    return found.begin != found.end;
  });
  return found;
}

}  // namespace tenure::telemetry
