// The picture of `tenure top --once` for programs.
#pragma once

#include <cstddef>
#include <string>

#include "instruments/cli/top_view.h"

namespace tenure::cli {

// The rows of the state's table that pass its filter, in its order, at most `most`.
std::string top_json(const top_figures& figures, const top_state& state, std::size_t most);

}  // namespace tenure::cli
