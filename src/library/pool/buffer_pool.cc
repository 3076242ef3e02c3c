#include <tenure/buffer_pool.hpp>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/base/bits.h"
#include "core/base/yield_point.h"
#include "library/pool/buffer_store.h"
#include "library/pool/lease_words.h"
#include "library/resource/call_sites.h"

namespace tenure {
namespace {

std::uint64_t as_address(const void* of) noexcept { return reinterpret_cast<std::uintptr_t>(of); }

void check_options(const buffer_pool_options& of) {
  const auto refuse = [](const char* why) { throw std::invalid_argument(std::string("tenure::buffer_pool: ") + why); };
  if (!core::is_power_of_two(of.smallest_bytes) || !core::is_power_of_two(of.largest_bytes)) {
    refuse("smallest_bytes and largest_bytes are powers of two");
  }
  if (of.smallest_bytes > of.largest_bytes) refuse("smallest_bytes is at most largest_bytes");
  if (of.largest_bytes > std::size_t{1} << 30) refuse("largest_bytes is at most 1 GiB");
}

}  // namespace

namespace detail {

void note_sliced(buffer_header* of) noexcept {
  TENURE_YIELD_POINT();
  of->sliced_at.store(as_address(__builtin_return_address(0)), std::memory_order_release);
  of->store->note_sliced(of);
}

void give_back(buffer_header* buffer) noexcept { buffer->store->give(buffer); }

void report_too_many_references(const buffer_header* of) noexcept {
  of->store->report("more slices of one buffer than can be counted, 8388608", of, "one too many");
  std::abort();
}

void throw_out_of_range(const buffer_header* of, std::size_t offset, std::size_t bytes, std::size_t size) {
  const std::string name = of == nullptr ? "no buffer" : std::string("buffer pool \"") + of->store->name() + "\"";
  throw std::out_of_range("tenure::buffer_slice: " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                          " of " + std::to_string(size) + ", " + name);
}

}  // namespace detail

void* buffer_lease::release() noexcept {
  if (buffer_ == nullptr) return nullptr;
  return detail::word_for(std::exchange(buffer_, nullptr));
}

buffer_lease buffer_lease::adopt(void* word) {
  if (word == nullptr) return {};
  detail::buffer_header* const buffer = detail::take_of_word(word);
  if (buffer == nullptr) {
    const call_site here = resources::capture_site();
    resources::report_misuse("adopt of a word that stands for no lease, or no longer", word, 0, "type",
                             "tenure::buffer_lease", {{"adopted", &here}});
  }
  return buffer_lease(buffer);
}

buffer_pool::buffer_pool(const buffer_pool_options& options) {
  check_options(options);
  store_ = new detail::buffer_store(options);
}

buffer_pool::~buffer_pool() {
  store_->end_thread();
  while (store_->is_in_use()) {
    if (store_->report_left(resources::capture_site())) return;  // what comes back later finds its store still there
    // Nobody has the buffer any more: another thread is bringing it back.
    TENURE_YIELD_POINT();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  delete store_;
}

buffer_lease buffer_pool::take(std::size_t bytes) {
  return buffer_lease(store_->take(std::max<std::size_t>(bytes, 1), as_address(__builtin_return_address(0))));
}

const char* buffer_pool::name() const noexcept { return store_->name(); }
tenure_account* buffer_pool::account() const noexcept { return store_->account(); }
void buffer_pool::set_limits(account_limits limits) noexcept { store_->set_limits(limits); }
buffer_pool_statistics buffer_pool::statistics() const noexcept { return store_->statistics(); }
std::vector<pinned_buffers> buffer_pool::pinned() const { return store_->pinned(); }
std::uint64_t buffer_pool::maintain() noexcept { return store_->decay(); }
std::uint64_t buffer_pool::trim() noexcept { return store_->trim(); }
void buffer_pool::check() const { store_->check(); }
void buffer_pool::visit_live(memory_resource::live_visitor visit, void* context) const {
  store_->visit_live(visit, context);
}

std::uint64_t buffer_pool::report_pinned() const {
  const std::vector<pinned_buffers> all = pinned();
  std::uint64_t sum = 0;
  for (const pinned_buffers& each : all) sum += each.pinned_bytes;
  for (std::size_t i = 0; i < std::min(all.size(), resources::told_sites); ++i) {
    const std::string what = std::to_string(all[i].pinned_bytes) + " bytes pinned: " + std::to_string(all[i].buffers) +
                             " buffers of " + std::to_string(all[i].held_bytes) + " bytes, of which " +
                             std::to_string(all[i].slices) + " slices name " + std::to_string(all[i].named_bytes);
    resources::write_summary(what.c_str(), "buffer pool", name(),
                             {{"taken", &all[i].taken}, {"last sliced", &all[i].sliced}});
  }
  return sum;
}

}  // namespace tenure
