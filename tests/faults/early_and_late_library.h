#pragma once

#include <cstddef>

// Strings that the library's constructors made.
std::size_t early_string_count();
