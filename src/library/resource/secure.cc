#include <tenure/secure.hpp>

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include "core/base/check.h"
#include "library/resource/block_records.h"
#include "library/resource/checks.h"
#include "library/resource/locked_regions.h"

namespace tenure {
namespace {

constexpr std::size_t secret_alignment = 16;

// Stands before a secret.
struct secret_header {
  std::uint64_t canary;
  std::uint64_t bytes;
};
static_assert(sizeof(secret_header) == secret_alignment);

constexpr std::size_t overhead_bytes = sizeof(secret_header) + sizeof(std::uint64_t);

std::uint64_t draw_canary() {
  std::uint64_t drawn = 0;
  if (::getrandom(&drawn, sizeof drawn, 0) != sizeof drawn) throw std::bad_alloc();
  return drawn;
}

secret_header header_of(const void* secret) noexcept {
  secret_header result;
  std::memcpy(&result, static_cast<const char*>(secret) - sizeof result, sizeof result);
  return result;
}

// A copied secret's canaries are not those of its new place.
std::uint64_t canary_at(std::uint64_t canary, const void* secret) noexcept {
  return canary ^ reinterpret_cast<std::uintptr_t>(secret);
}

}  // namespace

secure::secure(const secure_options& options)
    : memory_resource(options.name, "secure", options.parent),
      canary_(draw_canary()),
      process_(::getpid()),
      regions_(std::make_unique<resources::locked_regions>(*this, options.must_lock)),
      blocks_(std::make_unique<slab>(slab_options{.name = name(),
                                                  .largest_slab_bytes = options.region_bytes,
                                                  .checks = resource_checks::off,
                                                  .part_of = this,
                                                  .upstream = regions_.get()})) {
  if (options.region_bytes == 0 || options.region_bytes % resources::os_page_bytes() != 0) {
    throw std::invalid_argument("tenure::secure: a region is a number of OS pages");
  }
  if (resources::wants_checks(options.checks)) records_ = std::make_unique<resources::block_records>("secure", name());
}

secure::~secure() {
  if (records_) records_->report_left();
}

void* secure::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > PTRDIFF_MAX / 4 || alignment > secret_alignment) throw std::bad_alloc();
  auto* const begin = static_cast<char*>(blocks_->allocate(bytes + overhead_bytes));
  char* const secret = begin + sizeof(secret_header);
  try {
    if (records_) records_->add(secret, bytes, alignment);  // looks whether it is as it was wiped
  } catch (...) {
    blocks_->deallocate(begin, bytes + overhead_bytes);
    throw;
  }
  const std::uint64_t canary = canary_at(canary_, secret);
  const secret_header header{canary, bytes};
  std::memcpy(begin, &header, sizeof header);
  std::memcpy(secret + bytes, &canary, sizeof canary);
  return secret;
}

void secure::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  if (records_ && !records_->remove(block, bytes, alignment)) return;
  const secret_header header = header_of(block);
  const std::uint64_t canary = canary_at(canary_, block);
  if (header.canary == 0 && header.bytes == 0 && ::getpid() != process_) return;  // a child's, empty
  const auto tell = [&](const char* wrong) {
    const resources::call_site here = resources::capture_site();
    resources::report_misuse(wrong, block, bytes, "secure", name(), {{"released here", &here}});
  };
  if (header.canary != canary) return tell("release of what is no secret in use, or a write before its beginning");
  if (header.bytes != bytes) return tell("release with a size that is not this secret's");
  std::uint64_t behind = 0;
  std::memcpy(&behind, static_cast<char*>(block) + bytes, sizeof behind);
  if (behind != canary) tell("write behind the end of a secret");  // which is wiped all the same
  char* const begin = static_cast<char*>(block) - sizeof(secret_header);
  ::explicit_bzero(begin, bytes + overhead_bytes);
  // A large one's memory may be gone from now on.
  if (records_ && bytes + overhead_bytes <= slab_options{}.largest_bytes) records_->watch(block, bytes, 0);
  blocks_->deallocate(begin, bytes + overhead_bytes);
}

std::size_t secure::locked_bytes() const noexcept { return regions_->locked_bytes(); }

bool secure::owns(const void* block) const noexcept { return blocks_->owns(block); }

std::size_t secure::trim() noexcept {
  const std::uint64_t before = statistics().held_bytes;
  if (records_) records_->forget_watched(0, SIZE_MAX);
  blocks_->trim();
  return static_cast<std::size_t>(before - statistics().held_bytes);
}

void secure::visit_live(live_visitor visit, void* context) const {
  blocks_->for_each_live([&](const live_block& one) {
    const char* const secret = static_cast<const char*>(one.address) + sizeof(secret_header);
    visit(context, {secret, header_of(secret).bytes});
  });
}

void secure::check() const {
  blocks_->check();
  std::uint64_t blocks = 0;
  blocks_->for_each_live([&](const live_block& one) {
    const char* const secret = static_cast<const char*>(one.address) + sizeof(secret_header);
    TENURE_CHECK(header_of(secret).canary == canary_at(canary_, secret));
    TENURE_CHECK(header_of(secret).bytes + overhead_bytes <= one.bytes);
    ++blocks;
  });
  TENURE_CHECK(blocks == statistics().used_blocks);
}

}  // namespace tenure
