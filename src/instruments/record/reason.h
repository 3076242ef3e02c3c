// What the system says to the last call that failed.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace tenure::record {

inline std::string reason() { return std::generic_category().message(errno); }

}  // namespace tenure::record
