#include <tenure/adaptor/tracking_resource_adaptor.hpp>

#include <algorithm>
#include <cstdio>

#include "core/base/check.h"
#include "library/resource/block_records.h"
#include "library/resource/call_sites.h"

namespace tenure {

using resources::block_records;

tracking_resource_adaptor::tracking_resource_adaptor(const tracking_options& options)
    : resource_adaptor(options.name, "tracking adaptor", options.parent, options.upstream),
      records_(std::make_unique<block_records>(kind(), name())),
      reports_at_end_(options.reports_at_end),
      gives_back_at_end_(options.gives_back_at_end) {}

tracking_resource_adaptor::~tracking_resource_adaptor() {
  if (reports_at_end_) records_->report_left();
  if (!gives_back_at_end_) return;
  records_->for_each([&](const void* block, const block_records::used_block& of) {
    upstream().deallocate(const_cast<void*>(block), of.bytes, of.alignment);
  });
}

void* tracking_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);  // so that addresses differ
  return take(bytes, alignment, [&] {
    void* block = upstream().allocate(bytes, alignment);
    try {
      const std::size_t given_up = records_->add(block, bytes, alignment);
      if (given_up != 0) count_given(given_up);
    } catch (...) {
      upstream().deallocate(block, bytes, alignment);
      throw;
    }
    return block;
  });
}

void tracking_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (records_->remove(block, bytes, alignment)) give_to_upstream(block, bytes, alignment);
}

std::vector<tracking_resource_adaptor::live_site> tracking_resource_adaptor::live_by_site() const {
  resources::by_site<live_site> sites;
  records_->for_each([&](const void*, const block_records::used_block& of) {
    live_site& at = sites.try_emplace(of.allocated, live_site{of.allocated, 0, 0}).first->second;
    ++at.blocks;
    at.bytes += of.bytes;
  });
  std::vector<live_site> result;
  for (const auto& [site, live] : sites) result.push_back(live);
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return result;
}

std::size_t tracking_resource_adaptor::report_live() const {
  const std::vector<live_site> sites = live_by_site();
  for (std::size_t i = 0; i < std::min(sites.size(), resources::told_sites); ++i) {
    char what[96];
    std::snprintf(what, sizeof what, "%llu blocks in use, %llu bytes, allocated at one place",
                  static_cast<unsigned long long>(sites[i].blocks), static_cast<unsigned long long>(sites[i].bytes));
    resources::write_summary(what, kind(), name(), {{"allocated", &sites[i].allocated}});
  }
  return records_->size();
}

call_site tracking_resource_adaptor::allocated_at(const void* address) const noexcept {
  const block_records::used_block* found = records_->find(address);
  return found == nullptr ? call_site{} : found->allocated;
}

bool tracking_resource_adaptor::owns(const void* block) const noexcept { return records_->find(block) != nullptr; }

void tracking_resource_adaptor::visit_live(live_visitor visit, void* context) const {
  records_->for_each([&](const void* block, const block_records::used_block& of) {
    visit(context, {block, of.bytes});
  });
}

void tracking_resource_adaptor::check() const {
  resource_adaptor::check();
  std::uint64_t bytes = 0;
  records_->for_each([&](const void*, const block_records::used_block& of) { bytes += of.bytes; });
  TENURE_CHECK(bytes == statistics().used_bytes && records_->size() == statistics().used_blocks);
}

}  // namespace tenure
