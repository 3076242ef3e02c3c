// What one thread allocates, for tests.
#include <tenure/tenure.h>

#include "core/heap/thread_cache.h"
#include "core/interface/export.h"
#include "core/interface/live_core.h"
#include "core/telemetry/tally.h"

using namespace tenure;

namespace {

telemetry::tally* of(tenure_tally* tally) noexcept { return reinterpret_cast<telemetry::tally*>(tally); }
const telemetry::tally* of(const tenure_tally* tally) noexcept {
  return reinterpret_cast<const telemetry::tally*>(tally);
}

struct visit_adapter {
  tenure_tally_visitor visit;
  void* context;
};

int adapt_visit(void* context, const telemetry::tally_site& site) {
  const auto* adapter = static_cast<const visit_adapter*>(context);
  const tenure_tally_site told = {site.frames,          site.frame_count, site.allocations,
                                  site.allocated_bytes, site.live_blocks, site.live_bytes};
  return adapter->visit(adapter->context, &told);
}

}  // namespace

TENURE_EXPORT tenure_tally* tenure_tally_begin() {
  if (!core::serves_malloc()) return nullptr;
  telemetry::tally* const tally = telemetry::open_tally();
  if (tally != nullptr) core::follow_recording_now();
  return reinterpret_cast<tenure_tally*>(tally);
}

TENURE_EXPORT int tenure_tally_end(tenure_tally* tally) {
  if (tally == nullptr || !telemetry::end_tally(of(tally))) return 0;
  core::follow_recording_now();
  return 1;
}

TENURE_EXPORT void tenure_tally_free(tenure_tally* tally) {
  if (tally != nullptr) telemetry::release_tally(of(tally));
}

TENURE_EXPORT void tenure_tally_suspend() { telemetry::suspend_tallies(); }

TENURE_EXPORT void tenure_tally_resume() {
  telemetry::resume_tallies();
  core::follow_recording_now();
}

TENURE_EXPORT int tenure_tally_statistics(const tenure_tally* tally, tenure_tally_stats* statistics) {
  if (tally == nullptr || statistics->struct_size < sizeof *statistics) return 0;
  const telemetry::tally_figures figures = telemetry::figures_of(of(tally));
  statistics->allocations = figures.allocations;
  statistics->allocated_bytes = figures.allocated_bytes;
  statistics->frees = figures.frees;
  statistics->live_blocks = figures.live_blocks;
  statistics->live_bytes = figures.live_bytes;
  statistics->peak_live_bytes = figures.peak_live_bytes;
  statistics->missed = figures.missed;
  return 1;
}

TENURE_EXPORT int tenure_tally_visit(const tenure_tally* tally, tenure_tally_visitor visit, void* context) {
  if (tally == nullptr) return 1;
  visit_adapter adapter = {visit, context};
  return telemetry::visit_tally(of(tally), adapt_visit, &adapter) ? 1 : 0;
}
