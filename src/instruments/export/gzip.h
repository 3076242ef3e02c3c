// gzip in one call.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace tenure::exporting {

std::expected<std::string, std::string> gzip(std::string_view content);

}  // namespace tenure::exporting
