// The heap's statistics as text, JSON and in glibc's forms.
#pragma once

#include <cstddef>

#include "core/base/format.h"

namespace tenure::core {

void add_statistics_text(text_writer& text) noexcept;
void add_statistics_json(text_writer& text) noexcept;
// To a file descriptor, without allocating.
void write_report(int file_descriptor) noexcept;

}  // namespace tenure::core
