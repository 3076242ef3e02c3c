#include <tenure/adaptor/statistics_resource_adaptor.hpp>

#include <algorithm>
#include <stdexcept>

namespace tenure {
namespace {

using counter = statistics_resource_adaptor::counter;
using counter_set = statistics_resource_adaptor::counter_set;

void add(counter& to, std::int64_t value) noexcept {
  to.value += value;
  to.total += value;
  to.peak = std::max(to.peak, to.value);
}

// What happened within `inner` happened to `outer` as well.
void add_within(counter& outer, const counter& inner) noexcept {
  outer.peak = std::max(outer.peak, outer.value + inner.peak);
  outer.value += inner.value;
  outer.total += inner.total;
}

void add_within(counter_set& outer, const counter_set& inner) noexcept {
  add_within(outer.bytes, inner.bytes);
  add_within(outer.blocks, inner.blocks);
  outer.refusals += inner.refusals;
}

}  // namespace

statistics_resource_adaptor::statistics_resource_adaptor(const statistics_options& options)
    : resource_adaptor(options.name, "statistics adaptor", options.parent, options.upstream) {}

void statistics_resource_adaptor::push_counters() { sets_.emplace_back(); }

statistics_resource_adaptor::counter_set statistics_resource_adaptor::pop_counters() {
  if (sets_.size() == 1) throw std::logic_error("tenure::statistics_resource_adaptor: no counters were pushed");
  const counter_set inner = sets_.back();
  sets_.pop_back();
  add_within(sets_.back(), inner);
  return inner;
}

statistics_resource_adaptor::counter_set statistics_resource_adaptor::counters_since(std::size_t set) const noexcept {
  counter_set sum = sets_.back();
  for (std::size_t i = sets_.size() - 1; i > set; --i) {
    counter_set outer = sets_[i - 1];
    add_within(outer, sum);
    sum = outer;
  }
  return sum;
}

void* statistics_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  try {
    void* block = take_from_upstream(bytes, alignment);
    add(sets_.back().bytes, static_cast<std::int64_t>(bytes));
    add(sets_.back().blocks, 1);
    return block;
  } catch (...) {
    ++sets_.back().refusals;
    throw;
  }
}

void statistics_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  give_to_upstream(block, bytes, alignment);
  sets_.back().bytes.value -= static_cast<std::int64_t>(bytes);
  --sets_.back().blocks.value;
}

}  // namespace tenure
