#include <tenure/binning.hpp>

#include <algorithm>
#include <stdexcept>

#include "library/resource/block_records.h"
#include "library/resource/checks.h"

namespace tenure {

binning::binning(const binning_options& options)
    : resource_adaptor(options.name, "binning", options.parent, options.upstream), bins_(options.bins) {
  const auto add_seen = [&](memory_resource* of) {
    if (of != nullptr && std::find(seen_.begin(), seen_.end(), of) == seen_.end()) seen_.push_back(of);
  };
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    if (bins_[i].serves == nullptr || (i != 0 && bins_[i].largest_bytes < bins_[i - 1].largest_bytes)) {
      throw std::invalid_argument("tenure::binning: bins are resources, by ascending size");
    }
    add_seen(dynamic_cast<memory_resource*>(bins_[i].serves));
  }
  add_seen(seen_upstream());
  if (resources::wants_checks(options.checks)) {
    records_ = std::make_unique<resources::block_records>("binning", name());
  }
}

binning::~binning() {
  if (records_) records_->report_left();
}

std::pmr::memory_resource& binning::route(std::size_t bytes, std::size_t alignment) const noexcept {
  for (const bin& one : bins_) {
    if (bytes <= one.largest_bytes && alignment <= one.largest_alignment) return *one.serves;
  }
  return upstream();
}

void* binning::do_allocate(std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);  // so that addresses differ
  return take(bytes, alignment, [&] {
    std::pmr::memory_resource& serves = route(bytes, alignment);
    void* block = serves.allocate(bytes, alignment);
    try {
      if (records_) records_->add(block, bytes, alignment);
    } catch (...) {
      serves.deallocate(block, bytes, alignment);
      throw;
    }
    return block;
  });
}

void binning::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (records_ && !records_->remove(block, bytes, alignment)) return;
  route(bytes, alignment).deallocate(block, bytes, alignment);
  count_given(bytes);
}

bool binning::owns(const void* block) const noexcept {
  return std::any_of(seen_.begin(), seen_.end(), [&](const memory_resource* of) { return of->owns(block); });
}

std::size_t binning::trim() noexcept {
  std::size_t freed = 0;
  for (memory_resource* of : seen_) freed += of->trim();
  return freed;
}

void binning::visit_live(live_visitor visit, void* context) const {
  for (const memory_resource* of : seen_) of->visit_live(visit, context);
}

}  // namespace tenure
