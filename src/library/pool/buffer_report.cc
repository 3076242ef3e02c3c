// What a buffer pool tells: figures, pinned buffers, messages; and the checks of its structure.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <tuple>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/pool/buffer_store.h"
#include "library/resource/call_sites.h"

namespace tenure::detail {
namespace {

constexpr const char* buffer_pool_kind = "buffer pool";
constexpr unsigned char returned_fill = 0xdb;

call_site site_at(std::uint64_t address) noexcept {
  call_site result;
  result.frame_count = address == 0 ? 0 : 1;
  result.frames[0] = address;
  return result;
}

struct place_order {
  bool operator()(const std::pair<call_site, call_site>& a, const std::pair<call_site, call_site>& b) const noexcept {
    const resources::site_order less;
    if (less(a.first, b.first)) return true;
    return !less(b.first, a.first) && less(a.second, b.second);
  }
};

}  // namespace

// --- with checks on

void buffer_store::fill(buffer_header* of) noexcept { std::memset(of->bytes, returned_fill, of->size); }

void buffer_store::find_late_write(const buffer_header* in) const noexcept {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(in->bytes);
  if (std::all_of(bytes, bytes + in->size, [](unsigned char one) { return one == returned_fill; })) return;
  report("write into a buffer that had come back", in, "found");
}

void buffer_store::note_taken(buffer_header* of) noexcept {
  find_late_write(of);
  const call_site here = resources::capture_site();
  const std::lock_guard held(sites_lock_);
  sites_[of] = {here, {}, {}};
}

void buffer_store::note_returned(buffer_header* of) noexcept {
  const call_site here = resources::capture_site();
  fill(of);
  const std::lock_guard held(sites_lock_);
  sites_[of].returned = here;
}

void buffer_store::note_sliced(const buffer_header* of) noexcept {
  if (!has_checks_) return;
  const call_site here = resources::capture_site();
  const std::lock_guard held(sites_lock_);
  sites_[of].sliced = here;
}

buffer_store::sites buffer_store::sites_of(const buffer_header* of) const {
  if (has_checks_) {
    const std::lock_guard held(sites_lock_);
    const auto found = sites_.find(of);
    if (found != sites_.end()) return found->second;
  }
  return {site_at(of->taken_at.load(std::memory_order_relaxed)),
          site_at(of->sliced_at.load(std::memory_order_relaxed)),
          {}};
}

// --- messages

void buffer_store::report(const char* what, const buffer_header* about, const char* here_is) const noexcept {
  const call_site here = resources::capture_site();
  const sites known = sites_of(about);
  resources::report_misuse(
      what, about->bytes, about->size, buffer_pool_kind, name(),
      {{"taken", &known.taken}, {"last sliced", &known.sliced}, {"came back", &known.returned}, {here_is, &here}});
}

bool buffer_store::report_left(const call_site& here) const noexcept {
  const std::vector<seen_buffer> left = in_use();
  if (left.empty()) return false;
  const seen_buffer& first = left.front();
  char what[96];
  std::snprintf(what, sizeof what, "pool destroyed with %llu buffers in use, the first of them",
                static_cast<unsigned long long>(left.size()));
  const sites known = sites_of(first.header);
  resources::report_misuse(what, first.bytes, first.size, buffer_pool_kind, name(),
                           {{"taken", &known.taken}, {"last sliced", &known.sliced}, {"destroyed", &here}});
  return true;
}

// --- figures

buffer_store::seen_buffer buffer_store::look_at(const buffer_header& header) noexcept {
  return {&header,
          header.holds.load(std::memory_order_acquire),
          __atomic_load_n(&header.bytes, __ATOMIC_RELAXED),
          __atomic_load_n(&header.size, __ATOMIC_RELAXED),
          __atomic_load_n(&header.unit_shift, __ATOMIC_RELAXED),
          header.is_leased.load(std::memory_order_relaxed),
          header.taken_at.load(std::memory_order_relaxed),
          header.sliced_at.load(std::memory_order_acquire)};
}

// A buffer that comes back meanwhile, and its header with another one, are left out. Nothing is allocated under the
// lock.
std::vector<buffer_store::seen_buffer> buffer_store::in_use() const {
  std::vector<seen_buffer> all;
  std::unique_lock lock(headers_lock_);
  while (all.capacity() < chunk_count_ * std::tuple_size_v<decltype(header_chunk::headers)>) {
    const std::size_t headers = chunk_count_ * std::tuple_size_v<decltype(header_chunk::headers)>;
    lock.unlock();
    all.reserve(headers);
    lock.lock();
  }
  for (const header_chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
    for (const buffer_header& each : chunk->headers) {
      const std::uint32_t generation = each.generation.load(std::memory_order_acquire);
      TENURE_YIELD_POINT();
      const seen_buffer seen = look_at(each);
      TENURE_YIELD_POINT();
      if (seen.holds != 0 && each.generation.load(std::memory_order_acquire) == generation) all.push_back(seen);
    }
  }
  return all;
}

buffer_store::all_locks buffer_store::lock_all() const {
  all_locks held;
  for (std::size_t i = 0; i < shard_count; ++i) held[i] = std::unique_lock(shards_[i].lock);
  return held;
}

// Of one moment: a buffer that goes and one that comes meanwhile in another shard are not added up.
buffer_pool_statistics buffer_store::statistics() const noexcept {
  buffer_pool_statistics told;
  const all_locks held = lock_all();
  for (const shard& each : shards_) {
    told.used_buffers += each.used_buffers;
    told.used_bytes += each.used_bytes;
    told.kept_bytes += each.kept_bytes;
    told.takes += each.takes;
    told.made += each.made;
    told.dropped += each.dropped;
    told.decayed += each.decayed;
  }
  const account_statistics figures = account_.statistics();
  told.held_bytes = figures.held_bytes;
  told.peak_held_bytes = figures.peak_held_bytes;
  told.refusals = figures.refusals;
  return told;
}

void buffer_store::visit_live(memory_resource::live_visitor visit, void* context) const {
  for (const seen_buffer& one : in_use()) visit(context, {one.bytes, one.size});
}

std::vector<pinned_buffers> buffer_store::pinned() const {
  std::map<std::pair<call_site, call_site>, pinned_buffers, place_order> by_place;
  for (const seen_buffer& one : in_use()) {
    const std::uint64_t units = one.holds & (buffer_header::one_reference - 1);
    const std::uint64_t named = std::min<std::uint64_t>(units << one.unit_shift, one.size);
    if (one.is_leased || named == one.size) continue;
    sites known{site_at(one.taken_at), site_at(one.sliced_at), {}};
    if (has_checks_) known = sites_of(one.header);
    pinned_buffers& place = by_place[{known.taken, known.sliced}];
    place.taken = known.taken;
    place.sliced = known.sliced;
    ++place.buffers;
    place.slices += one.holds >> buffer_header::reference_shift;
    place.held_bytes += one.size;
    place.named_bytes += named;
    place.pinned_bytes += one.size - named;
  }
  std::vector<pinned_buffers> all;
  all.reserve(by_place.size());
  for (const auto& [place, figures] : by_place) all.push_back(figures);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.pinned_bytes > b.pinned_bytes; });
  return all;
}

void buffer_store::check() const {
  std::uint64_t used_buffers = 0, used_bytes = 0, kept_bytes = 0, reserved = 0, buffers = 0;
  for (const seen_buffer& one : in_use()) ++used_buffers, used_bytes += one.size;
  const buffer_pool_statistics told = statistics();
  // The pool's own thread and pressure may give buffers back meanwhile: not before this is through.
  all_locks all = lock_all();
  while (going_.load(std::memory_order_acquire) != 0) {
    all = all_locks();
    std::this_thread::yield();
    all = lock_all();
  }
  for (const shard& each : shards_) {
    std::uint64_t in_shard = 0;
    for (std::size_t number = 0; number < class_count; ++number) {
      const kept_class& kept = each.classes[number];
      std::uint32_t count = 0;
      const buffer_header* newer = nullptr;
      for (const buffer_header* one = kept.newest; one != nullptr; newer = one, one = one->older) {
        TENURE_CHECK(one->newer == newer && one->store == this);
        TENURE_CHECK(one->holds.load() == 0 && one->number == number && one->size == std::size_t{1} << number);
        in_shard += one->size;
        ++count;
      }
      TENURE_CHECK(kept.oldest == newer && kept.count.load() == count && kept.fewest <= count);
      buffers += count;
    }
    TENURE_CHECK(in_shard == each.kept_bytes);
    kept_bytes += in_shard;
    reserved += in_shard + each.allowance_bytes;
  }
  TENURE_CHECK(reserved == reserved_bytes_.load() && reserved <= keep_bytes_);
  TENURE_CHECK(told.used_buffers == used_buffers && told.used_bytes == used_bytes);
  const std::lock_guard held(headers_lock_);
  std::uint64_t free_headers = 0;
  for (const buffer_header* one = free_headers_; one != nullptr; one = one->older) ++free_headers;
  TENURE_CHECK(free_headers + used_buffers + buffers ==
               chunk_count_ * std::tuple_size_v<decltype(header_chunk::headers)>);
  TENURE_CHECK(!account_.is_counted() || account_.statistics().held_bytes == used_bytes + kept_bytes + sizeof *this +
                                                                                 chunk_count_ * sizeof(header_chunk));
}

}  // namespace tenure::detail
