// Which Tenure this is.
#pragma once

#include <string>

namespace tenure::cli {

std::string version_number();  // "0.1.0"
std::string build_flavour();   // "RelWithDebInfo", with the sanitizer if there is one
std::string revision();        // of git, shortened; empty when it was not built from a checkout
std::string version_text();    // one line for `tenure version`

}  // namespace tenure::cli
