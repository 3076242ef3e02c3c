#include "library/resource/call_site.h"

#include <dlfcn.h>
#include <tenure/tenure.h>
#include <unistd.h>

#include <cstdlib>

#include "core/base/format.h"

namespace tenure::resources {
namespace {

void add_frame(core::text_writer& text, std::uint64_t address) noexcept {
  text.add("      at ").add_hex(address);
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address - 1), &info) != 0 && info.dli_fname != nullptr) {
    text.add(" in ").add(info.dli_fname).add("+").add_hex(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
    if (info.dli_sname != nullptr) text.add(" (").add(info.dli_sname).add(")");
  }
  text.add("\n");
}

void add_owner_and_sites(core::text_writer& text, const char* kind, const char* name,
                         std::initializer_list<told_site> sites) noexcept {
  text.add(", ").add(kind).add(" \"").add(name).add("\", in process ");
  text.add_decimal(static_cast<std::uint64_t>(::getpid())).add("\n");
  for (const told_site& told : sites) {
    if (told.site == nullptr || told.site->frame_count == 0) continue;
    text.add("    ").add(told.what).add("\n");
    for (std::uint32_t i = 0; i < told.site->frame_count; ++i) add_frame(text, told.site->frames[i]);
  }
}

}  // namespace

call_site capture_site() noexcept {
  call_site result;
  result.frame_count = tenure_stack_capture(result.frames, site_frames);
  return result;
}

void write_message(const char* what, const void* block, std::size_t bytes, const char* kind, const char* name,
                   std::initializer_list<told_site> sites) noexcept {
  core::message text;
  text.add("tenure: ").add(what).add(": ").add_hex(reinterpret_cast<std::uintptr_t>(block));
  if (bytes != 0) text.add(", a block of ").add_decimal(bytes).add(" bytes");
  add_owner_and_sites(text, kind, name, sites);
  text.write_to(STDERR_FILENO);
}

void write_summary(const char* what, const char* kind, const char* name,
                   std::initializer_list<told_site> sites) noexcept {
  core::message text;
  text.add("tenure: ").add(what);
  add_owner_and_sites(text, kind, name, sites);
  text.write_to(STDERR_FILENO);
}

void report_misuse(const char* what, const void* block, std::size_t bytes, const char* kind, const char* name,
                   std::initializer_list<told_site> sites) noexcept {
  write_message(what, block, bytes, kind, name, sites);
  std::int64_t aborts = 1;
  tenure_option_get("abort_on_misuse", &aborts);
  if (aborts != 0) std::abort();
}

}  // namespace tenure::resources
