#include "instruments/import/heaptrack_traces.h"

#include <utility>

#include "instruments/import/heaptrack_limits.h"

namespace tenure::importing {
namespace {

constexpr std::size_t stack_limit_frames = std::size_t{64} << 20;

}  // namespace

// Parents come before their children, so that there is no circle.
std::uint32_t heaptrack_traces::stack_of(std::uint64_t trace) {
  if (stacks_.size() < traces_.size()) stacks_.resize(traces_.size(), collect::no_index);
  std::uint32_t& stack = stacks_[trace];
  if (stack != collect::no_index) return stack;
  std::vector<std::uint32_t> locations;
  for (; trace != 0 && locations.size() < heaptrack_frame_limit; trace = traces_[trace].parent)
    locations.push_back(traces_[trace].location);
  stack_frames_ += locations.size();
  stack = into_.add_stack(std::move(locations), trace == 0 ? collect::stack_end::complete : collect::stack_end::limit);
  return stack;
}

bool heaptrack_traces::are_too_many() const { return stack_frames_ > stack_limit_frames; }

}  // namespace tenure::importing
