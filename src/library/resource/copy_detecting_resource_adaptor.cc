#include <tenure/adaptor/copy_detecting_resource_adaptor.hpp>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "library/resource/call_sites.h"

namespace tenure {
namespace {

constexpr std::size_t most_sites = 1000;

}  // namespace

// Resources are compared by const references, from any thread.
struct copy_detecting_resource_adaptor::seen_copies {
  std::mutex lock;
  std::uint64_t all = 0;
  resources::by_site<copy_site> sites;

  void add(const call_site& here, const std::pmr::memory_resource& other) noexcept {
    const std::lock_guard held(lock);
    ++all;
    auto found = sites.find(here);
    if (found == sites.end()) {
      if (sites.size() == most_sites) return;
      try {
        found = sites.try_emplace(here, copy_site{here, 0, &other}).first;
      } catch (const std::bad_alloc&) {
        return;  // counted, without its site
      }
    }
    ++found->second.copies;
  }
};

copy_detecting_resource_adaptor::copy_detecting_resource_adaptor(const copy_detecting_options& options)
    : resource_adaptor(options.name, "copy detector", options.parent, options.upstream),
      seen_(std::make_unique<seen_copies>()) {}

copy_detecting_resource_adaptor::~copy_detecting_resource_adaptor() = default;

bool copy_detecting_resource_adaptor::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  if (this == &other) return true;
  seen_->add(resources::capture_site(), other);
  return false;
}

std::uint64_t copy_detecting_resource_adaptor::copies() const noexcept {
  const std::lock_guard held(seen_->lock);
  return seen_->all;
}

std::vector<copy_detecting_resource_adaptor::copy_site> copy_detecting_resource_adaptor::copies_by_site() const {
  std::vector<copy_site> result;
  const std::lock_guard held(seen_->lock);
  for (const auto& [site, seen] : seen_->sites) result.push_back(seen);
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.copies > b.copies; });
  return result;
}

std::uint64_t copy_detecting_resource_adaptor::report_copies() const {
  const std::vector<copy_site> sites = copies_by_site();
  for (std::size_t i = 0; i < std::min(sites.size(), resources::told_sites); ++i) {
    char what[96];
    std::snprintf(what, sizeof what, "%llu copies element by element, between it and another resource",
                  static_cast<unsigned long long>(sites[i].copies));
    resources::write_summary(what, kind(), name(), {{"resources compared", &sites[i].asked}});
  }
  return copies();
}

}  // namespace tenure
