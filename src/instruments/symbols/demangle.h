// From the names that linkers see to the names that people wrote: C++ through the C++ runtime, Rust by our own decoder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tenure::symbols {

bool is_mangled(std::string_view name);

// The name as it is when it is not mangled or cannot be decoded.
std::string demangle(const std::string& name);

// Rust's two schemes: "v0" (_R...) and the older one (_ZN...17h<16 hexadecimal digits>E), without crate hashes.
std::optional<std::string> demangle_rust(std::string_view name);

}  // namespace tenure::symbols
