#include <tenure/owned.hpp>

#include <tenure/tenure.h>
#include <unistd.h>

#include <cstdlib>

#include "core/base/format.h"
#include "library/resource/call_site.h"

namespace tenure::detail {
namespace {

constexpr int told_borrows = 8;

void add_site(core::text_writer& text, const char* what, const std::source_location& site) noexcept {
  text.add("    ").add(what).add("\n      at ").add(site.file_name()).add(":").add_decimal(site.line());
  text.add(" in ").add(site.function_name()).add("\n");
}

void finish(const core::message& text) noexcept {
  text.write_to(STDERR_FILENO);
  std::int64_t aborts = 1;
  tenure_option_get("abort_on_misuse", &aborts);
  if (aborts != 0) std::abort();
}

// What is in the way comes last: where there is much of it, the message may be cut.
void begin(core::text_writer& text, const char* what, const void* value, std::size_t bytes,
           const borrow_state& state) noexcept {
  text.add("tenure: ").add(what).add(": ").add_hex(reinterpret_cast<std::uintptr_t>(value)).add(", a value of ");
  text.add_decimal(bytes).add(" bytes, in process ").add_decimal(static_cast<std::uint64_t>(::getpid())).add("\n");
  add_site(text, "owned", state.site);
}

void add_borrows(core::text_writer& text, const borrow_state& state) noexcept {
  int told = 0;
  for (const borrow_link* one = state.first; one != nullptr && told < told_borrows; one = one->after, ++told) {
    add_site(text, state.is_mutable ? "borrowed mutably" : "borrowed", one->site);
  }
}

}  // namespace

void report_borrow(const char* what, const void* value, std::size_t bytes, const borrow_state& state, const char* here,
                   const std::source_location* site) noexcept {
  core::message text;
  begin(text, what, value, bytes, state);
  add_site(text, here, *site);
  add_borrows(text, state);
  finish(text);
}

void report_owner(const char* what, const void* value, std::size_t bytes, borrow_state& state,
                  const std::source_location* site) noexcept {
  core::message text;
  begin(text, what, value, bytes, state);
  // A destructor and an assignment do not know their caller.
  if (site != nullptr) {
    add_site(text, "here", *site);
  } else {
    const resources::call_site here = resources::capture_site();
    text.add("    here\n");
    for (std::uint32_t i = 0; i < here.frame_count; ++i) text.add("      at ").add_hex(here.frames[i]).add("\n");
  }
  add_borrows(text, state);
  finish(text);
  while (state.first != nullptr) borrow_state::remove(*state.first);
  state.is_mutable = false;
}

void report_empty_borrow(const std::source_location& site) noexcept {
  core::message text;
  text.add("tenure: use of a borrow that was moved from, or whose owner has gone, in process ");
  text.add_decimal(static_cast<std::uint64_t>(::getpid())).add("\n");
  add_site(text, "borrowed", site);
  const resources::call_site here = resources::capture_site();
  text.add("    used\n");
  for (std::uint32_t i = 0; i < here.frame_count; ++i) text.add("      at ").add_hex(here.frames[i]).add("\n");
  finish(text);
}

}  // namespace tenure::detail
